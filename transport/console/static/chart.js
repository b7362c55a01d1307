// The chart of decisions a second: what was allowed, denied and degraded, one above the other.

import { svg, el, color, text, rate } from "./format.js";

const kinds = [["allowed", "Allowed"], ["denied", "Denied"], ["degraded", "Degraded"]];
const shown = 120_000, left = 46, bottom = 20, top = 8;

/** nice returns a round number that is no less than n. */
function nice(n) {
  const ten = 10 ** Math.floor(Math.log10(Math.max(n, 1)));
  return [1, 2, 3, 4, 5, 8, 10].map((k) => k * ten).find((v) => v >= n);
}

export class Chart {
  constructor(root, legend) {
    this.root = root;
    this.samples = [];
    this.svg = svg("svg", { role: "img", "aria-label": "Decisions a second" });
    this.tip = el("div", { class: "tip", hidden: true });
    this.wait = el("p", { class: "wait" }, "Waiting for the first figures");
    this.areas = kinds.map(([k]) => svg("path", { fill: `var(--${k})`, "fill-opacity": 0.2 }));
    this.edges = kinds.map(([k]) => svg("path", { fill: "none", stroke: `var(--${k})`, "stroke-width": 2, "stroke-linejoin": "round", "stroke-linecap": "round" }));
    this.grid = svg("g");
    this.cursor = svg("line", { class: "cursor", visibility: "hidden" });
    this.svg.append(this.grid, ...this.areas, ...this.edges, this.cursor);
    root.append(this.svg, this.tip, this.wait);
    this.values = kinds.map(([k, name]) => {
      const b = el("b", null, "–");
      legend.append(el("li", null, color(el("span", { class: "swatch" }), `var(--${k})`), name + " ", b));
      return b;
    });
    new ResizeObserver(() => this.draw()).observe(root);
    root.addEventListener("pointermove", (e) => this.point(e));
    root.addEventListener("pointerleave", () => this.leave());
  }

  /** start shows what was before the page was opened. */
  start(samples) { this.samples = (samples || []).map((s) => ({ ...s, t: Date.parse(s.at) })); this.draw(); }

  /** add shows one sample more. */
  add(s) {
    const t = Date.parse(s.at), last = this.samples.at(-1);
    if (last && t - last.t < 900) return;
    this.samples.push({ ...s, t });
    while (this.samples.length > 400) this.samples.shift();
    kinds.forEach(([k], i) => text(this.values[i], rate(s[k])));
    this.svg.setAttribute("aria-label", `Decisions a second: ${kinds.map(([k, name]) => `${name.toLowerCase()} ${rate(s[k])}`).join(", ")}`);
    this.draw();
  }

  draw() {
    const width = this.root.clientWidth, height = this.root.clientHeight;
    if (!width || !height) return;
    this.wait.hidden = this.samples.length > 1;
    const end = this.samples.at(-1)?.t || 0;
    const visible = this.samples.filter((s) => s.t >= end - shown);
    const most = nice(Math.max(1, ...visible.map((s) => s.allowed + s.denied + s.degraded)) * 1.05);
    const x = (t) => left + ((t - end + shown) / shown) * (width - left - 2), y = (v) => height - bottom - (v / most) * (height - bottom - top);
    this.view = { visible, x, y, width, height };
    this.svg.setAttribute("viewBox", `0 0 ${width} ${height}`);
    const lines = [0, most / 2, most].flatMap((v) => [
      svg("line", { class: "grid", x1: left, x2: width, y1: y(v), y2: y(v) }), svg("text", { x: left - 8, y: y(v) + 4, "text-anchor": "end" }, rate(v))]);
    const times = [[-120, "2 min ago", "start"], [-60, "1 min", "middle"], [0, "now", "end"]].map(([s, name, anchor]) =>
      svg("text", { x: x(end + s * 1000), y: height - 4, "text-anchor": anchor }, name));
    this.grid.replaceChildren(...lines, ...times);
    let floor = visible.map(() => 0);
    kinds.forEach(([k], i) => {
      const roof = visible.map((s, at) => floor[at] + s[k]);
      const some = visible.some((s) => s[k] > 0);
      const up = visible.map((s, at) => `${x(s.t).toFixed(1)} ${y(roof[at]).toFixed(1)}`);
      const down = visible.map((s, at) => `${x(s.t).toFixed(1)} ${y(floor[at]).toFixed(1)}`).reverse();
      this.areas[i].setAttribute("d", some && visible.length > 1 ? `M${up.join("L")}L${down.join("L")}Z` : "");
      this.edges[i].setAttribute("d", some && visible.length > 1 ? `M${up.join("L")}` : "");
      floor = roof;
    });
  }

  point(e) {
    const v = this.view;
    if (!v || v.visible.length < 2) return;
    const at = e.clientX - this.root.getBoundingClientRect().left;
    const s = v.visible.reduce((best, it) => (Math.abs(v.x(it.t) - at) < Math.abs(v.x(best.t) - at) ? it : best));
    const px = v.x(s.t);
    for (const [name, value] of Object.entries({ x1: px, x2: px, y1: top, y2: v.height - bottom, visibility: "visible" })) this.cursor.setAttribute(name, value);
    this.tip.replaceChildren(new Date(s.t).toLocaleTimeString(), ...kinds.map(([k, name]) => el("div", null, color(el("span", { class: "swatch" }), `var(--${k})`), name, el("b", null, rate(s[k])))));
    this.tip.hidden = false;
    this.tip.style.left = `${Math.min(Math.max(0, px + 12), v.width - this.tip.offsetWidth)}px`;
  }

  leave() { this.tip.hidden = true; this.cursor.setAttribute("visibility", "hidden"); }
}
