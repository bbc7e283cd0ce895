import assert from "node:assert/strict";
import { test } from "node:test";

import { AuthwardError, createClient } from "../../clients/js/authward.js";
import { API, errorOf, ok, open, quiet, refused } from "./world.mjs";

const REFRESH = "/api/auth/refresh-token";
const PROFILE = "/api/profile";
const LOGOUT = "/api/auth/logout";

/** A browser with one signed-in tab, its past forgotten. */
async function signedIn(options, who = "ann") {
  const world = open(options);
  const auth = world.tab();
  await auth.login(`${who}@example.com`, "right");
  await quiet();
  world.server.log.length = 0;
  return { ...world, auth };
}

/** Stands in for `AbortSignal.timeout`, whose timer does not keep Node running. */
function soon() {
  const abort = new AbortController();
  setTimeout(() => abort.abort(new DOMException("too late", "TimeoutError")), 20);
  return abort.signal;
}

const count = (server, path) => server.requests(path).length;
const bodyOf = async (answer) => (await answer.json()).data;

// --- signing in ----------------------------------------------------------------------------------

test("login signs in, and the token goes to the API alone", async () => {
  const { server, auth, messages } = await signedIn();
  assert.equal(auth.state, "signed-in");
  assert.deepEqual(auth.user, { id: "ann", email: "ann@example.com", name: "The ann", role: "user" });
  assert.deepEqual(auth.seen, ["signed-in ann"]);
  const answer = await auth.fetch(PROFILE);
  assert.equal((await bodyOf(answer)).me, "ann");
  assert.ok(server.requests(PROFILE)[0].bearer);
  assert.doesNotMatch(JSON.stringify(messages), /eyJ|csrf/);
});

test("login answers the user, never a token", async () => {
  const { tab } = open();
  assert.deepEqual(Object.keys(await tab().login("ann@example.com", "right")), ["user"]);
});

test("a wrong password is one error, and changes nothing", async () => {
  const { tab } = open();
  const auth = tab();
  const error = await errorOf(auth.login("ann@example.com", "wrong"));
  assert.ok(error instanceof AuthwardError);
  assert.deepEqual([error.code, error.status, error.message, error.details], ["invalid_credentials", 401, "said invalid_credentials", []]);
  assert.equal(auth.state, "unknown");
  assert.deepEqual(auth.seen, []);
});

test("nothing of an earlier user stays with the next", async () => {
  const { server, auth } = await signedIn();
  server.once("/api/auth/login", () => ok({ accessToken: server.mint("ben", "s") }));
  await auth.login("ben@example.com", "right");
  assert.deepEqual(auth.user, { id: "ben", email: "ben@example.com", role: "user" });
});

test("a second factor is asked for without signing in, then signs in", async () => {
  const { server, tab, messages } = open();
  const auth = tab();
  server.once("/api/auth/login", ok({ mfaRequired: true, challengeToken: "c", methods: ["totp"] }));
  assert.deepEqual(await auth.login("ann@example.com", "right"), { mfaRequired: true, challengeToken: "c", methods: ["totp"] });
  assert.equal(auth.state, "unknown");
  assert.deepEqual(messages, []);
  server.once("/api/auth/login/mfa", () => server.signIn("ann"));
  await auth.completeMfa({ challengeToken: "c", method: "totp", code: "123456" });
  assert.equal(auth.state, "signed-in");
  assert.deepEqual(JSON.parse(server.requests("/api/auth/login/mfa")[0].body), { challengeToken: "c", method: "totp", code: "123456" });
});

test("register signs in; where the mail decides, it answers null", async () => {
  const { server, tab } = open();
  const auth = tab();
  server.once("/api/auth/register", ok(null, 202));
  assert.equal(await auth.register({ email: "ann@example.com", password: "right", name: "Ann" }), null);
  assert.equal(auth.state, "unknown");
  server.once("/api/auth/register", () => server.signIn("ann", 201));
  assert.equal((await auth.register({ email: "ann@example.com", password: "right", name: "Ann" }))?.user.id, "ann");
  assert.deepEqual(JSON.parse(server.requests("/api/auth/register")[1].body), { email: "ann@example.com", password: "right", name: "Ann" });
});

