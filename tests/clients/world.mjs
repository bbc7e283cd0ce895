/**
 * A browser and a server in one process: cookies, locks and channels shared by all tabs, and time under the test's hand.
 * A "tab" is one client; everything a client reads from `globalThis` is set here.
 */
import { createClient } from "../../clients/js/authward.js";

export const API = "https://api.example.com";

/** @param {string} name @param {unknown} value */
function setGlobal(name, value) {
  Object.defineProperty(globalThis, name, { value, configurable: true, writable: true });
}

function makeLocks() {
  const tails = new Map();
  return {
    async request(name, { signal }, work) {
      const before = tails.get(name) ?? Promise.resolve();
      let release;
      tails.set(name, before.then(() => new Promise((resolve) => (release = resolve))));
      const late = new Promise((_, reject) => signal?.addEventListener("abort", () => reject(signal.reason)));
      late.catch(() => {});
      try {
        await Promise.race([before, late]);
      } catch (error) {
        before.then(() => queueMicrotask(() => release()));
        throw error;
      }
      await null; // the turn's own promise is made by now
      try {
        return await work();
      } finally {
        release();
      }
    },
  };
}

function makeChannels(messages) {
  const open = new Set();
  return class {
    onmessage = null;
    constructor(name) {
      this.name = name;
      open.add(this);
    }
    postMessage(data) {
      messages.push(data);
      for (const other of open) {
        if (other !== this && other.name === this.name) setTimeout(() => open.has(other) && other.onmessage?.({ data: structuredClone(data) }));
      }
    }
    close() {
      open.delete(this);
    }
  };
}

const coded = (value) => Buffer.from(JSON.stringify(value)).toString("base64url");

export class Server {
  /** Every request that arrived. */
  log = [];
  /** Session id → user. */
  live = new Map();
  cookie = null;
  tokens = new Map();
  /** What `tokens` are born as; a server that never gets well says "token_expired" for ever. */
  bornAs = "good";
  checksOwner = true;
  roles = {};
  atOnce = 0;
  mostAtOnce = 0;
  #count = 0;
  #scripts = [];
  #gates = [];

  /** The next request to `path` gets this answer: a Response, an Error, or a function of the request. */
  once(path, answer) {
    this.#scripts.push({ path, answer });
  }

  /** The next request to `path` waits; answers { arrived, release }. Its work is done before the wait, as when an answer is slow. */
  hold(path) {
    const gate = { path };
    gate.arrived = new Promise((resolve) => (gate.tell = resolve));
    gate.wait = new Promise((resolve) => (gate.release = resolve));
    this.#gates.push(gate);
    return gate;
  }

  expire(code = "token_expired") {
    for (const token of this.tokens.keys()) this.tokens.set(token, code);
  }

  requests(path) {
    return this.log.filter((entry) => entry.path === path);
  }

  fetch = async (input, init) => {
    const request = new Request(input, init);
    request.signal.throwIfAborted();
    const { pathname: path } = new URL(request.url);
    const entry = {
      path,
      url: request.url,
      method: request.method,
      credentials: request.credentials,
      redirect: request.redirect,
      bearer: request.headers.get("Authorization")?.replace("Bearer ", "") ?? null,
      csrf: request.headers.get("X-CSRF-Token"),
      body: await request.text(),
    };
    this.log.push(entry);
    const changesCookies = /login|register|refresh|logout$/.test(path);
    if (changesCookies) this.mostAtOnce = Math.max(this.mostAtOnce, ++this.atOnce);
    try {
      await null;
      const scripted = this.#take(this.#scripts, path);
      let answer = scripted ? scripted.answer : this.#answer(entry);
      if (typeof answer === "function") answer = answer(entry);
      const gate = this.#take(this.#gates, path);
      if (gate) {
        gate.tell();
        await gate.wait;
      } else {
        await new Promise((resolve) => setTimeout(resolve));
      }
      if (answer instanceof Error) throw answer;
      return answer;
    } finally {
      if (changesCookies) this.atOnce -= 1;
    }
  };

