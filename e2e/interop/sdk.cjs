// Runs one case with a real SDK, as: node sdk.cjs FOLDER URL KEY CASE, where FOLDER has node_modules. It prints what its user
// would see, and each attempt that the SDK made, as one JSON object.
"use strict";

const { createRequire } = require("node:module");
const path = require("node:path");

const [folder, url, key, name] = process.argv.slice(2);
const load = createRequire(path.join(folder, "package.json"));

// attempts are the requests that the SDK sent, with times in milliseconds since this process began.
const attempts = [];

// watched is fetch, and notes when it was called and what it was told.
async function watched(input, init) {
  const attempt = { sent: performance.now() };
  attempts.push(attempt);
  const response = await fetch(input, init);
  attempt.answered = performance.now();
  attempt.status = response.status;
  attempt.headers = Object.fromEntries(response.headers);
  return response;
}

function openai(maxRetries) {
  const { default: OpenAI } = load("openai");
  return new OpenAI({ apiKey: key, baseURL: `${url}/v1`, maxRetries, fetch: watched });
}

function anthropic(maxRetries) {
  const { default: Anthropic } = load("@anthropic-ai/sdk");
  return new Anthropic({ apiKey: key, authToken: null, baseURL: url, maxRetries, fetch: watched });
}

const messages = [{ role: "user", content: "hello" }];
const chat = { model: "demo", messages, max_tokens: 100 };
const usage = { headers: { "X-Demo-Input-Tokens": "41", "X-Demo-Cached-Tokens": "3", "X-Demo-Output-Tokens": "20", "X-Demo-Pieces": "4" } };

// openaiStream returns the events of a stream of chat completions.
async function openaiStream(body) {
  const events = [];
  for await (const event of await openai(0).chat.completions.create({ ...chat, ...body, stream: true }, usage)) events.push(event);
  return {
    text: events.map((e) => e.choices[0]?.delta?.content ?? "").join(""),
    finish: events.flatMap((e) => e.choices.map((c) => c.finish_reason)).filter(Boolean),
    bare: events.filter((e) => e.choices.length === 0).length,
    usage: events.at(-1).usage ?? null,
  };
}

// together makes several calls at once, of which all but the first have to wait.
const together = (call) => Promise.all([call(), call()]).then((all) => ({ answers: all.length }));

// twice makes a call, and again one that fails.
async function twice(call) {
  await call();
  return call();
}

const wait = (ms) => new Promise((done) => setTimeout(done, ms));

// spend makes calls one after the other, each of which has tokens once the one before is settled, and then one that has
// none, though this many remain.
async function spend(calls, header, remaining) {
  for (const call of calls) {
    for (let tries = 0; ; tries++) {
      try {
        await call();
        break;
      } catch (e) {
        if (e.status !== 429 || tries === 200) throw e;
        await wait(50);
      }
    }
  }
  for (let tries = 0; tries < 200; tries++) {
    try {
      await calls[0]();
    } catch (e) {
      if (e.status !== 429 || e.headers.get(header) === remaining) throw e;
      await wait(50);
      continue;
    }
    throw new Error("a call that nothing was left for went through");
  }
  throw new Error(`never ${remaining} tokens left, but ${attempts.at(-1).headers[header]}`);
}

// A call here is expected to need 6 + 200 tokens, and needs 61.
const large = { ...chat, max_tokens: 200 };

const cases = {
  "openai/chat": async () => {
    const answer = await openai(0).chat.completions.create(chat, usage);
    return { text: answer.choices[0].message.content, usage: answer.usage };
  },
  "openai/stream": () => openaiStream({}),
  "openai/stream with usage": () => openaiStream({ stream_options: { include_usage: true } }),
  "openai/responses": async () => {
    const answer = await openai(0).responses.create({ model: "demo", input: "hello", max_output_tokens: 100 }, usage);
    return { text: answer.output_text, usage: answer.usage };
  },
  "openai/responses stream": async () => {
    let text = "";
    let last;
    for await (const event of await openai(0).responses.create({ model: "demo", input: "hello", stream: true }, usage)) {
      if (event.type === "response.output_text.delta") text += event.delta;
      last = event;
    }
    return { text, type: last.type, usage: last.response.usage };
  },
  "openai/embeddings": async () => {
    const answer = await openai(0).embeddings.create({ model: "demo", input: ["hello", "world"] }, usage);
    return { vectors: answer.data.map((d) => d.embedding), usage: answer.usage };
  },
  "openai/retry": () => together(() => openai(20).chat.completions.create(chat)),
  "openai/quota": () => twice(() => openai(3).chat.completions.create(chat)),
  "openai/tokens": () => {
    const whole = () => openai(0).chat.completions.create(large, usage);
    return spend([whole, () => openaiStream(large)], "x-ratelimit-remaining-tokens", "178");
  },
  "openai/bad request": () => openai(3).chat.completions.create({ ...chat, max_tokens: -1 }),
  "openai/bad key": () => openai(3).chat.completions.create(chat),
  "openai/upstream fails": () => openai(0).chat.completions.create(chat, { headers: { "X-Demo-Status": "500" } }),

  "anthropic/messages": async () => {
    const answer = await anthropic(0).messages.create(chat, usage);
    return { text: answer.content[0].text, usage: answer.usage };
  },
  "anthropic/stream": async () => {
    const stream = anthropic(0).messages.stream(chat, usage);
    let text = "";
    stream.on("text", (piece) => (text += piece));
    const answer = await stream.finalMessage();
    return { text, finish: [answer.stop_reason], usage: answer.usage };
  },
  "anthropic/retry": () => together(() => anthropic(20).messages.create(chat)),
  "anthropic/quota": () => twice(() => anthropic(3).messages.create(chat)),
  "anthropic/tokens": () => {
    const whole = () => anthropic(0).messages.create(large, usage);
    const stream = () => anthropic(0).messages.stream(large, usage).finalMessage();
    return spend([whole, stream], "anthropic-ratelimit-tokens-remaining", "178");
  },
  "anthropic/bad request": () => anthropic(3).messages.create({ ...chat, max_tokens: -1 }),
  "anthropic/bad key": () => anthropic(3).messages.create(chat),
  "anthropic/upstream fails": () => anthropic(0).messages.create(chat, { headers: { "X-Demo-Status": "500" } }),
};

// failure is what a user sees of an error.
const failure = (e) => ({
  class: e.constructor.name, status: e.status, message: e.message, type: e.type, code: e.code, param: e.param,
});

cases[name]()
  .then((answer) => ({ answer }), (e) => ({ error: failure(e) }))
  .then((outcome) => process.stdout.write(JSON.stringify({ ...outcome, attempts })));
