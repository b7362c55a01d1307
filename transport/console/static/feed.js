// What happened: the newest first.

import { el, clock } from "./format.js";

const most = 100;
const tones = {
  joined: "good", back: "good", heard: "good", founded: "good", promoted: "warn", draining: "warn", policy: "warn", given_up: "warn",
  dead: "bad", fenced: "bad", silenced: "bad", cold: "bad",
};

export class Feed {
  constructor(root) { this.root = root; this.known = new Set(); this.empty(); }

  empty() { this.root.replaceChildren(el("li", { class: "empty" }, "Nothing yet: who joins, leaves or dies, and what moves, shows up here.")); }

  /** add shows events, the oldest of them first. */
  add(events) {
    for (const e of events) {
      const id = `${e.node} ${e.seq} ${e.at}`;
      if (this.known.has(id)) continue;
      this.known.add(id);
      if (this.root.firstChild?.className === "empty") this.root.replaceChildren();
      this.root.prepend(el("li", { "data-tone": tones[e.kind] || "quiet", "data-kind": e.kind }, el("time", { datetime: e.at }, clock(e.at)), el("i", { "aria-hidden": "true" }), el("span", null, e.text)));
    }
    while (this.root.children.length > most) this.root.lastChild.remove();
    if (this.known.size > 2000) this.known = new Set([...this.known].slice(-1000));
  }
}
