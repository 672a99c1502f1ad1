// The panels of words and figures.
import { byId, h, memo, set, text } from "./dom.js";
import { bytes, clock, many, millis, rate, whole } from "./format.js";
import { badge, homeState, isUp, sinceText, stateOf } from "./states.js";

const signs = { critical: "M0 -8v8M0 6.2v.1", warning: "M0 -7v7M0 5.6v.1", info: "M0 -6.2v.1M0 -1v7" };

export function drawBar(status) {
  byId("where").replaceChildren("region ", h("b", {}, status.region));
  const up = millis(Date.parse(status.time) - Date.parse(status.started_at));
  text(byId("meta"), `${status.leads ? "This proxy leads the region" : status.leader ? "Another proxy leads the region" : "No proxy leads"} · ${many(status.clients.connected, "client")} · version ${status.version} · up ${up}`);
  document.title = `${status.alerts && status.alerts.length ? `(${status.alerts.length}) ` : ""}${status.region} · Anabranch`;
}

/** drawHeadline says in one sentence how things are. */
export function drawHeadline(status) {
  const alerts = status.alerts || [];
  const critical = alerts.filter((alert) => alert.severity === "critical");
  const worth = alerts.filter((alert) => alert.severity !== "info");
  const behind = status.peers.filter((peer) => stateOf(peer).tone !== "good");
  let words = "All regions are in step.";
  if (critical.length) words = critical[0].title + ".";
  else if (worth.length === 1) words = worth[0].title + ".";
  else if (worth.length > 1) words = `${worth.length} things need attention.`;
  else if (!status.peers.length) words = "One region, without others.";
  else if (behind.length) words = behind.map((peer) => `${peer.name} ${peer.state === "stream" ? "is " : "is "}${stateOf(peer).word}`.replace("is waits", "waits").replace("is no link", "has no link")).join(", ") + ".";
  text(byId("headline"), words);
  text(byId("subline"), `Seen from region ${status.region}: its own figures, and what the others tell it over the links.`);
}

/** drawGlance shows the figures that one looks for first. */
export function drawGlance(status, commands) {
  const lags = status.peers.filter(isUp).map((peer) => peer.lag_ms);
  const conflicts = status.error ? "–" : whole(status.conflicts.total);
  const items = [["commands/s", rate(commands)], ["largest lag", lags.length ? millis(Math.max(...lags)) : "–"], ["conflicts", conflicts]];
  const glance = byId("glance");
  if (!glance.firstChild) glance.append(...items.map(([name]) => h("div", {}, h("dt", {}, name), h("dd", {}))));
  items.forEach(([, value], i) => text(glance.children[i].lastChild, value));
}

export const drawAlerts = memo((alerts) => {
  byId("alerts").replaceChildren(...(alerts.length ? alerts.map((alert) => h("article", { class: `alert ${alert.severity}` },
    h("h3", {}, h("svg", { class: "node", width: 18, height: 18, viewBox: "-12 -12 24 24", role: "img", "aria-label": alert.severity },
      h("circle", { r: 10.5 }), h("path", { class: "glyph", d: signs[alert.severity] })), h("span", {}, alert.title)),
    h("p", {}, alert.meaning), h("p", { class: "advice" }, alert.advice))) : [h("p", { class: "calm" }, "Nothing. Every link is up, clocks agree, and there is room in the log.")]));
});

const seen = new Set();
let known = false;

const drawList = memo(({ list, detail }) => {
  byId("conflicts").replaceChildren(...list.map((c) => {
    const fresh = known && !seen.has(c.id);
    seen.add(c.id);
    return h("li", { class: fresh ? "fresh" : null, "data-id": c.id },
      h("time", { datetime: new Date(c.at).toISOString() }, clock(c.at)),
      h("div", {}, h("span", { class: "kind" }, c.type), " ", c.key ? h("code", { title: c.key }, (c.db ? `db${c.db} ` : "") + cut(c.key) + (c.element ? ` ⟩ ${cut(c.element)}` : "")) : null, c.key ? " " : null, c.rule),
      h("div", { class: "sides" }, ...side("", c.winner, detail), " won over ", ...side("", c.loser, detail)));
  }));
  known = true;
});

const longest = 60; // characters of a key or value; the title has all

const cut = (words) => (words.length <= longest ? words : `${words.slice(0, longest)}…`);

function side(label, s, detail) {
  const parts = [label, h("b", {}, s.region)];
  if (detail === "values" && s.value) parts.push(" ", h("code", { title: s.value }, cut(s.value)));
  return parts;
}

export function drawConflicts(frame) {
  const { total, by_type: types } = frame.status.conflicts;
  const kinds = Object.entries(types).sort((a, b) => b[1] - a[1]).map(([kind, n]) => `${whole(n)} ${kind}`).join(", ");
  let note = total ? `${whole(total)} since Redis started: ${kinds}.` : "None since Redis started: nothing was written in two regions at once.";
  if (frame.status.error) note = "How many there were is not known at the moment.";
  if (frame.conflicts.length && frame.detail === "rules") note += " Keys and values are not shown; --dashboard-conflicts can change that.";
  text(byId("conflict-note"), note);
  if (seen.size > 2000) seen.clear();
  drawList({ list: frame.conflicts, detail: frame.detail });
}