test("a 422 names its fields", async () => {
  const { server, tab } = open();
  const details = [{ field: "password", code: "too_short", message: "Use at least 8 characters." }];
  server.once("/api/auth/register", refused(422, "validation_error", { details }));
  const error = await errorOf(tab().register({ email: "ann@example.com", password: "x", name: "Ann" }));
  assert.deepEqual([error.code, error.details], ["validation_error", details]);
});

test("what is not Authward's answer is said so", async () => {
  const { server, tab } = open();
  const auth = tab();
  server.once("/api/auth/login", new Response("<h1>Bad gateway</h1>", { status: 502 }));
  const bad = await errorOf(auth.login("ann@example.com", "right"));
  assert.deepEqual([bad.code, bad.status], ["unexpected_answer", 502]);
  server.once("/api/auth/login", ok({ accessToken: "not a token" }));
  assert.equal((await errorOf(auth.login("ann@example.com", "right"))).code, "unexpected_answer");
  server.once("/api/auth/login", new TypeError("failed to fetch"));
  const away = await errorOf(auth.login("ann@example.com", "right"));
  assert.deepEqual([away.code, away.status, away.cause.message], ["network_error", 0, "failed to fetch"]);
  assert.equal(auth.state, "unknown");
});

test("cookies travel on the cookie routes only, and those follow no redirect", async () => {
  const { server, auth } = await signedIn();
  await auth.fetch(PROFILE);
  await auth.refresh();
  await auth.logout();
  assert.notEqual(server.requests(PROFILE)[0].credentials, "include");
  for (const path of [REFRESH, LOGOUT]) {
    assert.deepEqual([server.requests(path)[0].credentials, server.requests(path)[0].redirect], ["include", "error"]);
  }
});

// --- the seven steps -----------------------------------------------------------------------------

for (const options of [{}, { locks: false, channels: false }]) {
  test(`ten callers, one refresh, ten answers (${JSON.stringify(options)})`, async () => {
    const { server, auth } = await signedIn(options);
    server.expire();
    const answers = await Promise.all(Array.from({ length: 10 }, (_, n) => auth.fetch(PROFILE, { method: "POST", body: `${n}` })));
    assert.deepEqual(await Promise.all(answers.map(async (answer) => (await bodyOf(answer)).body)), [..."0123456789"]);
    assert.equal(count(server, REFRESH), 1);
    assert.equal(count(server, PROFILE), 20);
    assert.deepEqual(auth.seen, ["signed-in ann"]);
  });
}

test("a 401 that arrives after the renewal does not renew again", async () => {
  const { server, auth } = await signedIn();
  server.expire();
  const slow = server.hold(PROFILE);
  const late = auth.fetch(PROFILE);
  await slow.arrived;
  assert.equal((await auth.fetch("/api/other")).status, 200);
  slow.release();
  assert.equal((await late).status, 200);
  assert.equal(count(server, REFRESH), 1);
});

test("one retry, never a loop", async () => {
  const { server, auth } = await signedIn();
  server.expire();
  server.bornAs = "token_expired";
  const answer = await auth.fetch(PROFILE);
  assert.deepEqual([answer.status, (await answer.json()).error], [401, "token_expired"]);
  assert.equal(count(server, REFRESH), 1);
  assert.equal(count(server, PROFILE), 2);
  assert.equal(auth.state, "signed-in");
});

for (const code of ["token_revoked", "invalid_token"]) {
  test(`${code} is tried once with a new token`, async () => {
    const { server, auth } = await signedIn();
    server.expire(code);
    assert.equal((await auth.fetch(PROFILE)).status, 200);
    assert.equal(count(server, REFRESH), 1);
  });
}

