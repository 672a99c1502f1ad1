// Elements, without a library. Text is always text: nothing that comes from a key or an error is ever read as HTML.

const svgNames = new Set(["svg", "g", "path", "circle", "rect", "line", "text", "title", "marker", "defs"]);

/** h makes an element: h("p", {class: "note"}, "text", child …). What is null or false is left out. */
export function h(name, attributes, ...children) {
  const element = svgNames.has(name) ? document.createElementNS("http://www.w3.org/2000/svg", name) : document.createElement(name);
  set(element, attributes);
  element.append(...children.flat().filter((child) => child !== null && child !== undefined && child !== false));
  return element;
}

/** set changes attributes where they differ, so that nothing is drawn anew without need. */
export function set(element, attributes) {
  for (const [name, value] of Object.entries(attributes || {})) {
    if (value === null || value === undefined || value === false) element.removeAttribute(name);
    else if (element.getAttribute(name) !== String(value)) element.setAttribute(name, value);
  }
}

/** text changes the text of an element where it differs. */
export function text(element, value) {
  if (element.textContent !== value) element.textContent = value;
}

/** memo calls draw only when the input has changed, so that what somebody reads or selects stays. */
export function memo(draw) {
  let last;
  return (input) => {
    const now = JSON.stringify(input);
    if (now === last) return;
    last = now;
    draw(input);
  };
}

export const byId = (id) => document.getElementById(id);
