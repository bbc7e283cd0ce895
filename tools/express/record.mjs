/**
 * Records what Express's security packages put on the wire, into tests/vectors/express.json.
 *
 * Each app is started on a real socket and asked with node:http. Nothing of an answer is changed
 * but what differs from run to run: `<date>` stands for the value of Date, `<csrf-token>` for a
 * signed token of csrf-csrf, in requests too, and `<etag>` for the ETag of a body with one. Time
 * stands still, and is turned where a case says so. A second run writes the same bytes, until a
 * package or Node itself changes.
 *
 * {
 *   recorded: {node: "20", packages: {helmet: "8.3.0", …}},
 *   helmet:    {<case>: {options: <helmet's argument, or null>, exchange: Exchange}},
 *   cors:      {<case>: {options: {…, origin: <"*", an origin, a list, or "function": the guide's>},
 *                        exchange: Exchange}},
 *   rateLimit: {<standardHeaders: "true", "draft-6", "draft-7", "draft-8"; or "legacy">: {
 *                 options: {windowMs, limit, message, standardHeaders?, legacyHeaders?},
 *                 exchanges: {first, third, fifth, refused: Exchange}}},   // with `at`
 *   csrf:      {<"development", "production">: {options, exchanges: {<case>: Exchange}}},
 *   auth:      {<"development", "production">: {<case>: Exchange}},
 *   tokens:    {access: {secret, claims, token}, refresh: {secret, claims, token},
 *               bcrypt: {password, salt, hash}},
 *   stack:     {<case>: Exchange}   // all of the guide's protections in one app
 * }
 *
 * Exchange = {
 *   at?: seconds since the first request of its app,
 *   request: {method, target, headers: [[name, value], …], body?},   // Host and framing left out
 *   answer: {status, headers: [[name, value], …], body: text}   // in order and case, as they came
 * }
 *
 * `Date`, `Connection`, `Keep-Alive`, `Transfer-Encoding` of an answer are Node's,
 * `Content-Type`, `Content-Length` and `ETag` Express's own.
 */
import { readFileSync, writeFileSync } from "node:fs";
import http from "node:http";
import { mock } from "node:test";

import { AUTH, CORS, CSRF, HELMET, RATE_LIMIT, STACK, tokens } from "./cases.mjs";

const OUT = new URL("../../tests/vectors/express.json", import.meta.url);
const START = Date.UTC(2026, 0, 1);
const CSRF_TOKEN = /\b[0-9a-f]{64}\.[0-9a-f]{128}\b/g;
/** What the apps fail with because a case asks for it. Express prints it. */
const MEANT = /Not allowed by CORS|invalid csrf token|in JSON at position/;

const turnTo = (seconds) => mock.timers.setTime(START + seconds * 1000);

/** `text` without what differs from run to run. */
const masked = (text) => text.replace(CSRF_TOKEN, "<csrf-token>");

/** Node's flat list of headers as pairs, those of an answer with this body. */
function pairs(raw, body) {
  const stands = { Date: "<date>" };
  if (masked(body) !== body) stands.ETag = "<etag>";
  const found = [];
  for (let i = 0; i < raw.length; i += 2) {
    found.push([raw[i], stands[raw[i]] ?? masked(raw[i + 1])]);
  }
  return found;
}

function ask(port, { method = "GET", target = "/", headers = [], body }) {
  const sent = ["Host", "api.yourdomain.com", ...headers.flat()];
  if (body !== undefined) sent.push("Content-Length", String(Buffer.byteLength(body)));
  return new Promise((resolve, reject) => {
    const options = { host: "127.0.0.1", port, method, path: target, headers: sent, agent: false };
    const request = http.request(options, (answer) => {
      const parts = [];
      answer.on("data", (part) => parts.push(part));
      answer.on("error", reject);
      answer.on("end", () => resolve({ answer, text: Buffer.concat(parts).toString("utf8") }));
    });
    request.on("error", reject);
    request.end(body);
  });
}

/**
 * Ask `app` one question after another: case → a request, or a function of the answers so far that
 * makes one. A request with `silent` is asked and not recorded.
 */
async function record(app, cases) {
  turnTo(0);
  const server = http.createServer(app);
  await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
  const recorded = {};
  const answers = {};
  try {
    for (const [name, made] of Object.entries(cases)) {
      const request = typeof made === "function" ? made(answers) : made;
      const { at, silent = false, method = "GET", target = "/", headers = [], body } = request;
      if (at !== undefined) turnTo(at);
      const { answer, text } = await ask(server.address().port, request);
      answers[name] = { headers: answer.headers, text };
      if (silent) continue;
      recorded[name] = {
        ...(at === undefined ? {} : { at }),
        request: {
          method,
          target,
          headers: headers.map(([one, value]) => [one, masked(value)]),
          ...(body === undefined ? {} : { body }),
        },
        answer: {
          status: answer.statusCode,
          headers: pairs(answer.rawHeaders, text),
          body: masked(text),
        },
      };
    }
  } finally {
    await new Promise((resolve) => server.close(resolve));
  }
  return recorded;
}

async function all(group, write) {
  const found = {};
  for (const [name, one] of Object.entries(group)) found[name] = await write(one);
  return found;
}

async function one({ options, app, request = {} }) {
  const { exchange } = await record(app(), { exchange: request });
  return { options, exchange };
}

const several = async ({ options, app, requests }) => ({
  options,
  exchanges: await record(app(), requests),
});

/** JSON with each header on one line. */
function written(value) {
  const text = '"(?:[^"\\\\]|\\\\.)*"';
  const pair = new RegExp(`\\[\\n\\s+(${text}),\\n\\s+(${text})\\n\\s+\\]`, "g");
  return `${JSON.stringify(value, null, 1).replace(pair, "[$1, $2]")}\n`;
}

const { dependencies } = JSON.parse(readFileSync(new URL("package.json", import.meta.url), "utf8"));

const print = console.error;
mock.method(console, "error", (text) => MEANT.test(text) || print(text));
mock.timers.enable({ apis: ["Date"], now: START });
const vectors = {
  recorded: { node: process.versions.node.split(".")[0], packages: dependencies },
  helmet: await all(HELMET, one),
  cors: await all(CORS, one),
  rateLimit: await all(RATE_LIMIT, several),
  csrf: await all(CSRF, several),
  auth: await all(AUTH, ({ app, requests }) => record(app(), requests)),
  tokens: tokens(),
  stack: await record(STACK.app(), STACK.requests),
};
writeFileSync(OUT, written(vectors));
// The limiters' own timers would keep the process alive.
process.exit(0);
