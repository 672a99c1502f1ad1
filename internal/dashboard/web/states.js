// What a link is doing, in words, in colour and as a sign: never by colour alone.
import { h } from "./dom.js";
import { millis } from "./format.js";

const glyphs = {
  check: "M-7 0l5 5 9-10",
  bars: "M-4.5 -6v12M4.5 -6v12",
  cross: "M-5.5 -5.5l11 11M5.5 -5.5l-11 11",
  bang: "M0 -8v8M0 6.2v.1",
  join: "M-7 -6c5 0 3 6 8 6M-7 6c5 0 3 -6 8 -6M1 0h7M5 -3l3 3-3 3",
  away: "M-7 0h14",
  hourglass: "M-5 -7h10l-10 14h10z",
};

const slow = 1000; // ms; a link that lags less keeps up

/** stateOf is {word, tone, glyph} of a peer. */
export function stateOf(peer) {
  switch (peer.state) {
    case "stream":
    case "waiting":
      if (peer.lag_ms < slow) return { word: "in step", tone: "good", glyph: "check" };
      return peer.state === "waiting" ? { word: "waits for another region", tone: peer.lag_ms < 10 * slow ? "busy" : "warn", glyph: "hourglass" }
        : { word: "catching up", tone: peer.lag_ms < 10 * slow ? "busy" : "warn", glyph: "hourglass" };
    case "paused": return { word: "paused", tone: "idle", glyph: "bars" };
    case "stalled": return { word: "stalled", tone: "crit", glyph: "bang" };
    case "refused": return { word: "refused", tone: "crit", glyph: "bang" };
    case "quarantined": return { word: "in quarantine", tone: "warn", glyph: "away" };
    case "merge-needed": return { word: "merge begins", tone: "busy", glyph: "join" };
    case "merge": {
      const m = peer.merge;
      const part = m && m.keys_expected > 0 ? ` ${Math.floor((100 * m.keys_done) / m.keys_expected)} %` : "";
      return { word: `merging${part}`, tone: "busy", glyph: "join" };
    }
    case "unknown": return { word: "not known", tone: "idle", glyph: "away" };
    default: return { word: "no link", tone: "warn", glyph: "cross" };
  }
}

/** homeState is the same of this region. */
export function homeState(status) {
  if (!status.ready) return { word: "Redis is away", tone: "crit", glyph: "cross" };
  if (status.writes_held) return { word: "takes no writes", tone: "crit", glyph: "away" };
  if (status.writes_refused) return { word: "writes refused", tone: "crit", glyph: "bang" };
  if (!status.leader && status.peers.length) return { word: "no leader", tone: "crit", glyph: "bang" };
  return { word: "serves clients", tone: "good", glyph: "check" };
}

export const isUp = (peer) => ["stream", "waiting", "paused", "stalled", "merge"].includes(peer.state);

/** sinceText is for how long something has been so. */
export const sinceText = (at, now) => (at ? `for ${millis(Math.max(0, Date.parse(now) - Date.parse(at)))}` : "");

export function glyph(name) {
  return h("path", { class: "glyph", d: glyphs[name] });
}

export const glyphPath = (name) => glyphs[name];

/** badge is a small sign of a state, for tables. */
export function badge(state) {
  return h("svg", { class: `dot node tone-${state.tone}`, width: 16, height: 16, viewBox: "-12 -12 24 24", "aria-hidden": "true" }, glyph(state.glyph));
}
