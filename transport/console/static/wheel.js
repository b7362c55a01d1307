// The wheel: a noria. Its rim is cut into arcs, one for each member, as long as the ring gives it partitions; within an arc the
// colours are those of the members who hold them. Its buckets turn with the decisions of the fleet.

import { svg, text, hue, num, rate, short } from "./format.js";

const outer = 246, inner = 206, potAt = 264, hub = 96, gap = 0.022, tau = 2 * Math.PI;
const pots = 30, spokes = 16, moveFor = 2800;
const perFrame = 1000 / 31;
const still = matchMedia("(prefers-reduced-motion: reduce)");

/** at returns the point at an angle, from the top clockwise, and a distance. */
function at(angle, r) { return [Math.sin(angle) * r, -Math.cos(angle) * r]; }

const f = (n) => n.toFixed(2);

function band(from, to, r0, r1) {
  const sweep = Math.min(to - from, tau - 0.0001);
  to = from + sweep;
  const [ax, ay] = at(from, r1), [bx, by] = at(to, r1), [cx, cy] = at(to, r0), [dx, dy] = at(from, r0);
  const big = sweep > Math.PI ? 1 : 0;
  return `M${f(ax)} ${f(ay)}A${r1} ${r1} 0 ${big} 1 ${f(bx)} ${f(by)}L${f(cx)} ${f(cy)}A${r0} ${r0} 0 ${big} 0 ${f(dx)} ${f(dy)}Z`;
}

function wave(phase, y, high, long) {
  let d = `M-1200 400L-1200 ${y}`;
  for (let x = -1200; x <= 1200; x += 30) d += `L${x} ${f(y + high * Math.sin((x / long) * tau + phase))}`;
  return d + "L1200 400Z";
}

export class Wheel {
  constructor(root, title) {
    this.root = root;
    this.title = title;
    this.now = new Map(); // target -> Map(holder -> count), as drawn
    this.goal = new Map();
    this.arcs = new Map(); // "target\nholder" -> path
    this.flows = new Map();
    this.tags = new Map();
    this.places = new Map(); // member -> angle of the middle of its arc, also of those who went
    this.moves = [];
    this.gone = new Map();
    this.total = 0;
    this.speed = 0;
    this.turn = 0;
    this.build();
    this.last = performance.now();
    requestAnimationFrame((t) => this.frame(t));
  }

  build() {
    const hatch = svg("pattern", { id: "hatch", width: 8, height: 8, patternUnits: "userSpaceOnUse", patternTransform: "rotate(45)" },
      svg("rect", { width: 8, height: 8, fill: "var(--tone-quiet)" }), svg("rect", { width: 3, height: 8, fill: "var(--none)" }));
    this.w2 = svg("path", { class: "wave1" });
    this.w1 = svg("path", { class: "wave2" });
    this.spokes = svg("g", { class: "spokes" }, Array.from({ length: spokes }, (_, i) => {
      const [x0, y0] = at((i * tau) / spokes, hub), [x1, y1] = at((i * tau) / spokes, inner);
      return svg("line", { x1: f(x0), y1: f(y0), x2: f(x1), y2: f(y1) });
    }));
    this.potGroup = svg("g");
    this.pots = Array.from({ length: pots }, () => {
      const body = svg("path", { class: "pot", d: "M-15 -13Q0 -9.5 15 -13L11.5 11Q11 13 9 13L-9 13Q-11 13 -11.5 11Z" });
      this.potGroup.append(body);
      return { body, hue: "" };
    });
    this.rim = svg("g");
    this.flowGroup = svg("g");
    this.moveGroup = svg("g");
    this.tagGroup = svg("g");
    this.count = svg("text", { class: "big", y: 8 }, "0");
    this.under = svg("text", { class: "small", y: 34 }, "decisions a second");
    this.root.append(svg("defs", null, hatch), this.w2, this.spokes, svg("circle", { class: "rail", r: inner - 4 }),
      this.flowGroup, this.moveGroup, this.rim, this.potGroup, svg("circle", { class: "hubring", r: hub }), this.count, this.under, this.w1, this.tagGroup);
    this.waves(0);
  }

  waves(t) {
    this.w2.setAttribute("d", wave(t * 0.0006, 236, 7, 420));
    this.w1.setAttribute("d", wave(-t * 0.0008 + 1, 252, 6, 330));
  }

