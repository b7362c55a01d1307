// Opens a node's console in headless Chromium and says what it sees, one JSON object a line. Commands come on standard input, one
// a line, as JSON: {"do": "open", "url": ...} and so on; each is answered by one line, {"ok": ...} or {"error": ...}.
"use strict";

const { createRequire } = require("node:module");
const path = require("node:path");
const readline = require("node:readline");

const [folder, chromium] = process.argv.slice(2);
const puppeteer = createRequire(path.join(folder, "package.json"))("puppeteer-core");
const say = (answer) => process.stdout.write(JSON.stringify(answer) + "\n");

// seen is what the page shows. It runs in the page, where number reads what is written for people, such as 1,234.
const seen = () => {
  const number = (text) => Number((text || "").replace(/[^0-9.]/g, "") || "0") * (/k$/.test(text || "") ? 1e3 : /M$/.test(text || "") ? 1e6 : 1);
  const all = (selector, of) => [...document.querySelectorAll(selector)].map(of);
  const tiles = Object.fromEntries(all("#tiles div", (d) => [d.querySelector("dt").textContent, number(d.querySelector("dd").firstChild.textContent)]));
  return {
    title: document.title,
    status: document.getElementById("status").textContent,
    banner: document.getElementById("lost").hidden ? "" : document.getElementById("lost").textContent,
    tiles,
    wheel: document.getElementById("wheeltitle").textContent,
    arcs: all("#wheel .arc:not(.none)", (p) => p.getAttribute("fill")),
    tags: all("#wheel .tag", (t) => t.firstChild.textContent),
    members: all("#memberrows tr", (r) => ({
      id: r.dataset.member, health: r.querySelector(".health").textContent, held: number(r.querySelector(".val")?.textContent),
      rate: number(r.querySelectorAll(".val")[1]?.textContent), version: r.querySelector(".ver").textContent,
    })),
    hot: all("#hot tbody tr", (r) => ({ key: r.querySelector("button").textContent, rate: number(r.children[2].textContent) })),
    events: all("#feed li[data-kind]", (e) => ({ kind: e.dataset.kind, text: e.querySelector("span").textContent })),
    chart: all("#chart path", (p) => Boolean(p.getAttribute("d"))), // none before it is first drawn
    inspector: document.getElementById("inspector").innerText,
    seenRows: all("#inspector .seen tbody tr", (r) => r.innerText),
    locked: !document.getElementById("unlock").hidden,
    hotNote: document.getElementById("hot").innerText,
    asksToken: document.getElementById("token").open,
    tokenWrong: document.getElementById("tokenwrong").hidden ? "" : document.getElementById("tokenwrong").innerText,
    tokenLeft: document.getElementById("tokeninput").value.length,
    tried: document.querySelector("#inspector .out")?.textContent || "",
    wide: document.documentElement.scrollWidth - document.documentElement.clientWidth,
    injected: document.querySelectorAll("main i:not([aria-hidden]), main script, main img, main b b").length,
    unlabelled: all("button, input", (b) => b).filter((b) => !(b.innerText || b.getAttribute("aria-label") || b.closest("label"))).length,
  };
};

// contrast is the texts of the page that stand out too little from what is behind them, by WCAG 2.1: 4.5 to 1.
const contrast = () => {
  const parse = (c) => (c.match(/[\d.]+/g) || []).map(Number);
  const light = (c) => { const [r, g, b] = c.map((v) => { v /= 255; return v <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4; }); return 0.2126 * r + 0.7152 * g + 0.0722 * b; };
  const behind = (e) => { for (; e; e = e.parentElement) { const c = parse(getComputedStyle(e).backgroundColor); if (c.length === 3 || c[3] > 0.99) return c.slice(0, 3); } return [255, 255, 255]; };
  const low = new Set();
  const walk = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  for (let n = walk.nextNode(); n; n = walk.nextNode()) {
    const e = n.parentElement;
    if (!n.textContent.trim() || e.closest("svg, script, noscript, dialog, .skip") || !e.checkVisibility()) continue;
    const a = light(parse(getComputedStyle(e).color).slice(0, 3)), b = light(behind(e));
    const ratio = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
    if (ratio < 4.5) low.add(`${e.tagName.toLowerCase()}.${e.className} "${n.textContent.trim().slice(0, 30)}": ${ratio.toFixed(2)}`);
  }
  return [...low];
};

async function main() {
  const browser = await puppeteer.launch({
    executablePath: chromium, headless: true, pipe: true, acceptInsecureCerts: true, // of a CA of the test's own
    args: ["--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-proxy-server", "--font-render-hinting=none", "--force-color-profile=srgb"],
  });
  const wrong = [], foreign = [];
  let origin = "";
  const newPage = async (context) => {
    const page = await context.newPage();
    page.on("console", (m) => { if (["error", "warn", "assert"].includes(m.type())) wrong.push(`${m.type()}: ${m.text()}`); });
    page.on("pageerror", (e) => wrong.push(`error: ${e.message}`));
    page.on("request", (r) => { if (origin && !r.url().startsWith(origin) && !r.url().startsWith("data:")) foreign.push(r.url()); });
    return page;
  };
  let page = await newPage(browser);
  const commands = {
    async open({ url, width, height }) {
      origin = new URL(url).origin;
      await page.setViewport({ width: width || 1360, height: height || 900, deviceScaleFactor: 1 });
      await page.goto(url, { waitUntil: "domcontentloaded" });
    },
    async tab({ password }) { // that knows nothing of the one before; password is what it says where it is asked for one
      await page.close();
      page = await newPage(await browser.createBrowserContext());
      if (password) await page.authenticate({ username: "me", password });
    },
    async unlock({ token }) { // as by hand
      if (!(await page.$eval("#token", (d) => d.open))) await page.$eval("#hot .locked button", (b) => b.click()); // states draw it anew
      await page.$eval("#tokeninput", (i) => { i.value = ""; });
      await page.type("#tokeninput", token);
      await page.keyboard.press("Enter");
    },
    async see() { return { ...(await page.evaluate(seen)), wrong, foreign }; },
    async contrast() { return page.evaluate(contrast); },
    async theme({ dark, moving }) {
      await page.emulateMediaFeatures([{ name: "prefers-color-scheme", value: dark ? "dark" : "light" }, { name: "prefers-reduced-motion", value: moving ? "no-preference" : "reduce" }]);
      await page.evaluate(() => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))); // the page has heard of it
    },
    async size({ width, height, phone }) { await page.setViewport({ width, height, deviceScaleFactor: phone ? 2 : 1, isMobile: Boolean(phone), hasTouch: Boolean(phone) }); },
    async look({ key }) {
      await page.$eval("#inspector input[name=key]", (i, key) => { i.value = key; i.form.requestSubmit(); }, key);
    },
    async check({ limit }) {
      await page.$eval("#inspector .try", (f, limit) => { f.querySelector("input").value = limit; f.requestSubmit(); }, limit);
    },
    async shoot({ path, full, clip }) {
      await new Promise((done) => setTimeout(done, 350)); // what has just changed size is drawn again
      await page.screenshot({ path, fullPage: Boolean(full), clip });
    },
    async paper() { return page.evaluate(() => getComputedStyle(document.body).backgroundColor); },
    async close() { await browser.close(); },
  };
  for await (const line of readline.createInterface({ input: process.stdin })) {
    const command = JSON.parse(line);
    try { say({ ok: (await commands[command.do](command)) ?? true }); } catch (e) { say({ error: String(e.stack || e) }); }
    if (command.do === "close") break;
  }
}

main().catch((e) => { say({ error: String(e.stack || e) }); process.exitCode = 1; });
