// One key: where it lives, how full its bucket is, who has leases and denials of it, and each decision while the page looks.

import { el, svg, num, span, clock, hue, color } from "./format.js";
import { ask } from "./stream.js";
import { visible } from "./hot.js";

const every = 1000, seenMost = 200;
const sources = { holder: "holder", lease: "lease", denial: "remembered denial", degraded: "degraded" };

export class Inspector {
  constructor(root) {
    this.root = root;
    this.input = el("input", { name: "key", placeholder: "user:42", maxlength: 512, required: true, autocomplete: "off", spellcheck: "false", "aria-label": "Key" });
    this.form = el("form", { class: "ask", on: { submit: (e) => { e.preventDefault(); this.open(this.input.value); } } }, this.input, el("button", { class: "main" }, "Look"));
    this.out = el("div", { "aria-live": "off" });
    this.try = this.trial();
    root.append(this.form, this.out);
    this.hint();
  }

  hint() { this.out.replaceChildren(el("p", { class: "empty" }, "Type a key, or choose a hot one: who holds it, its level, leases, and each decision from then on.")); }

  /** admin says whether keys may be looked at. */
  admin(may) {
    if (this.may === may) return;
    this.may = may;
    this.input.disabled = !may;
    this.form.querySelector("button").disabled = !may;
    if (!may) { this.key = ""; this.input.value = ""; this.out.replaceChildren(el("p", { class: "empty" }, "Keys are for admins.")); } else if (!this.key) this.hint();
  }

  /** open looks at key from now on. */
  open(key) {
    if (!key || !this.may) return;
    this.key = key;
    this.input.value = key;
    this.seen = {};
    this.history = [];
    this.limit = "";
    this.result.replaceChildren();
    this.run = (this.run || 0) + 1;
    this.look(this.run);
    if (matchMedia("(max-width: 1000px)").matches) this.root.scrollIntoView({ block: "start" });
  }

  async look(run) {
    while (run === this.run && this.key) {
      if (!document.hidden) {
        try { this.show(await ask("console/key", { key: this.key, seen: this.seen }), run); } catch (e) {
          if (run === this.run) this.out.replaceChildren(el("p", { class: "err" }, e.message));
        }
      }
      await new Promise((done) => { this.wake = done; setTimeout(done, every); });
    }
  }

  show(a, run) {
    if (run !== this.run) return;
    const at = Date.parse(a.at);
    for (const [id, k] of Object.entries(a.members)) {
      for (const s of k.seen || []) {
        if (s.seq <= (this.seen[id] || 0) && !(s.seq === 1 && this.seen[id] > 64)) continue;
        this.seen[id] = s.seq;
        this.history.push({ ...s, node: id, t: at - s.ago_ns / 1e6 });
      }
    }
    this.history.sort((x, y) => y.t - x.t);
    this.history.length = Math.min(this.history.length, seenMost);
    const all = Object.entries(a.members), holder = all.find(([, k]) => k.holds), bucket = holder?.[1].bucket;
    if (!this.limit) {
      this.limit = bucket?.limit || this.history[0]?.limit || "";
      if (this.limit) this.limitInput.value = this.limit;
    }
    const place = a.place, first = !this.out.contains(this.try);
    const top = el("div", null,
      el("dl", { class: "chain" }, cell("Partition", num(place.partition)), cell("Target", place.target), cell("Holder", holder?.[0] || place.holder), cell("Heir", place.heir)),
      this.bucket(bucket, holder, place), this.facts(all, a.silent));
    const list = this.list();
    if (first) this.out.replaceChildren(top, this.try, list);
    else { this.out.firstChild.replaceWith(top); this.out.lastChild.replaceWith(list); }
  }