test("other answers are the caller's, untouched", async () => {
  const { server, auth } = await signedIn();
  for (const [status, code] of [[403, "forbidden"], [401, "invalid_credentials"], [429, "rate_limited"], [503, "overloaded"]]) {
    server.once(PROFILE, refused(status, code));
    const answer = await auth.fetch(PROFILE);
    assert.deepEqual([answer.status, (await answer.json()).error], [status, code]);
  }
  server.once(PROFILE, new Response("<h1>no</h1>", { status: 401 }));
  assert.equal(await (await auth.fetch(PROFILE)).text(), "<h1>no</h1>");
  server.once(PROFILE, new TypeError("failed to fetch"));
  assert.ok((await errorOf(auth.fetch(PROFILE))) instanceof TypeError);
  assert.equal(count(server, REFRESH), 0);
});

test("a Request with a body is sent again whole", async () => {
  const { server, auth } = await signedIn();
  server.expire();
  const answer = await auth.fetch(new Request(`${API}/api/things`, { method: "PUT", body: "whole", headers: { "X-Mine": "1" } }));
  assert.equal((await bodyOf(answer)).body, "whole");
  assert.equal(count(server, "/api/things"), 2);
});

test("a stream cannot be sent twice: its 401 is the answer, and the next call works", async () => {
  const { server, auth } = await signedIn();
  server.expire();
  const stream = new ReadableStream({
    start(controller) {
      controller.enqueue(new TextEncoder().encode("once"));
      controller.close();
    },
  });
  const answer = await auth.fetch(PROFILE, { method: "POST", body: stream, duplex: "half" });
  assert.deepEqual([answer.status, (await answer.json()).error], [401, "token_expired"]);
  assert.equal((await auth.fetch(PROFILE)).status, 200);
  assert.equal(count(server, REFRESH), 1);
  assert.equal(count(server, PROFILE), 2);
});

test("an aborted caller is not sent again, and the others go on", async () => {
  const { server, auth } = await signedIn();
  server.expire();
  const gate = server.hold(REFRESH);
  const abort = new AbortController();
  const gone = errorOf(auth.fetch("/api/gone", { signal: abort.signal }));
  const stays = auth.fetch(PROFILE);
  await gate.arrived;
  abort.abort();
  gate.release();
  assert.equal((await gone).name, "AbortError");
  assert.equal((await stays).status, 200);
  assert.equal(count(server, "/api/gone"), 1);
});

test("the expired token goes along on refresh and logout", async () => {
  const { server, auth } = await signedIn();
  await auth.fetch(PROFILE);
  const [{ bearer }] = server.requests(PROFILE);
  server.expire();
  await auth.fetch(PROFILE);
  assert.equal(server.requests(REFRESH)[0].bearer, bearer);
  server.expire();
  await auth.logout();
  assert.equal(server.requests(LOGOUT)[0].bearer, server.requests(PROFILE).at(-1).bearer);
});

test("a changed role arrives with the new token and is told", async () => {
  const { server, auth } = await signedIn();
  const roles = [];
  auth.onChange((_, user) => roles.push(user.role));
  server.roles.ann = "admin";
  server.expire();
  await auth.fetch(PROFILE);
  assert.deepEqual([roles, auth.user.role, auth.user.name], [["admin"], "admin", "The ann"]);
});

// --- where the token may go ----------------------------------------------------------------------

test("the token never goes to another origin", async () => {
  const { server, auth } = await signedIn();
  for (const elsewhere of [
    "https://evil.example.com/x",
    "http://api.example.com/x",
    "https://api.example.com:8443/x",
    "https://api.example.com.evil.example/x",
    "HTTPS://evil.example.com/x",
    new URL("https://evil.example.com/x"),
    new Request("https://evil.example.com/x"),
    "data:text/plain,x",
    "blob:https://api.example.com/1",
  ]) {
    const error = await errorOf(auth.fetch(elsewhere));
    assert.equal(error.code, "other_origin", String(elsewhere));
    assert.match(error.message, /https:\/\/api\.example\.com only/);
  }
  assert.equal(server.log.length, 0);
});

