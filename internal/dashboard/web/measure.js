// How wide words are, so that a label fits where it stands, whatever the fonts of the machine.

const pen = document.createElement("canvas").getContext("2d");
const family = getComputedStyle(document.body).fontFamily;
const widths = new Map();
const most = 2000; // widths that are remembered

/** measure is the width of words in pixels. The font is a weight and a size, as in "650 15px". */
export function measure(words, font) {
  const key = `${font} ${words}`;
  if (!widths.has(key)) {
    if (widths.size >= most) widths.clear();
    pen.font = `${font} ${family}`;
    widths.set(key, pen.measureText(words).width);
  }
  return widths.get(key);
}

/** fit shortens words to some pixels. */
export function fit(words, room, font) {
  if (measure(words, font) <= room) return words;
  let length = words.length - 1;
  while (length > 1 && measure(`${words.slice(0, length)}…`, font) > room) length--;
  return `${words.slice(0, length).trimEnd()}…`;
}
