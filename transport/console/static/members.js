// The members, the figures above them and what the fleet is in one word.

import { el, color, num, rate, span, hue, short, text } from "./format.js";

const words = {
  well: ["Well", "good"], moving: ["Moving in", "warn"], joining: ["Joining", "warn"], draining: ["Leaving", "warn"],
  cut: ["Cut off", "bad"], silent: ["No answer", "bad"], unknown: ["Older version", "quiet"], left: ["Left", "quiet"], dead: ["Gone", "bad"],
};
const gone = (m) => m.health === "dead" || m.health === "left";

/** pill shows how the fleet is. */
export function pill(node, state) {
  const here = state.members.filter((m) => !gone(m));
  const bad = here.filter((m) => words[m.health]?.[1] === "bad"), dead = state.members.filter((m) => m.health === "dead");
  const of = (list) => (list.length === 1 ? short(list[0].id, 20) : `${list.length} members`);
  let tone = "good", say = here.length === 1 ? "One member, all well" : `${here.length} members, all well`;
  if (!state.ready) [tone, say] = ["warn", "Not joined yet"];
  else if (bad.length) [tone, say] = ["bad", bad[0].health === "cut" ? `${of(bad)} cut off` : `${of(bad)} does not answer`];
  else if (state.unheld) [tone, say] = ["warn", `${num(state.unheld)} partitions without a holder`];
  else if (state.moving) [tone, say] = ["warn", `${num(state.moving)} partitions moving`];
  else if (dead.length) [tone, say] = ["warn", `${of(dead)} gone, the others have its keys`];
  else if (state.policies > 1) [tone, say] = ["warn", `${state.policies} different policies`];
  node.dataset.tone = tone;
  text(node, say);
}

/** tiles shows the four figures. */
export function tiles(root, state) {
  const here = state.members.filter((m) => !gone(m)), held = state.partitions - state.unheld;
  const keys = here.reduce((n, m) => n + m.keys, 0), reserved = here.reduce((n, m) => n + m.reserved, 0);
  const total = state.rates.allowed + state.rates.denied + state.rates.degraded;
  const share = total > 0 ? `${((100 * state.rates.denied) / total).toFixed(1)} % denied` : "nobody asks";
  const versions = new Set(here.map((m) => m.version).filter(Boolean)).size;
  root.replaceChildren(
    tile("Members", num(here.length), versions > 1 ? `${versions} versions` : "one version", versions > 1),
    tile("Partitions held", num(held), state.moving ? `${num(state.moving)} moving` : `of ${num(state.partitions)}`, state.moving > 0),
    tile("Buckets", num(keys), reserved ? `${num(reserved)} reservations` : "not full, in memory"),
    tile("Decisions/s", rate(total), state.rates.degraded > 0.05 ? `${rate(state.rates.degraded)} degraded` : share, state.rates.degraded > 0.05));
}

function tile(name, value, more, warn) {
  return el("div", null, el("dt", null, name), el("dd", null, value, el("small", { class: warn ? "warn" : null }, more)));
}

/** members shows each of them in a row. */
export function members(body, note, state) {
  const counts = new Map();
  for (const m of state.members) if (!gone(m)) counts.set(m.policy, (counts.get(m.policy) || 0) + 1);
  const usual = [...counts].sort((a, b) => b[1] - a[1])[0]?.[0];
  text(note, counts.size > 1 ? `They go by ${counts.size} different policies` : usual ? `All go by policy ${usual}` : "None has a policy: each check brings its limit");
  const most = Math.max(1, ...state.members.map((m) => sum(m.rates))), part = Math.max(1, ...state.members.map((m) => Math.max(m.held, m.targets)));
  body.replaceChildren(...state.members.map((m) => row(m, { most, part, usual, one: counts.size <= 1 })));
}

const sum = (r) => r.allowed + r.denied + r.degraded;

function row(m, of) {
  const [word, tone] = words[m.health] || [m.health, "quiet"];
  const loads = [["allowed", m.rates.allowed], ["denied", m.rates.denied], ["degraded", m.rates.degraded]];
  const label = loads.map(([k, n]) => `${rate(n)} ${k}`).join(", ");
  return el("tr", { class: gone(m) ? "gone" : null, "data-member": m.id },
    el("td", null, el("div", { class: "who" }, color(el("span", { class: "dot" }), gone(m) ? "var(--none)" : hue(m.id)), el("span", { class: "id" }, m.id),
      m.self && el("span", { class: "badge" }, "asked"), m.role === "gateway" && el("span", { class: "badge" }, "gateway"))),
    el("td", null, el("span", { class: "health", "data-tone": tone }, word), m.why && m.health !== "moving" && el("span", { class: "why" }, m.why)),
    el("td", { "data-h": "Partitions" }, m.role === "gateway" || gone(m) ? "–" : el("div", { class: "meter" }, el("span", { class: "val" }, num(m.held)),
      el("span", { class: "track", role: "img", "aria-label": `${num(m.held)} held, ${num(m.targets)} to be held` }, bar(m.held / of.part, hue(m.id)), bar(Math.max(0, m.targets - m.held) / of.part, "var(--none)")))),
    el("td", { "data-h": "Decisions a second" }, gone(m) ? "–" : el("div", { class: "meter", title: label }, el("span", { class: "val" }, rate(sum(m.rates))),
      el("span", { class: "track", role: "img", "aria-label": label }, loads.map(([k, n]) => bar(n / of.most, `var(--${k})`))))),
    el("td", { class: "n", "data-h": "For others, a second" }, gone(m) ? "–" : rate(m.peers)),
    el("td", { class: "n", "data-h": "Keys" }, gone(m) ? "–" : num(m.keys)),
    el("td", { "data-h": "Policy" }, el("span", { class: !of.one && m.policy !== of.usual && !gone(m) ? "hash odd" : "hash" }, m.policy ? m.policy.slice(0, 8) : "none")),
    el("td", { "data-h": "Version" }, el("span", { class: "ver", title: m.version }, short(m.version || "–", 24))),
    el("td", { class: "n", "data-h": "Up" }, gone(m) || !m.uptime_ns ? "–" : span(m.uptime_ns)));
}

function bar(share, c) {
  const b = color(el("span"), c);
  b.style.width = `${(100 * Math.min(1, share)).toFixed(2)}%`;
  return b;
}
