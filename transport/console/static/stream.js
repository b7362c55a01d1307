// The stream of what happens. It is read with fetch and not with EventSource, because that cannot show a token.

let token = sessionStorage.getItem("noria-token") || "";

/** setToken makes all requests show t, "" for none. */
export function setToken(t) {
  token = t;
  if (t) sessionStorage.setItem("noria-token", t); else sessionStorage.removeItem("noria-token");
}

/** hasToken says whether requests show a token. */
export function hasToken() { return token !== ""; }

/** admits says whether the node takes t for an admin's token; what keeps it from saying so is thrown. */
export async function admits(t) {
  const res = await fetch("console/state", { headers: { Authorization: "Bearer " + t }, cache: "no-store" });
  if (res.status === 401) return false;
  const body = await res.json().catch(() => ({}));
  if (!res.ok) throw new Error(body.detail || `the node answered ${res.status}`);
  return body.admin === true;
}

function headers(more) { return token ? { ...more, Authorization: "Bearer " + token } : { ...more }; }

/** ask posts data and returns the answer; what is wrong is thrown in the node's words. */
export async function ask(path, data) {
  const res = await fetch(path, { method: "POST", headers: headers({ "Content-Type": "application/json" }), body: JSON.stringify(data), cache: "no-store" });
  const body = await res.json().catch(() => ({}));
  if (!res.ok) throw new Error(body.detail || `the node answered ${res.status}`);
  return body;
}

const quiet = 25_000; // more than two heartbeats
const longest = 5_000;

/**
 * Stream calls on[event](data) for each event of path, on.refused() when the node does not know the token, and on.down(why, wait)
 * when there is no stream; it tries again for ever.
 */
export class Stream {
  constructor(path, on) { this.path = path; this.on = on; this.tries = 0; this.run(); }

  /** again opens the stream anew, as after another token. */
  again() { this.anew = true; this.abort?.abort(); }

  async run() {
    for (;;) {
      let why = "the node has ended the stream";
      try { await this.read(); } catch (e) { why = e.name === "AbortError" ? "the node is silent" : e.message; }
      if (this.anew) { this.anew = false; continue; } // nothing is wrong
      const wait = Math.min(longest, 400 * 2 ** this.tries++);
      this.on.down(why, wait);
      await new Promise((done) => setTimeout(done, wait));
    }
  }

  async read() {
    this.abort = new AbortController();
    const res = await fetch(this.path, { headers: headers(), cache: "no-store", signal: this.abort.signal });
    if (!res.ok) {
      if (res.status === 401 && token) this.on.refused(); // it was good once
      const body = await res.json().catch(() => ({}));
      throw new Error(body.detail || `the node answered ${res.status}`);
    }
    const reader = res.body.pipeThrough(new TextDecoderStream()).getReader();
    let rest = "";
    for (;;) {
      const alarm = setTimeout(() => this.abort.abort(), quiet);
      const { value, done } = await reader.read();
      clearTimeout(alarm);
      if (done || this.anew) return;
      this.tries = 0;
      const parts = (rest + value).split("\n\n");
      rest = parts.pop();
      for (const part of parts) this.take(part);
    }
  }

  take(part) {
    let name = "message", data = "";
    for (const line of part.split("\n")) {
      if (line.startsWith("event: ")) name = line.slice(7);
      else if (line.startsWith("data: ")) data += line.slice(6);
    }
    this.on[name]?.(JSON.parse(data));
  }
}
