// Numbers, times and elements. Whatever comes from the fleet becomes text of a node, never markup.

const SVG = "http://www.w3.org/2000/svg";

/** el returns a new element with attributes and children; strings become text. */
export function el(tag, attrs, ...children) { return fill(document.createElement(tag), attrs, children); }

/** svg is el for SVG. */
export function svg(tag, attrs, ...children) { return fill(document.createElementNS(SVG, tag), attrs, children); }

function fill(node, attrs, children) {
  for (const [name, value] of Object.entries(attrs || {})) {
    if (value === undefined || value === null || value === false) continue;
    if (name === "on") for (const [event, f] of Object.entries(value)) node.addEventListener(event, f);
    else node.setAttribute(name, value === true ? "" : String(value));
  }
  node.append(...children.flat().filter((c) => c !== undefined && c !== null && c !== false).map((c) => (c instanceof Node ? c : String(c))));
  return node;
}

/** text sets a node's text if it is another one. */
export function text(node, value) { if (node.textContent !== value) node.textContent = value; }

/** color makes node's background c. The page's policy forbids style attributes, and this is none. */
export function color(node, c) { node.style.background = c; return node; }

const whole = new Intl.NumberFormat("en-US", { maximumFractionDigits: 0 });

/** num writes a whole number. */
export function num(n) { return whole.format(n || 0); }

/** rate writes how many a second, with as many digits as tell something. */
export function rate(n) {
  if (!(n > 0)) return "0";
  if (n < 9.95) return n.toFixed(1);
  if (n < 99_999.5) return num(n);
  if (n < 999_950) return (n / 1e3).toFixed(0) + "k";
  return (n / 1e6).toFixed(n < 9.95e6 ? 2 : 1) + "M";
}

const never = 9e18;

/** span writes a duration of ns nanoseconds. */
export function span(ns) {
  if (ns >= never) return "never";
  const s = ns / 1e9;
  if (s < 0.001) return `${Math.max(0, Math.round(ns / 1e3))} µs`;
  if (s < 1) return `${Math.round(s * 1e3)} ms`;
  if (s < 10) return `${s.toFixed(1)} s`;
  if (s < 90) return `${Math.round(s)} s`;
  if (s < 5400) return `${Math.floor(s / 60)} min`;
  if (s < 172_800) return `${Math.floor(s / 3600)} h ${Math.floor((s % 3600) / 60)} min`;
  return `${Math.floor(s / 86_400)} d`;
}

/** clock writes a time of day. */
export function clock(at) { return new Date(at).toLocaleTimeString([], { hour: "2-digit", minute: "2-digit", second: "2-digit", hour12: false }); }

/** short cuts a name that is too long for its place. */
export function short(s, most) { return s.length > most ? s.slice(0, most - 1) + "…" : s; }

const hues = ["#138a8f", "#e2a02e", "#6879d6", "#cf5f5b", "#58a55c", "#b07cc0", "#3f9be0", "#c98a4b", "#8a9a2c", "#d4739a", "#5d7f95", "#a3683f"];
const given = new Map();

/** hue returns the colour of a member: the same for as long as the page is open, whoever comes and goes. */
export function hue(id) {
  if (!given.has(id)) given.set(id, hues[given.size % hues.length]);
  return given.get(id);
}
