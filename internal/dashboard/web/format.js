// Numbers and times for people.

const plain = new Intl.NumberFormat("en", { maximumFractionDigits: 0 });
const short = new Intl.NumberFormat("en", { notation: "compact", maximumFractionDigits: 1 });

export const whole = (n) => (Math.abs(n) < 1e9 ? plain.format(n) : short.format(n));

/** rate is a number per second. */
export function rate(n) {
  if (n === null || n === undefined) return "–";
  return n >= 10000 ? short.format(n) : n >= 10 || n === 0 ? plain.format(n) : n.toFixed(1);
}

/** millis is a span of time: "12 ms", "3.4 s", "7 min". */
export function millis(ms) {
  if (ms === null || ms === undefined) return "–";
  const sign = ms < 0 ? "−" : "";
  ms = Math.abs(ms);
  if (ms < 1000) return `${sign}${Math.round(ms)} ms`;
  if (ms < 10000) return `${sign}${(ms / 1000).toFixed(1)} s`;
  if (ms < 120e3) return `${sign}${Math.round(ms / 1000)} s`;
  if (ms < 120 * 60e3) return `${sign}${Math.round(ms / 60e3)} min`;
  if (ms < 48 * 3600e3) return `${sign}${Math.round(ms / 3600e3)} h`;
  return `${sign}${Math.round(ms / 86400e3)} days`;
}

export function bytes(n) {
  const units = ["bytes", "KiB", "MiB", "GiB", "TiB"];
  let unit = 0;
  while (n >= 1024 && unit < units.length - 1) { n /= 1024; unit++; }
  return `${unit === 0 || n >= 100 ? Math.round(n) : n.toFixed(1)} ${units[unit]}`;
}

/** many is a number with its noun: "1 key", "2 keys". */
export const many = (n, noun) => `${whole(n)} ${noun}${n === 1 ? "" : "s"}`;

export const clock = (ms) => new Date(ms).toLocaleTimeString([], { hour12: false });