  bucket(b, holder, place) {
    const share = b ? Math.max(0, Math.min(1, b.level / Math.max(1, b.burst))) : holder ? 1 : 0, high = 64 * share;
    const pot = svg("svg", { viewBox: "0 0 90 90", role: "img", "aria-label": b ? `${num(b.level)} of ${num(b.burst)} tokens` : "full" },
      svg("defs", null, svg("clipPath", { id: "potclip" }, svg("path", { d: "M12 14L78 14L66 80L24 80Z" }))),
      svg("rect", { class: "lvl", x: 8, width: 74, y: 80 - high, height: high, "clip-path": "url(#potclip)" }), svg("path", { class: "pot", d: "M12 12L78 12L66 80L24 80Z" }));
    const lines = b
      ? [el("p", null, el("strong", null, `${num(b.level)} of ${num(b.burst)}`), " tokens"), el("p", null, b.limit + (b.full_ns >= 9e18 ? ", never refills" : b.full_ns ? `, full in ${span(b.full_ns)}` : "")), b.lent > 0 && el("p", null, `${num(b.lent)} lent to others for ${span(b.lent_ns)}`)]
      : [el("p", null, el("strong", null, holder ? "Full" : "Unknown")), el("p", null, holder ? "The holder keeps nothing of a bucket that is full, or was never asked for." : "No member holds it at the moment.")];
    return el("div", { class: "bucket" }, pot, el("div", null, lines, el("p", null, `term ${num(place.term)}`)));
  }

  facts(all, silent) {
    const lines = [];
    for (const [id, k] of all) {
      if (k.lease) lines.push(el("li", null, el("b", null, id), ` has a lease: ${num(k.lease.left)} tokens for ${span(k.lease.left_ns)}, ${num(k.lease.spends)} checks admitted by it`));
      if (k.denial) lines.push(el("li", null, el("b", null, id), ` repeats a denial of ${k.denial.limit} for ${span(k.denial.left_ns)} more`));
      if (k.replica) lines.push(el("li", null, el("b", null, id), " keeps the replica"));
    }
    for (const id of silent) lines.push(el("li", { class: "err" }, `${id} does not say`));
    return el("ul", { class: "facts" }, lines);
  }

  trial() {
    this.limitInput = el("input", { placeholder: "100/s burst 200", autocomplete: "off", spellcheck: "false", required: true });
    this.cost = el("input", { type: "number", min: 0, max: 1e9, value: 1, inputmode: "numeric" });
    this.result = el("p", { class: "out", role: "status" });
    return el("form", { class: "try", on: { submit: (e) => { e.preventDefault(); this.check(); } } },
      el("label", null, "Limit", this.limitInput), el("label", null, "Cost", this.cost), el("button", { title: "Takes the tokens, as a client's check does" }, "Test check"), this.result);
  }

  async check() {
    try {
      const d = await ask("console/check", { key: this.key, limit: this.limitInput.value, cost: Number(this.cost.value) });
      const more = d.allowed ? `${num(d.remaining)} left` : d.retry_ns >= 9e18 ? "waiting does not help" : `again in ${span(d.retry_ns)}`;
      this.result.replaceChildren(verdict(d), ` ${more}. Decided by ${d.node} (${sources[d.source] || d.source}) in ${span(d.took_ns)}.`);
      this.wake?.();
    } catch (e) { this.result.replaceChildren(el("span", { class: "err" }, e.message)); }
  }

  list() {
    const rows = this.history.map((s) => el("tr", null, el("td", null, clock(s.t)), el("td", null, verdict({ ...s, degraded: s.source === "degraded" })),
      el("td", { class: "n" }, num(s.cost)), el("td", { class: "n" }, num(s.remaining)), el("td", null, sources[s.source] || s.source),
      el("td", null, el("span", { class: "who" }, color(el("span", { class: "dot" }), hue(s.node)), s.node))));
    if (!rows.length) return el("p", { class: "empty" }, "No decision on ", el("span", { class: "mono" }, visible(this.key)), " since you look.");
    return el("div", { class: "seen", tabindex: "0", role: "region", "aria-label": "Decisions since you look" }, el("table", null,
      el("thead", null, el("tr", null, ["Time", "Decision", "Cost", "Left", "By", "Asked at"].map((h, i) => el("th", { scope: "col", class: i === 2 || i === 3 ? "n" : null }, h)))), el("tbody", null, rows)));
  }
}

function cell(name, value) { return el("div", null, el("dt", null, name), el("dd", { title: String(value ?? "") }, value === "" || value === undefined ? "–" : value)); }

function verdict(d) { return el("span", { class: d.degraded ? "deg" : d.allowed ? "yes" : "no" }, (d.allowed ? "Allowed" : "Denied") + (d.degraded ? ", degraded" : "")); }
