// Lines over time. The legend has the values: of now, or of where the pointer is.
import { h, set, text } from "./dom.js";

const colours = ["var(--s1)", "var(--s2)", "var(--s3)", "var(--s4)", "var(--s5)", "var(--s6)", "var(--s7)"];
const dashes = ["", "7 3", "2 3", "10 3 2 3"]; // so that lines differ without colour, too

const left = 54, right = 4, top = 10, bottom = 22, height = 168;

export class Plot {
  /** A plot with a title, and format for its values. */
  constructor(figure, title, format) {
    this.title = title;
    this.format = format;
    this.caption = h("figcaption", {}, title);
    this.keys = h("div", { class: "keys" });
    this.svg = h("svg", { role: "img", height });
    figure.append(this.caption, this.keys, this.svg);
    this.figure = figure;
    new ResizeObserver(() => this.data && this.draw(this.data)).observe(figure);
    const point = (event) => {
      const box = this.svg.getBoundingClientRect();
      this.pointer = event.clientX - box.left;
      this.draw(this.data);
    };
    this.svg.addEventListener("pointermove", (event) => this.data && point(event));
    this.svg.addEventListener("pointerdown", (event) => this.data && point(event));
    this.svg.addEventListener("pointerleave", () => { this.pointer = undefined; if (this.data) this.draw(this.data); });
  }

  /** draw takes {times, span, lines: [{label, values}]}: times in ms, the newest last; span of time to show. */
  draw(data) {
    this.data = data;
    const width = Math.max(240, Math.round(this.figure.clientWidth - parseFloat(getComputedStyle(this.figure).paddingLeft) * 2));
    const end = data.times.length ? data.times[data.times.length - 1] : Date.now();
    const begin = end - data.span;
    const first = data.times.findIndex((t) => t >= begin);
    const from = first < 0 ? data.times.length : Math.max(0, first - 1);
    let most = 0;
    for (const line of data.lines) for (let i = from; i < line.values.length; i++) most = Math.max(most, line.values[i] || 0);
    const step = niceStep(most / 3);
    const limit = Math.max(step, Math.ceil(most / step) * step);
    const x = (t) => left + ((t - begin) / data.span) * (width - left - right);
    const y = (v) => top + (1 - v / limit) * (height - top - bottom);
    const parts = [];
    for (let v = 0; v <= limit + step / 2; v += step) {
      parts.push(h("line", { class: "grid", x1: left, x2: width - right, y1: y(v), y2: y(v) }),
        h("text", { class: "tick", x: left - 7, y: y(v) + 4, "text-anchor": "end" }, this.format(v)));
    }
    const minutes = data.span / 60000;
    for (const part of [0, 0.5, 1]) {
      const label = part === 1 ? "now" : `−${minutes * (1 - part)} min`;
      parts.push(h("text", { class: "tick", x: x(begin + part * data.span), y: height - 5, "text-anchor": ["start", "middle", "end"][part * 2] }, label));
    }
    data.lines.forEach((line, i) => {
      const { d, area } = trace(line.values, data.times, from, x, y);
      if (i === 0 && area) parts.push(h("path", { class: "area", d: area, fill: colours[0] }));
      parts.push(h("path", { class: "line", d, stroke: colours[i % colours.length], "stroke-dasharray": dashes[i % dashes.length] || null }));
    });
    let shown = data.times.length - 1;
    if (this.pointer !== undefined && data.times.length > from) {
      const t = begin + ((this.pointer - left) / (width - left - right)) * data.span;
      shown = nearest(data.times, from, t);
      parts.push(h("line", { class: "cursor", x1: x(data.times[shown]), x2: x(data.times[shown]), y1: top, y2: height - bottom }));
    }
    set(this.svg, { viewBox: `0 0 ${width} ${height}` });
    this.svg.replaceChildren(...parts);
    this.drawKeys(data, shown, end);
  }

  drawKeys(data, shown, end) {
    const back = this.pointer === undefined || shown < 0 ? "" : `, ${Math.round((end - data.times[shown]) / 1000)} s ago`;
    text(this.caption, this.title + back);
    const labels = data.lines.map((line) => line.label).join("\n");
    if (labels !== this.labels) {
      this.labels = labels;
      this.keys.replaceChildren(...data.lines.map((line, i) => h("span", {},
        h("svg", { width: 20, height: 8, "aria-hidden": "true" }, h("path", { class: "line", d: "M1 4h18", stroke: colours[i % colours.length], "stroke-dasharray": dashes[i % dashes.length] || null })),
        h("i", { class: "label" }, line.label), h("b", {}))));
      this.keys.querySelectorAll("i").forEach((label) => label.replaceWith(document.createTextNode(label.textContent)));
    }
    const words = [];
    data.lines.forEach((line, i) => {
      const value = shown < 0 ? null : line.values[shown];
      const written = value === null || value === undefined ? "–" : this.format(value);
      text(this.keys.children[i].lastChild, written);
      words.push(`${line.label} ${written}`);
    });
    set(this.svg, { "aria-label": `${this.title}: ${words.join(", ") || "nothing"}` });
  }
}

function trace(values, times, from, x, y) {
  let d = "", area = "", open = null;
  const close = (i) => { if (open !== null) area += `L${x(times[i]).toFixed(1)} ${y(0).toFixed(1)}L${x(times[open]).toFixed(1)} ${y(0).toFixed(1)}Z`; open = null; };
  for (let i = from; i < values.length; i++) {
    if (values[i] === null || values[i] === undefined) { close(i - 1); continue; }
    const point = `${Math.max(left, x(times[i])).toFixed(1)} ${y(values[i]).toFixed(1)}`;
    d += (open === null ? "M" : "L") + point;
    area += (open === null ? `M${Math.max(left, x(times[i])).toFixed(1)} ${y(0).toFixed(1)}L` : "L") + point;
    if (open === null) open = i;
  }
  close(values.length - 1);
  return { d, area };
}

function niceStep(rough) {
  if (!(rough > 0)) return 1;
  const power = 10 ** Math.floor(Math.log10(rough));
  const part = rough / power;
  return Math.max(1, (part <= 1 ? 1 : part <= 2 ? 2 : part <= 5 ? 5 : 10) * power);
}

function nearest(times, from, t) {
  let best = from;
  for (let i = from; i < times.length; i++) if (Math.abs(times[i] - t) < Math.abs(times[best] - t)) best = i;
  return best;
}
