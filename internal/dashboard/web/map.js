// The map: this region, the others, and two strands between them, what comes and what goes.
import { h, set, text } from "./dom.js";
import { millis, whole } from "./format.js";
import { arc, layout, radius, strands } from "./layout.js";
import { fit, measure } from "./measure.js";
import { glyphPath, homeState, isUp, stateOf, sinceText } from "./states.js";

const fonts = { name: "650 15px", word: "400 12.5px", pill: "600 12.5px" }; // as in style.css
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
    const plan = layout(this.width, status.peers.length);
    const { height, home, others, room } = plan;
    set(this.svg, { viewBox: `0 0 ${this.width} ${height}`, height, "aria-label": summary(status) });
    this.taken = [];
    this.room = { width: this.width, height };
    const state = homeState(status);
    this.node("home", home, status.region, { ...state, word: state.tone === "good" ? "this region" : state.word }, room, true);
    status.peers.forEach((peer, i) => {
      const shown = stateOf(peer);
      const behind = plan.delta ? slowest(peer) : null; // more than three regions: too many lines for what they say of each other
      this.node(peer.name, others[i], peer.name, behind ? { ...shown, word: `${shown.word}, says ${millis(behind[1])} behind ${behind[0]}` } : shown, room, false);
    });
    if (!plan.delta) this.toldLinks(status, others);
    status.peers.forEach((peer, i) => this.link(peer, strands(plan, home, others[i]), status, plan));
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
    text(label, fit(name, room, fonts.name));
    text(word, fit(state.word, room, fonts.word));
    const place = at.beside ? { x: radius + 10, y: -4 } : { x: 0, y: radius + 20 };
    set(label, { x: place.x, y: place.y, "text-anchor": at.beside ? "start" : "middle" });
    set(word, { x: place.x, y: place.y + 17, "text-anchor": at.beside ? "start" : "middle" });
    this.taken.push({ x: at.x - radius, y: at.y - radius, width: 2 * radius, height: 2 * radius });
    const wide = Math.max(measure(label.textContent, fonts.name), measure(word.textContent, fonts.word));
    this.taken.push({ x: at.x + (at.beside ? place.x : -wide / 2), y: at.y + place.y - 14, width: wide, height: 36 });
  }

  /** link draws what comes from a region, and what goes there. */
  link(peer, { comes, goes }, status, plan) {
    const state = stateOf(peer);
    const up = isUp(peer);
    const alone = status.peers.length === 1;
    const rate = this.rates[peer.name] || 0;
    const thick = up ? (plan.delta ? 4 : 5) + Math.min(6, Math.log10(1 + rate) * 1.7) : 3;
    this.strand(`comes ${peer.name}`, comes, `strand in tone-${state.tone}${up ? "" : " broken"}`, thick);
    this.strand(`goes ${peer.name}`, goes, `strand out tone-${up ? "good" : state.tone}${up ? "" : " broken"}`, up ? 3.5 : 2);
    this.chevrons(peer.name, up ? comes : null, plan.delta ? [0.13] : [0.13, 0.87]);
    const flows = up && peer.state !== "paused" && peer.state !== "stalled" && rate > 0;
    this.strand(`flow ${peer.name}`, comes, `flow${flows ? " moving" : ""}`, flows ? null : 0);
    let label = up ? `lag ${millis(peer.lag_ms)}` : `${state.word} ${sinceText(peer.since, status.time)}`;
    if (up && peer.lag_effects > 0) label += `, ${whole(peer.lag_effects)} to come`;
    if (peer.state === "merge") label = state.word;
    this.pill(`pill ${peer.name}`, comes, label, `pill tone-${state.tone}`);
    const confirmed = peer.unacked_effects > 0 ? `${whole(peer.unacked_effects)} on the way` : "all confirmed";
    const worth = alone || peer.unacked_effects > 0;
    this.pill(`out ${peer.name}`, goes, worth && peer.id ? confirmed : "", "pill quiet");
  }

  /** chevrons show which way a strand goes, also to who wants no moving parts. */
  chevrons(name, path, places) {
    places.forEach((t, i) => {
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
  pill(key, path, label, name) {
    const element = this.part("pills", key, () => h("g", {}, h("rect", { height: 22, y: -11, rx: 11 }), h("text", { y: 4.4 })));
    let words = label;
    let box = null;
    for (let shorter = 0; words && !box && shorter < 2; shorter++) {
      if (shorter) words = words.split(/, | for /)[0];
      box = this.place(path, Math.ceil(measure(words, fonts.pill)) + 20);
    }
    set(element, { class: name, visibility: box ? null : "hidden" });
    if (!box) return;
    this.taken.push(box);
    set(element, { transform: `translate(${box.x + box.width / 2} ${box.y + 11})` });
    set(element.firstChild, { x: -box.width / 2, width: box.width });
    text(element.lastChild, words);
  }

  place(path, width) {
    for (const t of path.labels || [0.5, 0.42, 0.58, 0.34, 0.66, 0.27, 0.73]) {
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
      const path = arc(others[i], others[k], 0);
      set(this.part("told", key, () => h("path", { class: "told" })), { d: path.d, visibility: null });
      shown.add(key).add(`says ${a.name} ${b.name}`);
      const [one, , lag] = behind.sort((x, y) => y[2] - x[2])[0];
      const label = lag > told ? `${fit(one.name, 96, fonts.pill)}: ${millis(lag)} behind` : status.peers.length === 2 ? "in step, they say" : "";
      const tone = lag > 10000 ? "tone-warn" : "quiet";
      this.pill(`says ${a.name} ${b.name}`, path, label, `pill ${tone}`);
    }));
    for (const [key, element] of this.parts) if (/^(told|says) /.test(key) && !shown.has(key)) set(element, { visibility: "hidden" });
  }

  drawLegend(status) {
    const line = (name, width) => h("svg", { width: 30, height: 10, "aria-hidden": "true" }, h("path", { class: name, d: "M2 5h26", "stroke-width": width }));
    const three = status.peers.length === 2;
    const key = status.peers.length;
    if (key === this.legendKey) return;
    this.legendKey = key;
    this.legend.replaceChildren(...(status.peers.length ? [
      h("span", {}, line("strand in tone-good", 6), "comes here, with its lag"),
      h("span", {}, line("strand out tone-good", 3.5), "goes there"),
      three && h("span", {}, line("told", 1.4), "as the others say of each other"),
    ].filter(Boolean) : ["No other regions are configured."]));
  }
}

/** slowest is which other region's writes a region lacks most of, and for how long, as it says itself; nothing when it keeps up. */
function slowest(peer) {
  const worst = Object.entries(peer.others_lag_ms || {}).sort((a, b) => b[1] - a[1])[0];
  return worst && worst[1] > told ? worst : null;
}

function summary(status) {
  return `Region ${status.region} ${homeState(status).word}. ` + status.peers.map((peer) =>
    `Region ${peer.name}: ${stateOf(peer).word}${isUp(peer) ? `, lag ${millis(peer.lag_ms)}` : ""}.`).join(" ");
}

const meets = (a, b) => a.x < b.x + b.width + 3 && b.x < a.x + a.width + 3 && a.y < b.y + b.height + 2 && b.y < a.y + a.height + 2;
