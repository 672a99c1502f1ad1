package dashboard

import (
	"encoding/json"
	"strings"
)

// shapeScript looks at the page as it lies there: is it wider than the screen, do words lie over other words, do words run out of
// the boxes that hold them?
const shapeScript = `(() => {
  const faults = [];
  const wide = document.documentElement.scrollWidth - document.documentElement.clientWidth;
  if (wide > 0) faults.push('the page is ' + wide + ' px wider than the screen');
  const seen = (element) => {
    for (let e = element; e && e !== document.documentElement; e = e.parentElement) {
      const style = getComputedStyle(e);
      if (style.visibility === 'hidden' || style.display === 'none' || style.opacity === '0' || style.clipPath !== 'none') return false;
    }
    return true;
  };
  const within = (box, element) => { // the part that boxes that scroll let one see
    let { left, right, top, bottom } = box;
    for (let e = element; e && e !== document.body; e = e.parentElement) {
      if (getComputedStyle(e).overflowY === 'visible') continue;
      const hole = e.getBoundingClientRect();
      left = Math.max(left, hole.left); right = Math.min(right, hole.right);
      top = Math.max(top, hole.top); bottom = Math.min(bottom, hole.bottom);
    }
    return right - left > 1 && bottom - top > 1 ? { left, right, top, bottom } : null;
  };
  const words = [];
  const walk = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  for (let node = walk.nextNode(); node; node = walk.nextNode()) {
    const holder = node.parentElement;
    if (!node.data.trim() || ['TITLE', 'title', 'SCRIPT', 'NOSCRIPT'].includes(holder.tagName) || !seen(holder)) continue;
    const range = document.createRange();
    range.selectNodeContents(node);
    const boxes = holder.namespaceURI.endsWith('svg') ? [holder.getBoundingClientRect()] : [...range.getClientRects()];
    for (const box of boxes) {
      const part = within(box, holder);
      if (part) words.push({ text: node.data.trim().slice(0, 40), holder, part });
      if (box.width && (box.left < -1 || box.right > document.documentElement.clientWidth + 1)) faults.push('"' + node.data.trim().slice(0, 40) + '" runs out of the screen');
      const svg = holder.closest('svg');
      if (svg) {
        const frame = svg.getBoundingClientRect();
        if (box.left < frame.left - 1 || box.right > frame.right + 1 || box.top < frame.top - 1 || box.bottom > frame.bottom + 1) faults.push('"' + node.data.trim() + '" is cut off');
      }
    }
  }
  for (let i = 0; i < words.length; i++) for (let k = i + 1; k < words.length; k++) {
    const a = words[i], b = words[k];
    if (a.holder === b.holder) continue;
    const x = Math.min(a.part.right, b.part.right) - Math.max(a.part.left, b.part.left);
    const y = Math.min(a.part.bottom, b.part.bottom) - Math.max(a.part.top, b.part.top);
    if (x > 2 && y > 4) faults.push('"' + a.text + '" lies over "' + b.text + '"');
  }
  for (const pill of document.querySelectorAll('.pill')) {
    if (!seen(pill)) continue;
    const box = pill.querySelector('rect').getBoundingClientRect(), label = pill.querySelector('text').getBoundingClientRect();
    if (label.left < box.left || label.right > box.right) faults.push('"' + pill.textContent + '" is wider than its pill');
    for (const other of document.querySelectorAll('.pill rect, .node circle')) {
      if (pill.contains(other) || !seen(other)) continue;
      const b = other.getBoundingClientRect();
      if (Math.min(box.right, b.right) - Math.max(box.left, b.left) > 1 && Math.min(box.bottom, b.bottom) - Math.max(box.top, b.top) > 1) faults.push('"' + pill.textContent + '" lies over something else of the map');
    }
  }
  return JSON.stringify(faults);
})()`

// inShape fails the test when something on the page does not fit.
func (p *page) inShape() {
	p.t.Helper()
	var faults []string
	if err := json.Unmarshal([]byte(value[string](p, shapeScript)), &faults); err != nil {
		p.t.Fatal(err)
	}
	if len(faults) > 0 {
		p.picture("misshapen")
		p.t.Errorf("on the page:\n%s", strings.Join(faults, "\n"))
	}
}
