// Asks the proxy each second, keeps what it has told, and draws.
import { byId, h, set, text } from "./dom.js";
import { millis, rate } from "./format.js";
import { RegionMap } from "./map.js";
import { Plot } from "./plot.js";
import { drawAlerts, drawBar, drawConflicts, drawFigures, drawFooter, drawGlance, drawHeadline, drawLinks } from "./panels.js";

const period = 1000; // ms
const most = 900; // samples kept, as in the proxy

const past = { times: [], reads: [], writes: [], others: [], failures: [], written: [], peers: {} };
let run = "", next = 0, frame = null, heard = 0;
let span = 5 * 60e3;

const map = new RegionMap(byId("map"), byId("map-legend"));
const commands = new Plot(byId("plot-commands"), "Commands per second, this proxy", rate);
const effects = new Plot(byId("plot-effects"), "Log entries per second, by region", rate);
const lag = new Plot(byId("plot-lag"), "Lag behind each region", millis);

/** take adds the samples that came to those that are here. */
function take(f) {
  if (f.run !== run) for (const name of Object.keys(past)) past[name] = name === "peers" ? {} : [];
  const before = past.times.length;
  const gone = Math.max(0, before + f.past.times.length - most);
  for (const name of ["times", "reads", "writes", "others", "failures", "written"]) past[name] = past[name].concat(f.past[name]).slice(gone);
  const peers = {};
  for (const [name, columns] of Object.entries(f.past.peers)) {
    const old = past.peers[name] || { lag_ms: new Array(before).fill(null), applied: new Array(before).fill(null) };
    peers[name] = { lag_ms: old.lag_ms.concat(columns.lag_ms).slice(gone), applied: old.applied.concat(columns.applied).slice(gone) };
  }
  past.peers = peers;
  run = f.run;
  next = f.next;
  frame = f;
}

function draw() {
  const { status } = frame;
  const names = status.peers.map((peer) => peer.name);
  const rates = Object.fromEntries(names.map((name) => [name, (past.peers[name] || { applied: [] }).applied.at(-1)]));
  drawBar(status);
  drawHeadline(status);
  const newest = [past.reads, past.writes, past.others].map((values) => values.at(-1));
  drawGlance(status, newest.includes(null) ? null : newest.reduce((sum, n) => sum + n, 0));
  map.draw(status, rates);
  drawAlerts(status.alerts || []);
  drawPlots();
  drawConflicts(frame);
  drawFigures(status);
  drawLinks({ peers: status.peers, now: status.time });
  drawFooter(status);
}

function drawPlots() {
  const { status } = frame;
  const peers = status.peers.map((peer) => peer.name).filter((name) => past.peers[name]);
  const failed = past.failures.some((n) => n > 0);
  const lines = [{ label: "reads", values: past.reads }, { label: "writes", values: past.writes }, { label: "other", values: past.others }];
  if (failed) lines.push({ label: "errors", values: past.failures });
  commands.draw({ times: past.times, span, lines });
  effects.draw({ times: past.times, span, lines: [...peers.map((name) => ({ label: `from ${name}`, values: past.peers[name].applied }))] });
  lag.draw({ times: past.times, span, lines: peers.map((name) => ({ label: name, values: past.peers[name].lag_ms })) });
}

function drawRange() {
  byId("range").replaceChildren(...[1, 5, 15].map((minutes) => {
    const button = h("button", { type: "button", "aria-pressed": String(span === minutes * 60e3) }, `${minutes} min`);
    button.addEventListener("click", () => {
      span = minutes * 60e3;
      for (const other of byId("range").children) set(other, { "aria-pressed": String(other === button) });
      if (frame) drawPlots();
    });
    return button;
  }));
}

/** stale tells when the proxy does not answer: what is on the page is old then. */
function stale() {
  const quiet = Date.now() - heard;
  const old = heard > 0 && quiet > 4 * period;
  document.body.classList.toggle("is-stale", old);
  byId("stale").hidden = !old;
  if (old) text(byId("stale"), `This proxy has not answered for ${millis(quiet)}. What you see is from before.`);
}

/** ask gets what is new; nothing when the proxy is away or restarts: the banner says so, and it is asked again. */
async function ask() {
  try {
    const answer = await fetch(`/dashboard/data?run=${run}&from=${next}`, { signal: AbortSignal.timeout(5 * period), cache: "no-store" });
    return answer.ok ? await answer.json() : null;
  } catch {
    return null;
  }
}

async function turn() {
  const f = await ask();
  if (f) heard = Date.now();
  if (f && f.next > 0) {
    take(f);
    draw();
  }
  stale();
}

/** forever asks while somebody can see the page. */
async function forever() {
  for (;;) {
    if (!document.hidden) await turn();
    await new Promise((resolve) => {
      const timer = setTimeout(resolve, period);
      if (document.hidden) document.addEventListener("visibilitychange", () => { clearTimeout(timer); resolve(); }, { once: true });
    });
  }
}

drawRange();
forever();
