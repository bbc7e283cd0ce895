// @ts-check
/**
 * Authward in the browser: sign in, stay signed in, call the API.
 *
 * The access token lives in this module's memory and nowhere else. The refresh token is an HttpOnly
 * cookie that no script can read. Page and API must be same-site, or the browser keeps no cookie.
 *
 * @module authward
 */

/** How long one of our own requests may take, in milliseconds. */
const ANSWER_WITHIN = 15_000;
/** How long to wait for another tab's lock. Going on without it is safe: the server's refresh is idempotent. */
const LOCK_WITHIN = 10_000;
/** The longest `Retry-After` that is waited for, in seconds. A longer one is the caller's to handle. */
const WAIT_AT_MOST = 5;
/** The 401 codes that a new access token may cure. */
const CURABLE = new Set(["token_expired", "token_revoked", "invalid_token"]);

/** @typedef {"unknown" | "signed-in" | "signed-out"} State  `unknown` until the first sign-in or `restore()`. */
/** @typedef {{ id: string, email?: string, name?: string, role?: string }} User  No `name` after a reload: the token holds none. */
/** @typedef {{ user: User }} SignedIn */
/** @typedef {{ mfaRequired: true, challengeToken: string, methods: string[] }} MfaRequired */
/** @typedef {{ field: string, code: string, message: string }} Detail */
/** @typedef {(state: State, user: User | null) => void} Listener */
/** @typedef {{ token: string, sub: string, sid?: string, user: User }} Session */
/** @typedef {{ type: "signed-in" | "signed-out", sid?: string }} Notice  What tabs tell each other. Never a token. */

/** The one error of this module. */
export class AuthwardError extends Error {
  /**
   * @param {string} code  the server's error code; or `network_error`, `unexpected_answer`, `other_origin`
   * @param {number} status  the HTTP status, 0 where there was no answer
   * @param {string} message
   * @param {{ details?: Detail[], retryAfter?: number | null, cause?: unknown }} [more]
   */
  constructor(code, status, message, { details = [], retryAfter = null, cause } = {}) {
    super(message, { cause });
    this.name = "AuthwardError";
    this.code = code;
    this.status = status;
    /** One entry per wrong field of a 422. */
    this.details = details;
    /** Seconds to wait before the next try, where the server said so. */
    this.retryAfter = retryAfter;
  }
}

/**
 * A client of one Authward server. One per page is enough.
 *
 * @param {{ baseUrl?: string }} [options]  the API's address; the page's own origin if left out
 */
