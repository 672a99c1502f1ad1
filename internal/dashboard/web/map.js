// The map: this region, the others, and two strands between them, what comes and what goes.
import { h, set, text } from "./dom.js";
import { millis, whole } from "./format.js";
import { glyphPath, homeState, isUp, stateOf, sinceText } from "./states.js";

const radius = 24;
const told = 3000; // ms that the word of two other regions may be old by itself

export class RegionMap {
  constructor(canvas, legend) {
    this.canvas = canvas;
    this.legend = legend;
    this.width = 0;
    this.parts = new Map(); // key → element, kept from one drawing to the next
    new ResizeObserver(() => this.resized()).observe(canvas);
  }

  resized() {
    const width = Math.round(this.canvas.clientWidth);
    if (width === this.width || !this.status) return;
    this.draw(this.status, this.rates);
  }

  /** draw shows a status; rates has the entries per second that come from each region. */
  draw(status, rates) {
    this.status = status;
    this.rates = rates;
    this.width = Math.max(280, Math.round(this.canvas.clientWidth));
    const names = [status.region, ...status.peers.map((peer) => peer.name)].join("\n");
    if (names !== this.names) {
      this.names = names;
      this.parts.clear();
      this.svg = h("svg", { role: "img" });
      this.canvas.replaceChildren(this.svg);
      this.layers = Object.fromEntries(["told", "strands", "nodes", "pills"].map((name) => {
        const layer = h("g", {});
        this.svg.append(layer);
        return [name, layer];
      }));
    }
    const { height, home, others } = layout(this.width, status.peers.length);
    set(this.svg, { viewBox: `0 0 ${this.width} ${height}`, height, "aria-label": summary(status) });
    this.taken = [];
    this.room = { width: this.width, height };
    const room = captionRoom(this.width, status.peers.length);
    this.node("home", home, status.region, homeState(status), room, true);
    status.peers.forEach((peer, i) => this.node(peer.name, others[i], peer.name, stateOf(peer), room, false));
    this.toldLinks(status, others);
    status.peers.forEach((peer, i) => this.link(peer, home, others[i], status));
    this.drawLegend(status);
  }

  part(layer, key, make) {
    if (!this.parts.has(key)) {
      const element = make();
      this.layers[layer].append(element);
      this.parts.set(key, element);
    }
    return this.parts.get(key);
  }

  node(key, at, name, state, room, home) {
    const node = this.part("nodes", `node ${key}`, () => h("g", {}, h("title", {}), h("circle", { r: radius }), h("path", { class: "glyph" }),
      h("text", { class: "name" }), h("text", { class: "state" })));
    const [title, , sign, label, word] = node.children;
    set(node, { class: `node tone-${state.tone}${home ? " home" : ""}`, transform: `translate(${at.x} ${at.y})` });
    set(sign, { d: glyphPath(state.glyph) });
    text(title, `${name}: ${state.word}`);
    text(label, fit(name, room, 8.6));
    text(word, fit(home && state.tone === "good" ? "this region" : state.word, room + 20, 6.9));
    const place = at.beside ? { x: radius + 10, y: -4 } : { x: 0, y: radius + 20 };
    set(label, { x: place.x, y: place.y, "text-anchor": at.beside ? "start" : "middle" });
    set(word, { x: place.x, y: place.y + 17, "text-anchor": at.beside ? "start" : "middle" });
    this.taken.push({ x: at.x - radius, y: at.y - radius, width: 2 * radius, height: 2 * radius });
    const wide = Math.max(label.textContent.length * 8.6, word.textContent.length * 6.9);
    this.taken.push({ x: at.x + (at.beside ? place.x : -wide / 2), y: at.y + place.y - 14, width: wide, height: 36 });
  }