test("every path stays below baseUrl, however it is written", async () => {
  const { server, auth } = await signedIn();
  for (const path of ["/api/a", "api/a", "//evil.example.com/a", "/\\evil.example.com/a", "\\\\evil.example.com/a", " https://evil.example.com/a", `${API}/api/a`]) {
    await auth.fetch(path);
  }
  assert.ok(server.log.every(({ url }) => url.startsWith(`${API}/`)), JSON.stringify(server.log.map(({ url }) => url)));
  assert.equal(server.log.length, 7);
});

test("a baseUrl with a path keeps it; one that is no web address is refused", async () => {
  const { server } = open();
  const auth = createClient({ baseUrl: `${API}/v1/?x=1#y` });
  server.once("/v1/api/auth/login", () => server.signIn("ann"));
  await auth.login("ann@example.com", "right");
  await auth.fetch("/api/profile");
  assert.deepEqual(server.log.map(({ url }) => url), [`${API}/v1/api/auth/login`, `${API}/v1/api/profile`]);
  assert.throws(() => createClient({ baseUrl: "file:///etc/passwd" }), TypeError);
});

test("localhost against 127.0.0.1 is warned of", (context) => {
  open();
  const warn = context.mock.method(console, "warn", () => {});
  Object.defineProperty(globalThis, "location", { value: new URL("http://localhost:5173/"), configurable: true });
  try {
    createClient({ baseUrl: "http://127.0.0.1:8000" });
    assert.match(warn.mock.calls[0].arguments[0], /page is on localhost and the API on 127\.0\.0\.1/);
    createClient({ baseUrl: "http://localhost:8000" });
    createClient({ baseUrl: API });
    createClient();
    assert.equal(warn.mock.callCount(), 1);
  } finally {
    delete globalThis.location;
  }
});

// --- a refresh that fails ------------------------------------------------------------------------

test("a refused refresh signs out, in every tab of that session", async () => {
  const { server, auth, tab, messages } = await signedIn();
  const second = tab();
  await second.restore();
  server.live.clear();
  server.expire();
  const answer = await auth.fetch(PROFILE);
  assert.deepEqual([answer.status, (await answer.json()).error], [401, "token_expired"]);
  await quiet();
  assert.deepEqual([auth.state, auth.user, second.state, second.user], ["signed-out", null, "signed-out", null]);
  assert.deepEqual(auth.seen, ["signed-in ann", "signed-out"]);
  assert.deepEqual(second.seen, ["signed-in ann", "signed-out"]);
  assert.deepEqual(Object.keys(messages.at(-1)), ["type", "sid"], "for the tabs of that session");
  const before = server.log.length;
  assert.equal((await auth.fetch(PROFILE)).status, 401);
  assert.equal(server.log.length, before + 1, "signed out: no refresh");
});

test("no network, 429 and 503 do not sign out; the next call works", async () => {
  for (const [fault, code] of [
    [new TypeError("failed to fetch"), "network_error"],
    [refused(429, "rate_limited", { headers: { "Retry-After": "60" } }), "rate_limited"],
    [refused(503, "unavailable"), "unavailable"],
    [refused(500, "internal_error"), "internal_error"],
    [refused(403, "origin_not_allowed"), "origin_not_allowed"],
    [new Response("portal", { status: 401 }), "unexpected_answer"],
  ]) {
    const { server, auth, messages } = await signedIn();
    server.expire();
    server.once(REFRESH, fault);
    const calls = [auth.fetch(PROFILE), auth.fetch(PROFILE)].map(errorOf);
    for (const error of await Promise.all(calls)) assert.deepEqual([error.name, error.code], ["AuthwardError", code]);
    assert.equal(count(server, REFRESH), 1, code);
    assert.deepEqual([auth.state, auth.seen.length, messages.length], ["signed-in", 1, 1], code);
    assert.equal((await auth.fetch(PROFILE)).status, 200, code);
  }
});

test("a short Retry-After is waited for, once", async () => {
  const again = () => refused(503, "overloaded", { headers: { "Retry-After": "0" } });
  const { server, auth } = await signedIn();
  server.expire();
  server.once(REFRESH, again());
  assert.equal((await auth.fetch(PROFILE)).status, 200);
  assert.equal(count(server, REFRESH), 2);

  server.expire();
  server.once(REFRESH, again());
  server.once(REFRESH, again());
  const error = await errorOf(auth.fetch(PROFILE));
  assert.deepEqual([error.code, error.status, error.retryAfter], ["overloaded", 503, 0]);
  assert.equal(count(server, REFRESH), 4);
  assert.equal(auth.state, "signed-in");
});

