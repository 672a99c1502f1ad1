// Where the regions of the map lie, and which way the strands between them take.

export const radius = 24;

const edge = radius + 7; // strands begin and end so far from the middle of a region
const apart = 8; // px between the two strands of a link in a delta

/** layout places this region and count others on a map of some width. Up to two others lie around; more flow together as a delta does. */
export function layout(width, count) {
  const wide = width >= 560;
  const at = (x, y, more) => ({ x: Math.round(x), y: Math.round(y), ...more });
  const beside = { beside: true }; // the name stands beside the circle, where strands leave below or come from the left
  if (count === 0) return { height: 150, home: at(width / 2, 56), others: [], room: width * 0.6 };
  if (count === 1) {
    return wide ? { height: 260, home: at(width * 0.17, 112), others: [at(width * 0.83, 112)], room: width * 0.28 }
      : { height: 370, home: at(width / 2, 32, beside), others: [at(width / 2, 290)], room: width * 0.36 };
  }
  if (count === 2) {
    return wide ? { height: 290, home: at(width * 0.16, 128), others: [at(width * 0.82, 34), at(width * 0.82, 218)], room: width * 0.28 }
      : { height: 380, home: at(width / 2, 32, beside), others: [at(width * 0.2, 300), at(width * 0.8, 300)], room: width * 0.36 };
  }
  const row = wide ? (count > 6 ? 58 : 66) : 70;
  const others = Array.from({ length: count }, (_, i) => (wide ? at(width * 0.72, 36 + i * row, beside) : at(width * 0.54, 112 + i * row, beside)));
  const last = others[count - 1].y;
  return wide ? { height: last + 40, home: at(width * 0.13, (36 + last) / 2), others, room: width * 0.28 - radius - 14, delta: true, wide }
    : { height: last + 44, home: at(34, 32, beside), others, room: width * 0.46 - radius - 14, delta: true, wide };
}

/** strands are the ways of a link: what comes from a region, and what goes there. Each is a path, with the points on it. */
export function strands(plan, home, other) {
  if (!plan.delta) {
    const bow = plan.others.length > 1 ? 24 : Math.abs(other.x - home.x) < 60 ? 66 : 50;
    return { comes: arc(other, home, bow), goes: arc(home, other, bow) };
  }
  const way = plan.wide ? slope : bend;
  return { comes: way(home, other, apart / 2, true), goes: way(home, other, -apart / 2, false) };
}

/** arc leads from one region to another, bowed to its left. */
export function arc(from, to, bow) {
  const dx = to.x - from.x, dy = to.y - from.y;
  const length = Math.hypot(dx, dy) || 1;
  const ux = dx / length, uy = dy / length;
  const a = { x: from.x + ux * edge, y: from.y + uy * edge };
  const b = { x: to.x - ux * edge, y: to.y - uy * edge };
  const c = { x: (a.x + b.x) / 2 + uy * 2 * bow, y: (a.y + b.y) / 2 - ux * 2 * bow };
  return {
    d: `M${write(a)}Q${write(c)} ${write(b)}`,
    at: (t) => ({ x: (1 - t) ** 2 * a.x + 2 * t * (1 - t) * c.x + t * t * b.x, y: (1 - t) ** 2 * a.y + 2 * t * (1 - t) * c.y + t * t * b.y }),
  };
}

/** slope leads across, level at both ends. */
function slope(home, other, off, back) {
  let points = [{ x: home.x + edge, y: home.y + off }, { y: home.y + off }, { y: other.y + off }, { x: other.x - edge, y: other.y + off }];
  points[1].x = points[2].x = (points[0].x + points[3].x) / 2;
  if (back) points = points.reverse();
  const [a, b, c, d] = points;
  const mix = (t, k) => (1 - t) ** 3 * a[k] + 3 * t * (1 - t) ** 2 * b[k] + 3 * t * t * (1 - t) * c[k] + t ** 3 * d[k];
  return { d: `M${write(a)}C${write(b)} ${write(c)} ${write(d)}`, at: (t) => ({ x: mix(t, "x"), y: mix(t, "y") }), labels: back ? [0.22, 0.28, 0.16, 0.34] : [0.58, 0.64, 0.52] };
}

/** bend leads down and then to the right. Labels find room on the level part. */
function bend(home, other, off, back) {
  const x = home.x - off, y = other.y + off, corner = 22;
  const end = other.x - edge;
  const d = back ? `M${end} ${y}H${x + corner}Q${x} ${y} ${x} ${y - corner}V${home.y + edge}` : `M${x} ${home.y + edge}V${y - corner}Q${x} ${y} ${x + corner} ${y}H${end}`;
  const from = back ? end : x + corner, to = back ? x + corner : end;
  return { d, at: (t) => ({ x: from + t * (to - from), y }), labels: back ? [0.5] : [] };
}

const write = (p) => `${Math.round(p.x * 10) / 10} ${Math.round(p.y * 10) / 10}`;
