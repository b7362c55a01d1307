// The keys that are asked for most.

import { el, color, rate, num, text } from "./format.js";

export class Hot {
  constructor(root, note, open, unlock) { this.root = root; this.note = note; this.open = open; this.unlock = unlock; this.why = "Keys are for admins."; }

  /** refused says that the token which was good is not any more. */
  refused() {
    this.why = "Keys are for admins, and the node does not know your token any more.";
    this.root.dataset.is = "";
  }

  show(state) {
    if (!state.admin) {
      text(this.note, "");
      if (this.root.dataset.is === "locked") return;
      this.root.dataset.is = "locked";
      this.root.replaceChildren(el("div", { class: "locked" }, el("p", null, this.why), el("button", { type: "button", on: { click: this.unlock } }, "Unlock with a token")));
      return;
    }
    const keys = state.hot || [];
    text(this.note, keys.length ? `the ${num(keys.length)} that are asked for most, of late` : "");
    if (document.activeElement && this.root.contains(document.activeElement) && this.root.dataset.is === "list" && this.root.matches(":hover")) return; // a click is on its way
    this.root.dataset.is = "list";
    if (!keys.length) {
      this.root.replaceChildren(el("p", { class: "empty" }, "No key is asked for often enough to be counted."));
      return;
    }
    const most = keys[0].rate, scroll = this.root.firstChild?.scrollTop || 0;
    const list = el("div", { class: "hotlist", tabindex: "0", role: "region", "aria-label": "Hot keys" }, el("table", null,
      el("thead", null, el("tr", null, ["", "Key", "A second", "Answered by"].map((h, i) => el("th", { scope: "col", class: i === 2 ? "n" : null }, h)))),
      el("tbody", null, keys.map((k, i) => this.row(k, i, most)))));
    this.root.replaceChildren(list);
    list.scrollTop = scroll;
  }

  row(k, i, most) {
    const held = Math.max(0, k.rate - (k.leased || 0) - (k.denied || 0));
    const parts = [[held, "var(--accent)", "holder"], [k.leased || 0, "var(--degraded)", "leases"], [k.denied || 0, "var(--denied)", "remembered denials"]];
    const label = parts.filter(([n]) => n > 0).map(([n, , name]) => `${name} ${Math.round((100 * n) / k.rate)} %`).join(", ");
    return el("tr", null, el("td", null, i + 1),
      el("td", null, el("button", { type: "button", title: `Look at ${k.key}`, on: { click: () => this.open(k.key) } }, visible(k.key))),
      el("td", { class: "n" }, rate(k.rate)),
      el("td", null, el("span", { class: "track", role: "img", title: label, "aria-label": label }, parts.map(([n, c]) => {
        const b = color(el("span"), c);
        b.style.width = `${((100 * n) / most).toFixed(2)}%`;
        return b;
      }))));
  }
}

/** visible shows what a key has in it that would not be seen: keys are bytes that anybody may choose. */
export function visible(key) {
  return key.replace(/[\u0000-\u001f\u007f-\u009f\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff]/g, (c) => `\\u${c.charCodeAt(0).toString(16).padStart(4, "0")}`);
}