test("a sign-out while waiting ends the wait without another try", async (context) => {
  const { server, auth } = await signedIn();
  const realTimeout = globalThis.setTimeout;
  let wake;
  const waiting = new Promise((resolve) => {
    context.mock.method(globalThis, "setTimeout", (work, delay) => (delay === 2000 ? ((wake = work), resolve(null)) : realTimeout(work, delay)));
  });
  server.once(REFRESH, refused(429, "rate_limited", { headers: { "Retry-After": "2" } }));
  const refreshed = auth.refresh();
  await waiting;
  const left = auth.logout();
  wake();
  await left;
  assert.equal(await refreshed, "signed-out");
  assert.equal(count(server, REFRESH), 1);
});

test("a stale CSRF token is replaced once", async () => {
  const { server, auth } = await signedIn();
  server.once(REFRESH, refused(403, "csrf_failed"));
  assert.equal(await auth.refresh(), "signed-in");
  assert.equal(count(server, "/api/auth/csrf-token"), 1);
  for (let n = 0; n < 2; n += 1) server.once(REFRESH, refused(403, "csrf_failed"));
  assert.equal((await errorOf(auth.refresh())).code, "csrf_failed");
  assert.equal(count(server, REFRESH), 4);
  assert.equal(auth.state, "signed-in");
});

// --- signing out ---------------------------------------------------------------------------------

for (const options of [{}, { locks: false }]) {
  test(`a refresh that lands after a sign-out is dropped (${JSON.stringify(options)})`, async () => {
    const { server, auth } = await signedIn(options);
    server.expire();
    const gate = server.hold(REFRESH);
    const call = auth.fetch(PROFILE);
    await gate.arrived;
    const left = auth.logout();
    gate.release();
    await left;
    assert.equal((await call).status, 401);
    assert.equal(auth.state, "signed-out");
    assert.deepEqual(auth.seen, ["signed-in ann", "signed-out"]);
    assert.equal(count(server, PROFILE), 1);
    assert.equal(server.live.size, 0);
  });
}

test("a call during the sign-out waits for it and renews nothing", async () => {
  const { server, auth } = await signedIn();
  server.expire();
  const gate = server.hold(LOGOUT);
  const left = auth.logout();
  await gate.arrived;
  const call = auth.fetch(PROFILE);
  await quiet();
  gate.release();
  await left;
  assert.equal((await call).status, 401);
  assert.equal(count(server, REFRESH), 0);
});

test("a sign-out asked for during a sign-in ends the new session", async () => {
  const { server, auth } = await signedIn();
  const gate = server.hold("/api/auth/login");
  const entered = auth.login("ben@example.com", "right");
  await gate.arrived;
  const left = auth.logout();
  gate.release();
  await Promise.all([entered, left]);
  assert.deepEqual([auth.state, server.live.size], ["signed-out", 0]);
});

test("a refresh under way in one tab is dropped when another tab signs out", async () => {
  const { server, auth, tab } = await signedIn({ locks: false });
  const second = tab();
  await second.restore();
  const gate = server.hold(REFRESH);
  const refreshed = second.refresh();
  await gate.arrived;
  await auth.logout();
  await quiet();
  gate.release();
  assert.equal(await refreshed, "signed-out");
  assert.deepEqual(second.seen, ["signed-in ann", "signed-out"]);
});

test("signing out in one tab signs out the others", async () => {
  const { server, auth, tab } = await signedIn();
  const second = tab();
  await second.restore();
  await auth.logout();
  await quiet();
  assert.deepEqual([auth.state, second.state], ["signed-out", "signed-out"]);
  assert.equal(server.live.size, 0);
});