  /** link draws what comes from a region, and what goes there. */
  link(peer, home, at, status) {
    const state = stateOf(peer);
    const up = isUp(peer);
    const alone = status.peers.length === 1;
    const bow = alone ? (Math.abs(at.x - home.x) < 60 ? 66 : 50) : 24;
    const comes = curve(at, home, bow);
    const goes = curve(home, at, bow);
    const rate = this.rates[peer.name] || 0;
    const thick = up ? 5 + Math.min(6, Math.log10(1 + rate) * 1.7) : 3;
    this.strand(`comes ${peer.name}`, comes, `strand in tone-${state.tone}${up ? "" : " broken"}`, thick);
    this.strand(`goes ${peer.name}`, goes, `strand out tone-${up ? "good" : state.tone}${up ? "" : " broken"}`, up ? 3.5 : 2);
    this.chevrons(peer.name, up ? comes : null);
    const flows = up && peer.state !== "paused" && peer.state !== "stalled" && rate > 0;
    this.strand(`flow ${peer.name}`, comes, `flow${flows ? " moving" : ""}`, flows ? null : 0);
    let label = up ? `lag ${millis(peer.lag_ms)}` : `${state.word} ${sinceText(peer.since, status.time)}`;
    if (up && peer.lag_effects > 0) label += `, ${whole(peer.lag_effects)} to come`;
    if (peer.state === "merge") label = state.word;
    this.pill(`pill ${peer.name}`, comes, label, `pill tone-${state.tone}`, true);
    const confirmed = peer.unacked_effects > 0 ? `${whole(peer.unacked_effects)} on the way` : "all confirmed";
    const worth = alone || peer.unacked_effects > 0;
    this.pill(`out ${peer.name}`, goes, worth && peer.id ? confirmed : "", "pill quiet", false);
  }

  /** chevrons show which way a strand goes, also to who wants no moving parts. */
  chevrons(name, path) {
    [0.13, 0.87].forEach((t, i) => {
      const element = this.part("strands", `chevron ${i} ${name}`, () => h("path", { class: "chevron", d: "M-3 -3.2L1.5 0L-3 3.2" }));
      set(element, { visibility: path ? null : "hidden" });
      if (!path) return;
      const a = path.at(t - 0.01), b = path.at(t + 0.01);
      const angle = (Math.atan2(b.y - a.y, b.x - a.x) * 180) / Math.PI;
      set(element, { transform: `translate(${a.x.toFixed(1)} ${a.y.toFixed(1)}) rotate(${angle.toFixed(1)})` });
    });
  }

  strand(key, path, name, width) {
    const element = this.part("strands", key, () => h("path", {}));
    set(element, { class: name, d: path.d, "stroke-width": width, visibility: width === 0 ? "hidden" : null });
  }

  /** pill writes a label on a curve, where there is room for it; one that finds none is left to the table below. */
  pill(key, path, label, name, always) {
    const element = this.part("pills", key, () => h("g", {}, h("rect", { height: 22, y: -11, rx: 11 }), h("text", { y: 4.4 })));
    let words = label;
    let box = null;
    for (let shorter = 0; words && !box && shorter < 2; shorter++) {
      if (shorter) words = words.split(/, | for /)[0];
      box = this.place(path, words.length * 7.1 + 20);
    }
    set(element, { class: name, visibility: box ? null : "hidden" });
    if (!box) return;
    this.taken.push(box);
    set(element, { transform: `translate(${box.x + box.width / 2} ${box.y + 11})` });
    set(element.firstChild, { x: -box.width / 2, width: box.width });
    text(element.lastChild, words);
  }

  place(path, width) {
    for (const t of [0.5, 0.42, 0.58, 0.34, 0.66, 0.27, 0.73]) {
      const p = path.at(t);
      const x = Math.min(Math.max(p.x - width / 2, 2), this.room.width - width - 2);
      const box = { x, y: p.y - 11, width, height: 22 };
      if (width <= this.room.width - 4 && !this.taken.some((other) => meets(box, other))) return box;
    }
    return null;
  }

  /** toldLinks are between other regions: how far each says that it has the other's writes. */
  toldLinks(status, others) {
    const shown = new Set();
    status.peers.forEach((a, i) => status.peers.forEach((b, k) => {
      if (k <= i) return;
      const behind = [[a, b], [b, a]].map(([one, other]) => [one, other, (one.others_lag_ms || {})[other.name]]).filter(([, , lag]) => lag !== undefined);
      if (!behind.length) return;
      const key = `told ${a.name} ${b.name}`;
      const path = curve(others[i], others[k], 0);
      set(this.part("told", key, () => h("path", { class: "told" })), { d: path.d, visibility: null });
      shown.add(key);
      const [one, , lag] = behind.sort((x, y) => y[2] - x[2])[0];
      const label = lag > told ? `${one.name}: ${millis(lag)} behind` : status.peers.length === 2 ? "in step, they say" : "";
      const tone = lag > 10000 ? "tone-warn" : "quiet";
      this.pill(`says ${a.name} ${b.name}`, path, label, `pill ${tone}`, false);
    }));
    for (const [key, element] of this.parts) if (key.startsWith("told ") && !shown.has(key)) set(element, { visibility: "hidden" });
  }

