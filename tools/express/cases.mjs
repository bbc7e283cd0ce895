/** What is asked of which app. */
import bcrypt from "bcryptjs";
import cors from "cors";
import { rateLimit } from "express-rate-limit";
import helmet from "helmet";
import jwt from "jsonwebtoken";

import {
  ACCESS_SECRET,
  MESSAGE,
  REFRESH_SECRET,
  accessToken,
  authRoutes,
  corsOptions,
  csrfRoutes,
  plain,
  refreshToken,
  stack,
} from "./guide.mjs";

const JSON_TYPE = ["Content-Type", "application/json"];
const PAGE = ["Origin", "https://app.yourdomain.com"];
const STRANGER = ["Origin", "https://evil.example"];
const ADA = { id: "user-1", email: "ada@example.com", role: "user" };

/** One protection around one route. */
function around(middleware) {
  const app = plain();
  app.disable("x-powered-by");
  app.use(middleware);
  app.all("/", (req, res) => res.json({ ok: true }));
  return app;
}

// --- helmet --------------------------------------------------------------------------------

const headers = (options) => ({ options, app: () => around(helmet(options ?? undefined)) });
const csp = (contentSecurityPolicy) => headers({ contentSecurityPolicy });

export const HELMET = {
  default: headers(null),
  // Express's own header, which helmet takes away unless it is told otherwise.
  "powered by": { options: null, app: () => around(helmet()).enable("x-powered-by") },
  "powered by kept": {
    options: { xPoweredBy: false },
    app: () => around(helmet({ xPoweredBy: false })).enable("x-powered-by"),
  },
  "csp off": csp(false),
  "csp report only": csp({ reportOnly: true }),
  "csp another script-src": csp({ directives: { "script-src": ["'self'", "example.com"] } }),
  "csp a directive removed": csp({ directives: { "style-src": null } }),
  "csp without upgrade": csp({ directives: { "upgrade-insecure-requests": null } }),
  "csp added directives": csp({
    directives: {
      connectSrc: ["'self'", "https://api.example.com"],
      frameSrc: ["'none'"],
      sandbox: ["allow-forms"],
    },
  }),
  "csp without defaults": csp({
    useDefaults: false,
    directives: { defaultSrc: ["'none'"], frameAncestors: ["'none'"] },
  }),
  "embedder require-corp": headers({ crossOriginEmbedderPolicy: true }),
  "embedder credentialless": headers({ crossOriginEmbedderPolicy: { policy: "credentialless" } }),
  "opener allow popups": headers({
    crossOriginOpenerPolicy: { policy: "same-origin-allow-popups" },
  }),
  "opener off": headers({ crossOriginOpenerPolicy: false }),
  "resource cross-origin": headers({ crossOriginResourcePolicy: { policy: "cross-origin" } }),
  "resource same-site": headers({ crossOriginResourcePolicy: { policy: "same-site" } }),
  "agent cluster off": headers({ originAgentCluster: false }),
  "one referrer policy": headers({ referrerPolicy: { policy: "strict-origin-when-cross-origin" } }),
  "two referrer policies": headers({ referrerPolicy: { policy: ["no-referrer", "origin"] } }),
  "hsts max-age": headers({ strictTransportSecurity: { maxAge: 123456 } }),
  "hsts this host alone": headers({ strictTransportSecurity: { includeSubDomains: false } }),
  "hsts preload": headers({ strictTransportSecurity: { maxAge: 63072000, preload: true } }),
  "hsts forgotten": headers({ strictTransportSecurity: { maxAge: 0 } }),
  "hsts off": headers({ strictTransportSecurity: false }),
  "content type options off": headers({ xContentTypeOptions: false }),
  "dns prefetch on": headers({ xDnsPrefetchControl: { allow: true } }),
  "download options off": headers({ xDownloadOptions: false }),
  "frames denied": headers({ xFrameOptions: { action: "deny" } }),
  "cross-domain policies": headers({
    xPermittedCrossDomainPolicies: { permittedPolicies: "by-content-type" },
  }),
  "xss protection off": headers({ xXssProtection: false }),
};

// --- cors ----------------------------------------------------------------------------------

function crossing(options, request, shown = options) {
  return { options: shown, request, app: () => around(cors(options)) };
}