  /** show makes the wheel go towards a state. */
  show(state) {
    this.total = state.partitions;
    this.goal = new Map();
    for (const flow of state.flows || []) {
      if (!this.goal.has(flow.target)) this.goal.set(flow.target, new Map());
      this.goal.get(flow.target).set(flow.holder, flow.count);
    }
    const sum = state.rates.allowed + state.rates.denied + state.rates.degraded;
    this.speed = sum > 0 ? 0.025 + 0.035 * Math.log10(1 + sum) : 0;
    text(this.count, rate(sum));
    this.gone = new Map(state.members.filter((m) => m.health === "dead" || m.health === "left" || m.health === "silent").map((m) => [m.id, m]));
    this.members = new Map(state.members.map((m) => [m.id, m]));
    for (const move of state.moves || []) this.move(move);
    this.changed = true;
    if (this.now.size === 0) this.now = new Map([...this.goal].map(([t, hs]) => [t, new Map(hs)]));
    this.describe(state);
    this.root.dataset.holders = String(new Set((state.flows || []).map((x) => x.holder).filter(Boolean)).size);
  }

  describe(state) {
    const parts = state.members.filter((m) => m.held > 0).map((m) => `${m.id} holds ${num(m.held)}`);
    const more = state.moving > 0 ? `; ${num(state.moving)} are on their way` : "";
    text(this.title, `Of ${num(state.partitions)} partitions ${parts.join(", ") || "nobody holds any"}${more}.`);
  }

  /** move shows partitions that go from one member to another. */
  move(m) {
    if (!m.to || m.from === m.to || this.moves.length > 40) return;
    const width = Math.min(30, Math.max(3, (m.count / Math.max(1, this.total)) * 150));
    const path = svg("path", { class: "move", stroke: hue(m.to), "stroke-width": f(width) });
    const drops = Array.from({ length: Math.min(9, 2 + Math.round(width / 3)) }, () => svg("circle", { r: f(Math.max(3, width / 4)), fill: hue(m.to), stroke: "var(--card)", "stroke-width": 1.5 }));
    this.moveGroup.append(path, ...drops);
    this.moves.push({ ...m, path, drops, began: performance.now() });
  }

  frame(t) {
    requestAnimationFrame((u) => this.frame(u));
    if (t - this.last < perFrame) return; // calm needs no more, and a page that stays open should cost little
    const past = Math.min(0.2, (t - this.last) / 1000);
    this.last = t;
    if (this.changed) {
      this.changed = this.settle(past);
      this.draw();
      this.drawPots();
    }
    if (this.moves.length > 0) this.drawMoves(t);
    if (still.matches || this.speed === 0) return;
    this.turn = (this.turn + past * this.speed) % tau;
    this.waves(t);
    this.drawPots();
  }

  /** settle brings what is drawn nearer to what is, and says whether it is not there yet. */
  settle(past) {
    const step = still.matches ? 1 : 1 - Math.exp(-past * 3.2);
    for (const [target, holders] of this.goal) {
      if (!this.now.has(target)) this.now.set(target, new Map());
      const now = this.now.get(target);
      for (const [holder, count] of holders) if (!now.has(holder)) now.set(holder, Math.min(1, count));
    }
    let moving = false;
    for (const [target, now] of this.now) {
      const goal = this.goal.get(target);
      for (const [holder, count] of now) {
        const want = goal?.get(holder) || 0;
        const next = Math.abs(want - count) < 1 ? want : count + (want - count) * step;
        moving ||= next !== want;
        if (next === 0) now.delete(holder); else now.set(holder, next);
      }
      if (now.size === 0) this.now.delete(target);
    }
    return moving;
  }

  draw() {
    const targets = [...this.now.keys()].sort();
    const space = targets.length > 1 ? gap : 0;
    let total = 0;
    for (const holders of this.now.values()) for (const n of holders.values()) total += n;
    const used = new Set(), flowing = new Set(), tagged = new Set();
    this.regions = [];
    let angle = 0;
    for (const target of targets) {
      const holders = [...this.now.get(target)].sort(([a], [b]) => (a === target ? -1 : b === target ? 1 : a < b ? -1 : 1));
      const begin = angle;
      for (const [holder, count] of holders) {
        const sweep = (count / Math.max(1, total)) * (tau - space * targets.length);
        this.arc(target, holder, angle, angle + sweep, used);
        if (holder && holder !== target && count >= 1) this.flow(target, holder, angle + sweep / 2, count, total, flowing);
        this.regions.push([angle + sweep, holder]);
        angle += sweep;
      }
      this.places.set(target, (begin + angle) / 2);
      if (angle - begin > 0.05) this.tag(target, (begin + angle) / 2, tagged);
      angle += space;
    }
    for (const [id] of this.gone) if (!this.now.has(id) && this.places.has(id) && this.members.get(id).role !== "gateway") this.tag(id, this.places.get(id), tagged);
    drop(this.arcs, used);
    drop(this.flows, flowing);
    drop(this.tags, tagged);
  }

  arc(target, holder, from, to, used) {
    const key = target + "\n" + holder;
    used.add(key);
    let path = this.arcs.get(key);
    if (!path) {
      path = svg("path", { class: holder ? "arc" : "arc none", fill: holder ? hue(holder) : null });
      this.arcs.set(key, path);
      this.rim.append(path);
    }
    path.setAttribute("d", band(from, to, inner, outer));
  }

