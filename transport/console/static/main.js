// The page: one stream of states and events, and the parts that show them.

import { Stream, admits, hasToken, setToken } from "./stream.js";
import { Wheel } from "./wheel.js";
import { Chart } from "./chart.js";
import { Feed } from "./feed.js";
import { Hot } from "./hot.js";
import { Inspector } from "./inspector.js";
import { members, pill, tiles } from "./members.js";
import { theme } from "./theme.js";
import { text, num } from "./format.js";

const $ = (id) => document.getElementById(id);

theme($("theme"));
const wheel = new Wheel($("wheel"), $("wheeltitle"));
const chart = new Chart($("chart"), $("legend"));
const feed = new Feed($("feed"));
const inspector = new Inspector($("inspector"));
const hot = new Hot($("hot"), $("hotnote"), (key) => inspector.open(key), unlock);

const stream = new Stream("console/live?back=60", {
  hello(h) {
    if (h.samples?.length) chart.start(h.samples);
    if (hasToken() && !h.admin) refused();
    lost("");
  },
  state: show,
  events(list) { feed.add(list); },
  refused,
  bye(why) { lost(`Disconnected: ${why}. Trying again.`); },
  down(why, wait) { lost(`No connection to the node (${why}). Trying again${wait > 900 ? ` in ${Math.round(wait / 1000)} s` : ""}.`); },
});

function show(s) {
  lost("");
  document.title = `${s.label} · Noria`;
  text($("label"), s.label);
  text($("asked"), `as ${s.node} sees it`);
  text($("ring"), s.ready ? `${s.ring} · epoch ${s.epoch} · ${num(s.partitions)} partitions` : "");
  pill($("status"), s);
  if (!s.ready) return;
  wheel.show(s);
  tiles($("tiles"), s);
  members($("memberrows"), $("policynote"), s);
  chart.add({ at: s.at, ...s.rates });
  hot.show(s);
  inspector.admin(s.admin);
  $("unlock").hidden = s.admin;
}

function lost(why) {
  const banner = $("lost");
  if (banner.hidden === !why && banner.textContent === why) return;
  text(banner, why);
  banner.hidden = !why;
  document.body.classList.toggle("down", Boolean(why));
  if (why) { $("status").dataset.tone = "bad"; text($("status"), "No connection"); }
}

// refused drops a token that the node knew once and does not know any more.
function refused() {
  setToken("");
  hot.refused();
}

const box = $("token"), input = $("tokeninput"), send = $("tokensend");

function unlock() {
  input.value = "";
  wrong("");
  box.showModal();
}

// wrong says what is wrong with the token.
function wrong(why) {
  text($("tokenwrong"), why);
  $("tokenwrong").hidden = !why;
  input.setAttribute("aria-invalid", String(Boolean(why)));
}

$("unlock").addEventListener("click", unlock);
$("tokencancel").addEventListener("click", () => box.close());
box.addEventListener("close", () => { input.value = ""; });
$("tokenform").addEventListener("submit", async (e) => {
  e.preventDefault();
  const token = input.value.trim();
  if (!/^[\x21-\x7e]+$/.test(token)) {
    wrong(token ? "A token has letters, digits and signs alone, and no spaces." : "Type the token.");
    return;
  }
  send.disabled = true;
  try {
    if (await admits(token)) {
      setToken(token);
      box.close();
      stream.again();
      return;
    }
    wrong("The node does not know this token. Those it knows are in the file that its --admin-token-file names, each behind a name.");
  } catch (e) {
    wrong(`The node does not say whether it knows this token (${e.message}). Try again.`);
  } finally { send.disabled = false; }
  input.select();
});