  #take(list, path) {
    const at = list.findIndex((item) => item.path === path);
    return at < 0 ? null : list.splice(at, 1)[0];
  }

  mint(sub, sid) {
    this.#count += 1;
    const token = `${coded({ alg: "HS256" })}.${coded({ sub, sid, email: `${sub}@example.com`, role: this.roles[sub] ?? "user", n: this.#count })}.x`;
    this.tokens.set(token, this.bornAs);
    return token;
  }

  csrfOf = (sid) => `csrf-${sid}`;

  signIn(sub, status = 200) {
    if (this.cookie) this.live.delete(this.cookie);
    const sid = `s${this.live.size}-${(this.#count += 1)}`;
    this.live.set(sid, sub);
    this.cookie = sid;
    return ok({ user: { id: sub, email: `${sub}@example.com`, name: `The ${sub}`, role: "user" }, accessToken: this.mint(sub, sid), csrfToken: this.csrfOf(sid) }, status);
  }

  #answer({ path, credentials, bearer, csrf, body }) {
    const cookie = credentials === "include" ? this.cookie : null;
    const owner = this.live.get(cookie);
    const claims = bearer && JSON.parse(Buffer.from(bearer.split(".")[1], "base64url").toString());
    if (path === "/api/auth/login") {
      const { email, password } = JSON.parse(body);
      return password === "right" ? this.signIn(email.split("@")[0]) : refused(401, "invalid_credentials");
    }
    if (path === "/api/auth/csrf-token") return ok({ csrfToken: this.csrfOf(cookie) });
    if (path === "/api/auth/refresh-token" || path === "/api/auth/logout") {
      if (csrf !== this.csrfOf(cookie)) return refused(403, "csrf_failed");
      if (this.checksOwner && owner && claims && claims.sub !== owner) return refused(401, "invalid_token");
      if (path === "/api/auth/logout") {
        this.live.delete(cookie);
        this.cookie = null;
        return ok(null);
      }
      if (!cookie) return refused(401, "missing_refresh_token");
      if (!owner) return refused(401, "invalid_refresh_token");
      return ok({ accessToken: this.mint(owner, cookie), csrfToken: this.csrfOf(cookie) });
    }
    if (!bearer) return refused(401, "missing_token");
    const word = this.tokens.get(bearer);
    if (word !== "good") return refused(401, word ?? "invalid_token");
    if (!this.live.has(claims.sid)) return refused(401, "token_revoked");
    if (path === "/api/auth/logout-all") for (const [sid, sub] of this.live) if (sub === claims.sub) this.live.delete(sid);
    return ok({ me: claims.sub, body });
  }
}

export function ok(data, status = 200) {
  return Response.json({ statusCode: status, data, message: "ok" }, { status });
}

export function refused(status, error, { headers = {}, ...more } = {}) {
  const body = { statusCode: status, message: `said ${error}`, error, path: "/", timestamp: "2026-01-01T00:00:00.000Z", ...more };
  return Response.json(body, { status, headers });
}

/** A browser with one server; `tab()` opens a client in it. */
export function open({ locks = true, channels = true } = {}) {
  const server = new Server();
  const messages = [];
  setGlobal("fetch", server.fetch);
  setGlobal("navigator", locks ? { locks: makeLocks() } : {});
  if (channels) setGlobal("BroadcastChannel", makeChannels(messages));
  else delete globalThis.BroadcastChannel;
  for (const store of ["localStorage", "sessionStorage", "document", "indexedDB"]) {
    Object.defineProperty(globalThis, store, {
      configurable: true,
      get() {
        throw new Error(`the client touched ${store}`);
      },
    });
  }
  const tab = () => {
    const auth = createClient({ baseUrl: API });
    const seen = [];
    auth.onChange((state, user) => seen.push(user ? `${state} ${user.id}` : state));
    return Object.assign(Object.create(auth), { seen });
  };
  return { server, messages, tab };
}

/** Until every message and answer under way has arrived. */
export async function quiet() {
  for (let turn = 0; turn < 20; turn += 1) await new Promise((resolve) => setTimeout(resolve, 1));
}

/** The error a promise rejects with; fails when it does not. */
export async function errorOf(promise) {
  try {
    await promise;
  } catch (error) {
    return error;
  }
  throw new Error("expected a rejection");
}