  flow(target, holder, angle, count, total, flowing) {
    const from = this.places.get(holder);
    if (from === undefined) return;
    const key = target + "\n" + holder;
    flowing.add(key);
    let path = this.flows.get(key);
    if (!path) {
      path = svg("path", { class: "flow", stroke: hue(holder) });
      this.flows.set(key, path);
      this.flowGroup.append(path);
    }
    path.setAttribute("stroke-width", f(Math.min(26, Math.max(2, (count / total) * 150))));
    path.setAttribute("d", ribbon(from, angle));
  }

  tag(id, angle, tagged) {
    tagged.add(id);
    const crowd = this.now.size > 14;
    if (crowd) return;
    let tag = this.tags.get(id);
    if (!tag) {
      const first = svg("tspan"), second = svg("tspan", { class: "sub", dy: "1.15em" });
      tag = svg("text", { class: "tag" }, first, second);
      tag.parts = [first, second];
      this.tags.set(id, tag);
      this.tagGroup.append(tag);
    }
    const m = this.members?.get(id);
    const gone = this.gone.has(id) && !this.now.has(id);
    const [x, y] = at(angle, 151);
    const side = "middle";
    tag.setAttribute("x", f(x));
    tag.setAttribute("y", f(y - 4));
    tag.setAttribute("text-anchor", side);
    tag.setAttribute("class", gone ? "tag gone" : "tag");
    text(tag.parts[0], short(id, 12));
    text(tag.parts[1], gone ? "gone" : num(m ? m.held : 0));
    tag.parts[1].setAttribute("x", f(x));
  }

  drawMoves(t) {
    this.moves = this.moves.filter((m) => {
      const age = (t - m.began) / moveFor;
      const to = this.places.get(m.to), from = m.from ? this.places.get(m.from) : undefined;
      if (age >= 1 || to === undefined) {
        m.path.remove();
        for (const d of m.drops) d.remove();
        return false;
      }
      const ease = Math.max(0, Math.sin(Math.min(1, age) * Math.PI));
      const [x1, y1] = at(to, inner - 6), [x0, y0] = from === undefined ? at(to, hub + 6) : at(from, inner - 6);
      m.path.setAttribute("d", from === undefined ? `M${f(x0)} ${f(y0)}L${f(x1)} ${f(y1)}` : ribbon(from, to));
      m.path.setAttribute("opacity", f(0.3 * ease));
      const [cx, cy] = from === undefined ? [(x0 + x1) / 2, (y0 + y1) / 2] : bend(from, to);
      m.drops.forEach((d, i) => {
        const p = Math.min(1, Math.max(0, age * 1.7 - (i / m.drops.length) * 0.7)), q = 1 - p;
        d.setAttribute("cx", f(q * q * x0 + 2 * q * p * cx + p * p * x1));
        d.setAttribute("cy", f(q * q * y0 + 2 * q * p * cy + p * p * y1));
        d.setAttribute("opacity", p > 0 && p < 1 ? "0.95" : "0");
      });
      return true;
    });
  }

  drawPots() {
    this.spokes.setAttribute("transform", `rotate(${f((this.turn * 360) / tau)})`);
    this.pots.forEach((pot, i) => {
      const angle = (this.turn + (i * tau) / pots) % tau;
      const [x, y] = at(angle, potAt);
      pot.body.setAttribute("transform", `translate(${f(x)} ${f(y)}) rotate(${f((angle * 360) / tau)})`);
      const region = this.regions?.find(([end]) => angle <= end);
      const color = region && region[1] ? hue(region[1]) : "var(--none)";
      if (color !== pot.hue) {
        pot.hue = color;
        pot.body.setAttribute("fill", color);
      }
    });
  }
}

/** bend returns the point towards which a ribbon between two arcs bends: past the hub, where it lies between them. */
function bend(from, to) {
  const [ax, ay] = at(from, 1), [bx, by] = at(to, 1);
  let mx = ax + bx, my = ay + by;
  const len = Math.hypot(mx, my);
  if (len < 0.35) [mx, my] = [-ay, ax]; else [mx, my] = [mx / len, my / len];
  return [mx * 120, my * 120];
}

function ribbon(from, to) {
  const [x0, y0] = at(from, inner - 6), [x1, y1] = at(to, inner - 6), [cx, cy] = bend(from, to);
  return `M${f(x0)} ${f(y0)}Q${f(cx)} ${f(cy)} ${f(x1)} ${f(y1)}`;
}

function drop(all, used) {
  for (const [key, node] of all) if (!used.has(key)) { node.remove(); all.delete(key); }
}