export function createClient({ baseUrl = "/" } = {}) {
  const here = globalThis.location;
  const url = new URL(baseUrl, here?.href);
  if (!/^https?:$/.test(url.protocol)) throw new TypeError("baseUrl must be an http or https address.");
  const base = url.origin + url.pathname.replace(/\/+$/, "");
  const name = `authward:${base}`;
  if (here && here.hostname !== url.hostname && [here.hostname, url.hostname].every(isLoopback)) {
    console.warn(`authward: the page is on ${here.hostname} and the API on ${url.hostname}. To a browser these are `
      + "two sites, so it keeps no cookie and every reload signs out. Use one name for both.");
  }

  /** @type {Session | null} */
  let session = null;
  /** @type {State} */
  let state = "unknown";
  /** @type {string | null} */
  let csrf = null;
  /** @type {Promise<State> | null} */
  let refreshing = null;
  /** Counts sign-ins and sign-outs. An answer asked for in an earlier era is dropped. */
  let era = 0;
  /** The end of this tab's queue where the browser has no locks. @type {Promise<unknown>} */
  let tail = Promise.resolve();
  /** @type {Set<Listener>} */
  const listeners = new Set();

  const channel = "BroadcastChannel" in globalThis ? new BroadcastChannel(name) : null;
  if (channel) channel.onmessage = ({ data }) => heard(data);

  // --- state ---------------------------------------------------------------------------------

  function newEra() {
    era += 1;
    refreshing = null;
  }

  /** @param {Session | null} next */
  function settle(next) {
    const before = JSON.stringify([state, session?.user]);
    session = next;
    state = next ? "signed-in" : "signed-out";
    if (JSON.stringify([state, session?.user]) === before) return;
    for (const listener of [...listeners]) {
      try {
        listener(state, session?.user ?? null);
      } catch (error) {
        console.error(error);
      }
    }
  }

  function forget() {
    newEra();
    csrf = null;
    settle(null);
  }

  /** @param {Notice} notice */
  const tell = (notice) => channel?.postMessage(notice);

  /** @param {Notice} notice */
  function heard(notice) {
    if (notice?.type === "signed-out") {
      // A notice that names a session is for the tabs of that session: one that came to be since goes on.
      if (!notice.sid || notice.sid === session?.sid) forget();
    } else if (notice?.type === "signed-in") {
      newEra();
      csrf = null;
      refresh().catch(() => {}); // state and token stay as they were; the next call tries again
    }
  }

  /**
   * @param {any} data  of a sign-in or a refresh
   * @returns {Session}
   */
  function opened(data) {
    const claims = payload(data?.accessToken);
    if (!claims?.sub) throw new AuthwardError("unexpected_answer", 200, "The answer holds no access token.");
    const { sub, sid, email, role } = claims;
    const known = session?.sub === sub ? session?.user : {};
    const user = Object.freeze({ ...known, id: sub, ...(email && { email }), ...(role && { role }), ...data.user });
    return { token: data.accessToken, sub, sid, user };
  }

  // --- requests ------------------------------------------------------------------------------

  /**
   * One of our own requests. It may set cookies; a redirect would carry a password or a cookie elsewhere, so it is an error.
   *
   * @param {string} path
   * @param {RequestInit} [init]
   * @returns {Promise<any>} the envelope's `data`
   */
  async function call(path, init) {
    const signal = AbortSignal.timeout(ANSWER_WITHIN);
    return unwrap(() => fetch(base + path, { credentials: "include", cache: "no-store", redirect: "error", signal, ...init }));
  }

  /**
   * @param {string} path
   * @param {Session | null} mine  whose token goes along, expired or not: the server refuses where the cookie is another user's
   * @returns {Promise<any>}
   */
  async function byCookie(path, mine) {
    const known = csrf;
    const token = known ?? (await call("/api/auth/csrf-token", { method: "GET" })).csrfToken;
    const headers = { "X-CSRF-Token": token, ...(mine && { Authorization: `Bearer ${mine.token}` }) };
    try {
      return await call(path, { method: "POST", headers });
    } catch (error) {
      if (!known || !(error instanceof AuthwardError) || error.code !== "csrf_failed") throw error;
      csrf = null; // it was of an earlier session; once more with a new one
      return byCookie(path, mine);
    }
  }

  /**
   * Nothing else of ours that sets cookies runs meanwhile, in no tab: a late `Set-Cookie` would undo a newer one.
   *
   * @template T
   * @param {() => Promise<T>} work
   * @returns {Promise<T>}
   */
  async function alone(work) {
    const locks = globalThis.navigator?.locks;
    if (!locks) {
      const turn = tail.then(work);
      tail = turn.catch(() => {});
      return turn;
    }
    let begun = false;
    const run = () => ((begun = true), work());
    try {
      return await locks.request(name, { signal: AbortSignal.timeout(LOCK_WITHIN) }, run);
    } catch (error) {
      if (begun) throw error;
      return run();
    }
  }

  // --- sessions ------------------------------------------------------------------------------

  /**
   * @param {string} path
   * @param {object} body
   * @returns {Promise<any>}
   */
  async function enter(path, body) {
    return alone(async () => {
      const headers = { "Content-Type": "application/json" };
      const data = await call(path, { method: "POST", headers, body: JSON.stringify(body) });
      if (!data?.accessToken) return data?.mfaRequired ? data : null;
      const next = opened(data);
      newEra();
      csrf = data.csrfToken ?? null;
      settle(next);
      tell({ type: "signed-in" });
      return { user: next.user };
    });
  }

  /** @param {number} asked  the era of the question */
  async function renew(asked) {
    if (asked !== era) return;
    const was = session;
    const ask = () => byCookie("/api/auth/refresh-token", was);
    try {
      const data = await ask().catch(async (error) => {
        if (!soon(error)) throw error;
        await new Promise((resolve) => setTimeout(resolve, error.retryAfter * 1000));
        return asked === era ? ask() : null;
      });
      if (asked !== era) return;
      const next = opened(data);
      if (was && was.sub !== next.sub) return forget();
      csrf = data.csrfToken ?? null;
      settle(next);
    } catch (error) {
      if (asked !== era) return;
      if (!isRefusal(error)) throw error;
      forget();
      // With `invalid_token` the cookie is another user's: theirs is a good session, and they are not told.
      if (was && error.code !== "invalid_token") tell({ type: "signed-out", sid: was.sid });
    }
  }

  /**
   * Gets a new access token by the cookie. All callers share one request. Answers the state after it;
   * rejects only when the server gave no verdict (no network, 429, 503), and then nothing has changed.
   *
   * @returns {Promise<State>}
   */
  function refresh() {
    if (refreshing) return refreshing;
    const asked = era;
    const mine = alone(() => renew(asked))
      .then(() => (asked !== era && refreshing) || state)
      .finally(() => {
        if (refreshing === mine) refreshing = null;
      });
    return (refreshing = mine);
  }

  /**
   * After a reload: signs in again by the cookie. Answers the state; rejects as `refresh()` does.
   *
   * @returns {Promise<State>}
   */
  async function restore() {
    return state === "signed-in" ? state : refresh();
  }

  /**
   * Ends this session, here and in every tab. It is forgotten here even when the server cannot be
   * reached; then it rejects, and the session lives on by its cookie: call it again.
   *
   * @returns {Promise<void>}
   */
  function logout() {
    newEra();
    const left = leave();
    // A renewal asked for meanwhile waits for the end instead.
    refreshing = left.then(() => state, () => state);
    return left;
  }

  async function leave() {
    let ours = true;
    try {
      await alone(() => byCookie("/api/auth/logout", session));
    } catch (error) {
      if (!isRefusal(error)) throw error;
      ours = error.code !== "invalid_token"; // else the cookie, and so the session, is another user's
    } finally {
      forget();
      if (ours) tell({ type: "signed-out" });
    }
  }

  /**
   * Ends every session of this user, on every device. When it rejects, the other devices are still signed in.
   *
   * @returns {Promise<void>}
   */
  async function logoutAll() {
    await unwrap(() => authFetch("/api/auth/logout-all", { method: "POST", credentials: "include" }));
    forget();
    tell({ type: "signed-out" });
  }

  /**
   * `fetch` with the access token. An expired one is renewed, once for all callers, and the request sent once more.
   * Whatever comes then is the answer. A stream body cannot be sent twice: its 401 is the answer, and the next call works.
   * Never sends the token to another origin, and never sends a request again as another user.
   *
   * @param {string | URL | Request} input  a path below `baseUrl`, or an address of the same origin
   * @param {RequestInit} [init]
   * @returns {Promise<Response>} rejects as `fetch` does, and as `refresh()` does where the token had to be renewed
   */
  async function authFetch(input, init) {
    const request = new Request(input instanceof Request ? input : address(input), init);
    if (!request.url.startsWith(`${url.origin}/`)) {
      throw new AuthwardError("other_origin", 0, `auth.fetch sends the token to ${url.origin} only. Use fetch for ${request.url}.`);
    }
    if (state === "unknown") await refresh();
    const again = init?.body instanceof ReadableStream ? null : request.clone();
    const used = session;
    const answer = await fetch(signed(request, used));
    if (!used || answer.status !== 401 || !CURABLE.has(await codeOf(answer))) return answer;
    // Others may have renewed it while this request was under way.
    if (session?.token === used.token) await refresh();
    if (!again || !session || session.sub !== used.sub) return answer;
    return fetch(signed(again, session));
  }

  /** @param {string | URL} input */
  function address(input) {
    const text = String(input);
    return /^[a-z][a-z\d+.-]*:/i.test(text) ? text : `${base}/${text.replace(/^\//, "")}`;
  }

  return {
    /** @type {(email: string, password: string) => Promise<SignedIn | MfaRequired>} `MfaRequired` is not yet signed in: go on with `completeMfa`. */
    login: (email, password) => enter("/api/auth/login", { email, password }),
    /** @type {(factor: { challengeToken: string, method: string, code: string }) => Promise<SignedIn>} */
    completeMfa: ({ challengeToken, method, code }) => enter("/api/auth/login/mfa", { challengeToken, method, code }),
    /** @type {(account: { email: string, password: string, name: string }) => Promise<SignedIn | null>} Null where the server signs nobody in before the mail is confirmed. */
    register: ({ email, password, name }) => enter("/api/auth/register", { email, password, name }),
    logout,
    logoutAll,
    fetch: authFetch,
    refresh,
    restore,
    /**
     * Calls back when state or user change, here or through another tab. Not called for the state at hand.
     *
     * @param {Listener} listener
     * @returns {() => void} unsubscribe
     */
    onChange(listener) {
      listeners.add(listener);
      return () => void listeners.delete(listener);
    },
    /** Who is signed in, or null. */
    get user() {
      return session?.user ?? null;
    },
    get state() {
      return state;
    },
    /** Stops listening to other tabs. */
    close: () => channel?.close(),
  };
}