  drawLegend(status) {
    const line = (name, width) => h("svg", { width: 30, height: 10, "aria-hidden": "true" }, h("path", { class: name, d: "M2 5h26", "stroke-width": width }));
    const many = status.peers.length > 1;
    const key = `${status.peers.length} ${many}`;
    if (key === this.legendKey) return;
    this.legendKey = key;
    this.legend.replaceChildren(...(status.peers.length ? [
      h("span", {}, line("strand in tone-good", 6), "comes here, with its lag"),
      h("span", {}, line("strand out tone-good", 3.5), "goes there"),
      many && h("span", {}, line("told", 1.4), "as the others say of each other"),
    ].filter(Boolean) : ["No other regions are configured."]));
  }
}

function summary(status) {
  return `Region ${status.region} ${homeState(status).word}. ` + status.peers.map((peer) =>
    `Region ${peer.name}: ${stateOf(peer).word}${isUp(peer) ? `, lag ${millis(peer.lag_ms)}` : ""}.`).join(" ");
}

/** layout says where the regions lie. */
function layout(width, count) {
  const wide = width >= 560;
  const beside = (place) => ({ ...place, beside: true }); // its name stands beside it, since the strands leave below
  const at = (x, y) => ({ x: Math.round(x), y: Math.round(y) });
  if (count === 0) return { height: 150, home: at(width / 2, 56), others: [] };
  if (count === 1) {
    return wide ? { height: 260, home: at(width * 0.17, 112), others: [at(width * 0.83, 112)] }
      : { height: 370, home: beside(at(width / 2, 32)), others: [at(width / 2, 290)] };
  }
  if (count === 2) {
    return wide ? { height: 290, home: at(width * 0.16, 128), others: [at(width * 0.82, 34), at(width * 0.82, 218)] }
      : { height: 380, home: beside(at(width / 2, 32)), others: [at(width * 0.2, 300), at(width * 0.8, 300)] };
  }
  const height = (wide ? 400 : 460) + Math.max(0, count - 5) * (wide ? 20 : 45);
  const home = at(width / 2, height / 2 - 18);
  const rx = wide ? width * 0.38 : width / 2 - 62;
  const ry = height / 2 - 68;
  const others = [];
  for (let i = 0; i < count; i++) {
    const angle = (2 * Math.PI * (i + 0.5)) / count - Math.PI / 2;
    others.push(at(home.x + rx * Math.cos(angle), home.y + ry * Math.sin(angle)));
  }
  return { height, home, others };
}

const captionRoom = (width, count) => (count <= 1 ? width * 0.3 : width >= 560 ? 150 : 96);

/** fit shortens a name to about so many pixels. */
function fit(words, room, each) {
  const most = Math.max(4, Math.floor(room / each));
  return words.length <= most ? words : `${words.slice(0, most - 1)}…`;
}

/** curve leads from one node to another, bowed to its left. */
function curve(from, to, bow) {
  const dx = to.x - from.x, dy = to.y - from.y;
  const length = Math.hypot(dx, dy) || 1;
  const ux = dx / length, uy = dy / length;
  const edge = radius + 7;
  const a = { x: from.x + ux * edge, y: from.y + uy * edge };
  const b = { x: to.x - ux * edge, y: to.y - uy * edge };
  const c = { x: (a.x + b.x) / 2 + uy * 2 * bow, y: (a.y + b.y) / 2 - ux * 2 * bow };
  const round = (n) => Math.round(n * 10) / 10;
  return {
    d: `M${round(a.x)} ${round(a.y)}Q${round(c.x)} ${round(c.y)} ${round(b.x)} ${round(b.y)}`,
    at: (t) => ({
      x: (1 - t) * (1 - t) * a.x + 2 * t * (1 - t) * c.x + t * t * b.x,
      y: (1 - t) * (1 - t) * a.y + 2 * t * (1 - t) * c.y + t * t * b.y,
    }),
  };
}

const meets = (a, b) => a.x < b.x + b.width + 3 && b.x < a.x + a.width + 3 && a.y < b.y + b.height + 2 && b.y < a.y + a.height + 2;