test("others are told only when the server has answered", async () => {
  const { server, auth, messages } = await signedIn();
  const gate = server.hold(LOGOUT);
  const left = auth.logout();
  await gate.arrived;
  assert.deepEqual([auth.state, messages.length], ["signed-in", 1]);
  gate.release();
  await left;
  assert.deepEqual(messages.at(-1), { type: "signed-out" });
  assert.equal(await auth.restore(), "signed-out");
  assert.equal(count(server, REFRESH), 1, "not with the CSRF token of the session that ended");
});

test("a sign-out that cannot reach the server forgets here, says so, and can be repeated", async () => {
  const { server, auth } = await signedIn();
  server.once(LOGOUT, new TypeError("failed to fetch"));
  assert.equal((await errorOf(auth.logout())).code, "network_error");
  assert.equal(auth.state, "signed-out");
  assert.equal(server.live.size, 1);
  await auth.logout();
  assert.equal(server.live.size, 0);
});

test("a reloaded page can sign out without signing in first", async () => {
  const { server, tab } = await signedIn();
  await tab().logout();
  assert.equal(server.live.size, 0);
  assert.deepEqual(server.log.map(({ path }) => path), ["/api/auth/csrf-token", LOGOUT]);
});

test("logoutAll ends all sessions and tells the tabs; if refused it changes nothing here", async () => {
  const { server, auth, tab } = await signedIn();
  const second = tab();
  await second.restore();
  server.once("/api/auth/logout-all", refused(503, "unavailable"));
  assert.equal((await errorOf(auth.logoutAll())).code, "unavailable");
  assert.equal(auth.state, "signed-in");
  server.expire();
  await auth.logoutAll();
  await quiet();
  assert.deepEqual([auth.state, second.state, server.live.size], ["signed-out", "signed-out", 0]);
});

// --- tabs ----------------------------------------------------------------------------------------

test("two tabs refresh at once: both go on, one after the other", async () => {
  const { server, auth, tab } = await signedIn();
  const second = tab();
  await second.restore();
  server.expire();
  const answers = await Promise.all([auth.fetch(PROFILE), second.fetch(PROFILE), auth.fetch(PROFILE), second.fetch(PROFILE)]);
  assert.deepEqual(answers.map(({ status }) => status), [200, 200, 200, 200]);
  assert.equal(count(server, REFRESH), 3, "one to restore, one a tab");
  assert.equal(server.mostAtOnce, 1);
});

test("without locks a tab still orders its own sign-ins and refreshes", async () => {
  const { server, auth } = await signedIn({ locks: false });
  await Promise.all([errorOf(auth.login("ann@example.com", "wrong")), auth.refresh(), auth.login("ann@example.com", "right")]);
  assert.equal(server.mostAtOnce, 1);
  assert.equal(auth.state, "signed-in");
  assert.equal((await auth.fetch(PROFILE)).status, 200);
});

test("a lock that never comes is done without", async (context) => {
  const { server, auth } = await signedIn();
  context.mock.method(AbortSignal, "timeout", soon);
  navigator.locks.request(`authward:${API}`, {}, () => new Promise(() => {}));
  await quiet();
  assert.equal(await auth.refresh(), "signed-in");
  assert.equal(count(server, REFRESH), 1);
});

test("a server that never answers is given up, and that signs nobody out", async (context) => {
  const { server, auth } = await signedIn();
  context.mock.method(AbortSignal, "timeout", soon);
  globalThis.fetch = (_, { signal }) => new Promise((_resolve, reject) => signal.addEventListener("abort", () => reject(signal.reason)));
  assert.equal((await errorOf(auth.refresh())).code, "network_error");
  globalThis.fetch = server.fetch;
  assert.equal(await auth.refresh(), "signed-in");
});

test("signing in in one tab signs in the others, each by itself", async () => {
  const { tab, server, messages } = open();
  const [first, second] = [tab(), tab()];
  assert.equal(await second.restore(), "signed-out");
  await first.login("ann@example.com", "right");
  await quiet();
  assert.equal(second.state, "signed-in");
  assert.deepEqual(messages, [{ type: "signed-in" }]);
  assert.equal((await second.fetch(PROFILE)).status, 200);
  assert.equal(count(server, REFRESH), 2);
});