const get = (...sent) => ({ headers: sent });
const post = (...sent) => ({ method: "POST", headers: [...sent, JSON_TYPE], body: "{}" });
function preflight(origin, method, names) {
  const asked = [["Access-Control-Request-Method", method]];
  if (names) asked.push(["Access-Control-Request-Headers", names]);
  return { method: "OPTIONS", headers: [origin, ...asked] };
}

const listed = { ...corsOptions, origin: ["https://yourdomain.com", "https://app.yourdomain.com"] };
const byGuide = (request) => crossing(corsOptions, request, { ...corsOptions, origin: "function" });
const byList = (request, more = {}) => crossing({ ...listed, ...more }, request);

export const CORS = {
  // The guide's function: a refused origin is an exception, and so a 500.
  "guide, allowed": byGuide(get(PAGE)),
  "guide, refused": byGuide(get(STRANGER)),
  "guide, no origin": byGuide(get()),
  "guide, null origin": byGuide(get(["Origin", "null"])),
  "guide, allowed post": byGuide(post(PAGE)),
  "guide, preflight allowed": byGuide(preflight(PAGE, "PUT", "content-type,authorization")),
  "guide, preflight refused": byGuide(preflight(STRANGER, "PUT", "content-type,authorization")),
  "guide, preflight of another method": byGuide(preflight(PAGE, "TRACE")),
  "guide, preflight of another header": byGuide(preflight(PAGE, "GET", "x-other")),
  "guide, options without origin": byGuide({ method: "OPTIONS" }),
  // A list: a refused origin gets its answer, without a CORS header.
  "list, allowed": byList(get(PAGE)),
  "list, refused": byList(get(STRANGER)),
  "list, no origin": byList(get()),
  "list, preflight allowed": byList(preflight(PAGE, "DELETE", "authorization")),
  "list, preflight refused": byList(preflight(STRANGER, "DELETE", "authorization")),
  "list, without credentials": byList(get(PAGE), { credentials: false }),
  "list, exposed headers": byList(get(PAGE), {
    exposedHeaders: ["RateLimit-Limit", "Retry-After"],
  }),
  "list, max age": byList(preflight(PAGE, "GET"), { maxAge: 600 }),
  "list, custom methods": byList(preflight(PAGE, "GET"), { methods: ["GET", "HEAD"] }),
  "list, custom headers": byList(preflight(PAGE, "GET", "x-one"), {
    allowedHeaders: ["X-One", "X-Two"],
  }),
  "list, preflight answered with 200": byList(preflight(PAGE, "GET"), {
    optionsSuccessStatus: 200,
  }),
  "one origin": crossing({ origin: "https://yourdomain.com" }, get(STRANGER)),
  default: crossing({ origin: "*" }, get(STRANGER)),
  "default, preflight": crossing({ origin: "*" }, preflight(STRANGER, "PUT", "x-anything")),
};

// --- express-rate-limit ----------------------------------------------------------------------

const WINDOW = { windowMs: 15 * 60 * 1000, limit: 5 };

function limited(more) {
  const options = { ...WINDOW, ...more };
  return {
    options,
    app: () => around(rateLimit(options)),
    requests: {
      first: { at: 0 },
      second: { at: 10, silent: true },
      third: { at: 61.5 },
      fourth: { at: 70, silent: true },
      fifth: { at: 119.001 },
      refused: { at: 120 },
    },
  };
}

const standard = (standardHeaders) =>
  limited({ standardHeaders, legacyHeaders: false, message: MESSAGE });

export const RATE_LIMIT = {
  true: standard(true),
  "draft-6": standard("draft-6"),
  "draft-7": standard("draft-7"),
  "draft-8": standard("draft-8"),
  // The guide's limit for /api/auth/, which leaves the headers at their default.
  legacy: limited({
    message: { statusCode: 429, message: "Too many login attempts, please try again later" },
  }),
};

// --- csrf-csrf -------------------------------------------------------------------------------

const cookieOf = (answer) => answer.headers["set-cookie"][0].split(";")[0];
const tokenOf = (answer) => JSON.parse(answer.text).csrfToken;
const FORGED = `${"0".repeat(64)}.${"0".repeat(8)}`;

function change(cookie, token, method = "POST") {
  const sent = [];
  if (cookie) sent.push(["Cookie", cookie]);
  if (token) sent.push(["X-CSRF-Token", token]);
  return { method, target: "/api/things", headers: sent };
}