/** @typedef {ReturnType<typeof createClient>} Client */

/** @param {string} host */
function isLoopback(host) {
  return host === "localhost" || host === "[::1]" || host.startsWith("127.");
}

/**
 * The server itself said no. A 401 without our envelope is some proxy's, and no verdict on the session.
 *
 * @param {unknown} error
 * @returns {error is AuthwardError}
 */
function isRefusal(error) {
  return error instanceof AuthwardError && error.status === 401 && error.code !== "unexpected_answer";
}

/**
 * The server asks to come again, and so soon that it is worth the wait.
 *
 * @param {unknown} error
 * @returns {error is AuthwardError & { retryAfter: number }}
 */
function soon(error) {
  return error instanceof AuthwardError && [429, 503].includes(error.status)
    && error.retryAfter !== null && error.retryAfter <= WAIT_AT_MOST;
}

/**
 * @param {Request} request
 * @param {Session | null} session
 */
function signed(request, session) {
  if (session) request.headers.set("Authorization", `Bearer ${session.token}`);
  return request;
}

/** @param {Response} answer */
async function codeOf(answer) {
  const body = await answer.clone().json().catch(() => null);
  return body?.error;
}

/**
 * @param {() => Promise<Response>} send
 * @returns {Promise<any>} the envelope's `data`
 */
async function unwrap(send) {
  let answer, text;
  try {
    answer = await send();
    text = await answer.text();
  } catch (cause) {
    if (cause instanceof AuthwardError) throw cause;
    throw new AuthwardError("network_error", 0, "The server could not be reached.", { cause });
  }
  let body;
  try {
    body = JSON.parse(text);
  } catch {
    body = null;
  }
  const { status } = answer;
  if (answer.ok && body && "data" in body) return body.data;
  if (answer.ok || typeof body?.error !== "string") {
    throw new AuthwardError("unexpected_answer", status, `The server answered ${status} in a shape that is not Authward's.`);
  }
  const after = answer.headers.get("Retry-After");
  const retryAfter = after && /^\d+$/.test(after) ? Number(after) : null;
  throw new AuthwardError(body.error, status, body.message, { details: body.details, retryAfter });
}

/**
 * The claims of a token, for its names only: nothing here is proof of anything.
 *
 * @param {unknown} token
 * @returns {any}
 */
function payload(token) {
  try {
    const part = String(token).split(".")[1].replace(/-/g, "+").replace(/_/g, "/");
    return JSON.parse(new TextDecoder().decode(Uint8Array.from(atob(part), (c) => c.charCodeAt(0))));
  } catch {
    return null;
  }
}