export const drawFigures = memo((status) => {
  const { keys, log, memory, collection, clients, effects, error } = status;
  const known = (shown) => (error ? "–" : shown);
  const used = (n, limit, label) => {
    if (!(limit > 0)) return null;
    const percent = Math.min(100, (100 * n) / limit);
    const bar = h("i", {});
    bar.style.width = `${percent}%`;
    return h("div", { class: `meter${percent > 90 ? " full" : percent > 75 ? " high" : ""}`, role: "meter", "aria-label": label, "aria-valuemin": 0, "aria-valuemax": 100, "aria-valuenow": Math.round(percent) }, bar);
  };
  const item = (name, value, ...more) => h("div", {}, h("dt", {}, name), h("dd", {}, value, ...more));
  const note = (...words) => h("small", {}, ...words);
  const held = Object.entries(status.collection_held_back_by || {}).map(([name, since]) => `${name} ${sinceText(since, status.time)}`);
  let refused = 0;
  for (const ended of Object.values(status.commands)) refused += ended.refused;
  const tiles = [
    item("Keys", known(whole(keys.total)), note((keys.databases || []).length > 1 ? `in ${keys.databases.length} databases` : "that clients can see")),
    item("Keys with metadata", known(whole(keys.companions)), note(error ? "" : `about ${bytes(keys.companion_bytes)} of companions`)),
    item("Log for the other regions", known(bytes(log.bytes)), used(log.bytes, log.limit_bytes, "part of the log in use"),
      note(error ? "" : log.backlog_minutes < 0 ? `of ${bytes(log.limit_bytes)}; nothing is written` : `of ${bytes(log.limit_bytes)}; room for ${millis(log.backlog_minutes * 60e3)} of partition`)),
    item("Memory of Redis", known(bytes(memory.used_bytes)), used(memory.used_bytes, memory.limit_bytes, "part of Redis's memory in use"),
      note(error ? "" : memory.limit_bytes ? `of ${bytes(memory.limit_bytes)}` : "no limit is set")),
    item("Waiting for collection", known(whole(collection.pending_keys)), note(error ? "" : held.length ? `held back by ${held.join(", ")}` : `${whole(collection.collected_keys)} collected`)),
    item("Clients of this proxy", whole(clients.connected), note(`of ${whole(clients.limit)}; ${many(refused, "command")} refused`)),
    item("Effects from other regions", known(whole(effects.applied)), note(error ? "" : `${whole(effects.written)} written here`)),
    item("Epoch of the log", known(whole(status.epoch)), note(error ? "" : status.epoch > 1 ? "a takeover began it" : "the first")),
  ];
  byId("figures").replaceChildren(...tiles);
});

const columns = ["Region", "State", "Lag", "Not confirmed there", "Clock", "Round trip", "Link to", "Last error"];

export const drawLinks = memo(({ peers, now }) => {
  if (!peers.length) {
    byId("links").replaceChildren(h("p", { class: "calm" }, "No other regions are configured."));
    return;
  }
  const rows = peers.map((peer) => {
    const state = stateOf(peer);
    const cells = [
      h("b", {}, peer.name), [badge(state), `${state.word} ${sinceText(peer.since, now)}`],
      isUp(peer) ? millis(peer.lag_ms) + (peer.lag_effects ? `, ${many(peer.lag_effects, "effect")}` : "") : "not known",
      peer.unacked_effects ? many(peer.unacked_effects, "effect") : "none",
      Math.abs(peer.drift_ms) < 1000 ? "agrees" : `${millis(Math.abs(peer.drift_ms))} ${peer.drift_ms > 0 ? "ahead" : "behind"}`,
      isUp(peer) ? millis(peer.rtt_ms) : "–", peer.addr || "–", peer.last_error || "",
    ];
    return h("tr", {}, ...cells.map((cell, i) => h("td", { "data-label": columns[i], class: i === 7 ? (cell ? "trouble" : "trouble empty") : null }, h("span", {}, ...[cell].flat()))));
  });
  byId("links").replaceChildren(h("table", {}, h("thead", {}, h("tr", {}, ...columns.map((name) => h("th", { scope: "col" }, name)))), h("tbody", {}, ...rows)));
});

export function drawFooter(status) {
  set(byId("footer"), {});
  if (byId("footer").firstChild) return;
  byId("footer").append("Throughput and clients are those of this proxy alone. What is said of the region was found out by the proxy that leads it. Other regions’ own figures are on their own dashboards. ",
    h("a", { href: "/status" }, "/status"), " and ", h("a", { href: "/metrics" }, "/metrics"), " have the same for programs.");
}

export { homeState };