test("the same user signs in again elsewhere: this tab goes on, also with a refresh under way", async () => {
  const { server, auth, tab } = await signedIn({ locks: false });
  const second = tab();
  server.expire();
  const gate = server.hold(REFRESH);
  const call = auth.fetch(PROFILE);
  await gate.arrived;
  await second.login("ann@example.com", "right");
  await quiet();
  gate.release();
  assert.equal((await call).status, 200);
  assert.deepEqual([auth.state, second.state], ["signed-in", "signed-in"]);
});

test("a refusal of the earlier session that lands late does not end the newer one, and its refresh is shared", async () => {
  const { server, auth, tab } = await signedIn({ locks: false });
  const second = tab();
  server.once(REFRESH, refused(401, "invalid_refresh_token"));
  const gate = server.hold(REFRESH);
  const refreshed = auth.refresh();
  await gate.arrived;
  await second.login("ann@example.com", "right");
  const newer = server.hold(REFRESH);
  await quiet();
  gate.release();
  await newer.arrived;
  const shared = auth.refresh();
  newer.release();
  assert.deepEqual(await Promise.all([refreshed, shared]), ["signed-in", "signed-in"]);
  assert.equal(count(server, REFRESH), 2);
  assert.deepEqual(auth.seen, ["signed-in ann"]);
});

test("a refresh that waited for another tab while this one was signed out is not sent", async () => {
  const { server, auth } = await signedIn();
  let done;
  navigator.locks.request(`authward:${API}`, {}, () => new Promise((resolve) => (done = resolve)));
  await quiet();
  const refreshed = auth.refresh();
  new globalThis.BroadcastChannel(`authward:${API}`).postMessage({ type: "signed-out" });
  await quiet();
  done();
  assert.equal(await refreshed, "signed-out");
  assert.equal(count(server, REFRESH), 0);
});

test("a refresh that lands after a sign-in is dropped, also where locks fail", async () => {
  const { server, auth } = await signedIn();
  navigator.locks.request = async () => {
    throw new DOMException("denied", "SecurityError");
  };
  const gate = server.hold(REFRESH);
  const refreshed = auth.refresh();
  await gate.arrived;
  await auth.login("ben@example.com", "right");
  gate.release();
  assert.equal(await refreshed, "signed-in");
  assert.deepEqual(auth.seen, ["signed-in ann", "signed-in ben"]);
});

test("news of an older session's end does not end a newer one", async () => {
  const { server, auth, tab, messages } = await signedIn();
  const channelLess = globalThis.BroadcastChannel;
  const second = tab();
  await second.login("ann@example.com", "right");
  const news = new channelLess(`authward:${API}`);
  news.postMessage({ type: "signed-out", sid: "an older one" });
  news.postMessage("junk");
  news.postMessage(null);
  await quiet();
  assert.deepEqual([auth.state, second.state], ["signed-in", "signed-in"]);
  assert.equal((await auth.fetch(PROFILE)).status, 200);
  assert.equal(messages.length, 5);
  assert.equal(server.live.size, 1);
});

test("a closed client hears nothing more", async () => {
  const { auth, tab } = await signedIn();
  const second = tab();
  await second.restore();
  second.close();
  await auth.logout();
  await quiet();
  assert.equal(second.state, "signed-in");
});

// --- somebody else's cookie ----------------------------------------------------------------------

for (const checksOwner of [true, false]) {
  test(`another user's cookie: signed out here, nothing sent again, the other goes on (server checks: ${checksOwner})`, async () => {
    const { server, auth, messages } = await signedIn();
    auth.close();
    server.checksOwner = checksOwner;
    server.signIn("ben");
    server.expire();
    messages.length = 0;
    const answer = await auth.fetch("/api/transfer", { method: "POST", body: "all of it" });
    assert.equal(answer.status, 401);
    assert.equal(count(server, "/api/transfer"), 1);
    assert.deepEqual([auth.state, auth.user], ["signed-out", null]);
    assert.deepEqual(messages, [], "the other user's tabs are not told");
    assert.deepEqual([...server.live.values()], ["ben"]);
    await auth.fetch("/api/transfer");
    assert.equal(server.requests("/api/transfer").at(-1).bearer, null);
  });
}