function csrfCases(production) {
  return {
    options: {
      cookieName: "x-csrf-token",
      cookieOptions: { httpOnly: true, sameSite: "strict", secure: production },
      size: 64,
      ignoredMethods: ["GET", "HEAD", "OPTIONS"],
    },
    app() {
      const app = plain();
      app.disable("x-powered-by");
      csrfRoutes(app, production);
      return app;
    },
    requests: {
      token: { target: "/api/auth/csrf-token" },
      "token again": ({ token }) => ({
        target: "/api/auth/csrf-token",
        headers: [["Cookie", cookieOf(token)]],
      }),
      "nothing sent": change(),
      "cookie alone": ({ token }) => change(cookieOf(token)),
      "header alone": ({ token }) => change(null, tokenOf(token)),
      "wrong token": ({ token }) => change(cookieOf(token), "wrong"),
      // Planted by a neighbour who knows no secret.
      "a pair that agrees and is unsigned": change(`x-csrf-token=${FORGED}`, FORGED),
      "of another session": ({ token }) =>
        change(`${cookieOf(token)}; refreshToken=another`, tokenOf(token)),
      "right token": ({ token }) => change(cookieOf(token), tokenOf(token)),
      "right token, PUT": ({ token }) => change(cookieOf(token), tokenOf(token), "PUT"),
      "right token, DELETE": ({ token }) => change(cookieOf(token), tokenOf(token), "DELETE"),
      "safe GET": change(null, null, "GET"),
      "safe HEAD": change(null, null, "HEAD"),
      "safe OPTIONS": change(null, null, "OPTIONS"),
      "unsafe DELETE": change(null, null, "DELETE"),
    },
  };
}

export const CSRF = { development: csrfCases(false), production: csrfCases(true) };

// --- the guide's own routes --------------------------------------------------------------------

const registration = {
  method: "POST",
  target: "/api/auth/register",
  headers: [JSON_TYPE],
  body: JSON.stringify({ email: ADA.email, password: "correct horse battery", name: "Ada" }),
};
const bearer = (token) => [["Authorization", `Bearer ${token}`]];
const profile = (more) => ({ target: "/api/profile?page=1", ...more });

function authCases(production) {
  return {
    app() {
      const app = plain();
      app.disable("x-powered-by");
      authRoutes(app, production);
      return app;
    },
    requests: {
      registered: registration,
      "registered twice": registration,
      "no token": profile(),
      "another scheme": profile({ headers: [["Authorization", "Basic YTpi"]] }),
      "invalid token": profile({ headers: bearer("not.a.token") }),
      "a refresh token": () => profile({ headers: bearer(refreshToken(ADA)) }),
      profile: () => profile({ headers: bearer(accessToken(ADA)) }),
      "role missing": () => ({ target: "/api/users", headers: bearer(accessToken(ADA)) }),
      "role held": () => ({
        target: "/api/users",
        headers: bearer(accessToken({ ...ADA, role: "admin" })),
      }),
      "expired token": () => profile({ headers: bearer(accessToken(ADA)), at: 900 }),
    },
  };
}

export const AUTH = { development: authCases(false), production: authCases(true) };

export function tokens() {
  const told = (secret, token) => ({ secret, claims: jwt.decode(token), token });
  const password = "correct horse battery";
  const salt = "$2b$10$abcdefghijklmnopqrstuu";
  return {
    access: told(ACCESS_SECRET, accessToken(ADA)),
    refresh: told(REFRESH_SECRET, refreshToken(ADA)),
    bcrypt: { password, salt, hash: bcrypt.hashSync(password, salt) },
  };
}

// --- all of it ---------------------------------------------------------------------------------

export const STACK = {
  app: stack,
  requests: {
    profile: () => ({ target: "/api/profile", headers: [PAGE, ...bearer(accessToken(ADA))] }),
    "no token": { target: "/api/profile", headers: [PAGE] },
    "refused origin": { target: "/api/profile", headers: [STRANGER] },
    preflight: preflight(PAGE, "POST", "content-type"),
    "no CSRF token": { ...registration, headers: [PAGE, JSON_TYPE] },
    "not found": { target: "/nowhere" },
  },
};