test("two users in two tabs: the earlier one is told at once, the later one goes on", async () => {
  const { server, auth, tab } = await signedIn();
  const second = tab();
  await second.login("ben@example.com", "right");
  await quiet();
  assert.deepEqual(auth.seen, ["signed-in ann", "signed-out"]);
  assert.deepEqual(second.seen, ["signed-in ben"]);
  assert.equal(count(server, REFRESH), 1, "not with the CSRF token of the earlier session");
  assert.equal((await second.fetch(PROFILE)).status, 200);
  assert.equal(await auth.restore(), "signed-in");
  assert.equal(auth.user.id, "ben");
  assert.equal(server.live.size, 1);
});

test("signing out beside another user's cookie leaves that user alone", async () => {
  const { server, auth, messages } = await signedIn();
  auth.close();
  server.signIn("ben");
  messages.length = 0;
  await auth.logout();
  assert.equal(auth.state, "signed-out");
  assert.deepEqual(messages, []);
  assert.deepEqual([...server.live.values()], ["ben"]);
});

test("a request that was under way when somebody else signed in is not sent again", async () => {
  const { server, auth } = await signedIn();
  server.expire();
  const gate = server.hold("/api/transfer");
  const call = auth.fetch("/api/transfer", { method: "POST", body: "all of it" });
  await gate.arrived;
  await auth.login("ben@example.com", "right");
  gate.release();
  assert.equal((await call).status, 401);
  assert.equal(count(server, "/api/transfer"), 1);
  assert.equal(auth.user.id, "ben");
});

// --- a reload ------------------------------------------------------------------------------------

test("a reload signs in again by the cookie", async () => {
  const { server, tab } = await signedIn();
  const reloaded = tab();
  assert.deepEqual([reloaded.state, reloaded.user], ["unknown", null]);
  assert.equal(await reloaded.restore(), "signed-in");
  assert.deepEqual(reloaded.user, { id: "ann", email: "ann@example.com", role: "user" });
  assert.deepEqual(server.log.map(({ path }) => path), ["/api/auth/csrf-token", REFRESH]);
  assert.equal(await reloaded.restore(), "signed-in");
  assert.equal(server.log.length, 2);
});

test("the first fetch after a reload restores by itself, once for all", async () => {
  const { server, tab } = await signedIn();
  const reloaded = tab();
  const answers = await Promise.all([1, 2, 3].map(() => reloaded.fetch(PROFILE)));
  assert.deepEqual(answers.map(({ status }) => status), [200, 200, 200]);
  assert.equal(count(server, REFRESH), 1);
});

test("with no session, restore says signed-out and disturbs nobody", async () => {
  const { tab, messages } = open();
  const auth = tab();
  assert.equal(await auth.restore(), "signed-out");
  assert.deepEqual([auth.seen, messages], [["signed-out"], []]);
  assert.equal((await auth.fetch(PROFILE)).status, 401);
});

test("with no network, restore rejects and nothing is known yet", async () => {
  const { server, tab } = await signedIn();
  const auth = tab();
  server.once("/api/auth/csrf-token", new TypeError("failed to fetch"));
  assert.equal((await errorOf(auth.restore())).code, "network_error");
  assert.equal(auth.state, "unknown");
  assert.equal(await auth.restore(), "signed-in");
});

// --- listeners -----------------------------------------------------------------------------------

test("a listener can leave, and one that throws harms no other", async (context) => {
  const { tab } = open();
  const auth = tab();
  const logged = context.mock.method(console, "error", () => {});
  const calls = [];
  auth.onChange(() => {
    throw new Error("mine");
  });
  const leave = auth.onChange((state) => calls.push(state));
  await auth.login("ann@example.com", "right");
  leave();
  await auth.logout();
  assert.deepEqual(calls, ["signed-in"]);
  assert.equal(logged.mock.callCount(), 2);
});
