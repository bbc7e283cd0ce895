"""Where our defaults differ from those of Express's packages, and why."""

from typing import NamedTuple


class Argued(NamedTuple):
    """One difference: where, in what, what Express says, what we say. Empty text is nothing."""

    where: str
    fact: str
    theirs: str
    ours: str
    why: str


ENVELOPE = "statusCode, message, error, path, timestamp"
CSP = (
    "default-src 'self';base-uri 'self';font-src 'self' https: data:;form-action 'self';"
    "frame-ancestors 'self';img-src 'self' data:;object-src 'none';script-src 'self';"
    "script-src-attr 'none';style-src 'self' https: 'unsafe-inline'"
)
PERMISSIONS = (
    "accelerometer=(),camera=(),display-capture=(),geolocation=(),gyroscope=(),hid=(),"
    "idle-detection=(),magnetometer=(),microphone=(),midi=(),payment=(),serial=(),usb=(),"
    "xr-spatial-tracking=()"
)

_HELMET = (
    (
        "helmet",
        "permissions-policy",
        "",
        PERMISSIONS,
        "An API asks for no sensor and no device, and a page that slipped in should not either.",
    ),
    (
        "helmet, on http",
        "permissions-policy",
        "",
        PERMISSIONS,
        "The same in development.",
    ),
    (
        "helmet, on http",
        "strict-transport-security",
        "max-age=31536000;includeSubDomains",
        "",
        "Browsers ignore it on http (RFC 6797 section 8.1), and servers must not send it there.",
    ),
    (
        "helmet, on http",
        "content-security-policy",
        f"{CSP};upgrade-insecure-requests",
        CSP,
        "A page on a development machine would look for its files on https, where nothing is.",
    ),
)

_CORS = (
    (
        "cors",
        "status",
        "500",
        "200",
        "The guide's callback raises for a foreign origin; we answer, and its page cannot read it. "
        "Unsafe methods get 403 `origin_not_allowed`.",
    ),
    ("cors", "status", "500", "204", "The same for its preflight: without CORS headers it fails."),
    ("cors", "body of a refusal", "an HTML page", "", "That error page, which there is none of."),
    (
        "cors",
        "vary",
        "",
        "Origin",
        "Also on answers to a foreign origin: a cache must not hand them to another.",
    ),
    (
        "cors",
        "access-control-allow-credentials",
        "true",
        "",
        "Told to those that are let in alone: without an allowed origin it says nothing.",
    ),
    (
        "cors",
        "access-control-allow-headers",
        "Content-Type,Authorization",
        "",
        "A foreign origin, or none, is not told what others may send.",
    ),
    (
        "cors",
        "access-control-allow-methods",
        "GET,POST,PUT,PATCH,DELETE",
        "",
        "A foreign origin, or none, is not told what others may do.",
    ),
    (
        "cors",
        "access-control-allow-headers",
        "Content-Type,Authorization",
        "Content-Type,Authorization,X-CSRF-Token",
        "The guide's own client sends `X-CSRF-Token`, which its list forgets.",
    ),
    (
        "cors",
        "access-control-expose-headers",
        "",
        "RateLimit-Limit,RateLimit-Remaining,RateLimit-Reset,Retry-After",
        "Else a page cannot see how long it has to wait.",
    ),
    (
        "cors",
        "access-control-max-age",
        "",
        "600",
        "Browsers remember a preflight for five seconds; ten minutes save most of them.",
    ),
    (
        "cors",
        "status",
        "204",
        "200",
        "OPTIONS without an Origin is no preflight; your app answers it.",
    ),
    (
        "cors without options",
        "access-control-allow-origin",
        "*",
        "",
        "Nobody is let in until named; `*` needs `dangerously_allow_any_origin`.",
    ),
    ("cors without options", "vary", "", "Origin", "So that it can be said on every answer."),
    (
        "cors without options, preflight",
        "access-control-allow-origin",
        "*",
        "",
        "Nobody is let in until named.",
    ),
    (
        "cors without options, preflight",
        "access-control-allow-methods",
        "GET,HEAD,PUT,PATCH,POST,DELETE",
        "",
        "Nor told what those who are let in may do.",
    ),
    (
        "cors without options, preflight",
        "access-control-allow-headers",
        "x-anything",
        "",
        "No header is allowed because it was asked for.",
    ),
    (
        "cors without options, preflight",
        "vary",
        "Access-Control-Request-Headers",
        "Origin",
        "The answer depends on the Origin alone, as nothing is echoed.",
    ),
    (
        "cors with one origin",
        "access-control-allow-origin",
        "https://yourdomain.com",
        "",
        "A foreign origin is not told who would be let in.",
    ),
)

_LIMITS = (
    (
        "express-rate-limit",
        "body of a refusal",
        "statusCode, message",
        ENVELOPE,
        "A refusal looks like every other error, with a code to go by.",
    ),
    (
        "express-rate-limit, draft-8",
        "body of a refusal",
        "statusCode, message",
        ENVELOPE,
        "The same.",
    ),
    (
        "express-rate-limit, draft-8",
        "name of the policy",
        '"5-in-15min"',
        '"default"',
        "A name of yours, which stays when the numbers change.",
    ),
    (
        "express-rate-limit, draft-8",
        "ratelimit-policy",
        "q=5;w=900;pk=:MTJjYTE3YjQ5YWYy:",
        "q=5;w=900",
        "`pk` is a short hash of the client's address: it tells a client nothing, and others much.",
    ),
)

_CSRF = (
    (
        "csrf-csrf, development",
        "body of a refusal",
        "an HTML page",
        ENVELOPE,
        "A refusal looks like every other error: `csrf_failed` or `origin_not_allowed`.",
    ),
    ("csrf-csrf, production", "body of a refusal", "an HTML page", ENVELOPE, "The same."),
    (
        "csrf-csrf, development",
        "cookie flags",
        "httponly; path=/; samesite=Strict",
        "httponly; max-age=86400; path=/; samesite=Lax",
        "Ours holds an id that authorises nothing; Strict would give whoever follows a link a new "
        "one and break the forms in open tabs.",
    ),
    (
        "csrf-csrf, production",
        "cookie flags",
        "httponly; path=/; samesite=Strict; secure",
        "httponly; max-age=86400; path=/; samesite=Lax; secure",
        "The same.",
    ),
    (
        "csrf-csrf, production",
        "cookie name",
        "x-csrf-token",
        "__Host-x-csrf-token",
        "A neighbouring host cannot plant a cookie of that name.",
    ),
    (
        "csrf-csrf on the server, development",
        "cookie flags",
        "httponly; path=/; samesite=Strict",
        "httponly; max-age=86400; path=/; samesite=Strict",
        "It outlives a restart of the browser, as the session does, and ends by itself.",
    ),
    (
        "csrf-csrf on the server, production",
        "cookie flags",
        "httponly; path=/; samesite=Strict; secure",
        "httponly; max-age=86400; path=/; samesite=Strict; secure",
        "The same.",
    ),
    (
        "csrf-csrf on the server, production",
        "cookie name",
        "x-csrf-token",
        "__Host-x-csrf-token",
        "A neighbouring host cannot plant a cookie of that name.",
    ),
)

_STACK = (
    (
        "the guide's app",
        "helmet's headers",
        "incomplete",
        "complete",
        "Express's error handler replaces the CSP, and what cors answers or refuses never reaches "
        "helmet.",
    ),
    ("the guide's app", "body of a refusal", "an HTML page", ENVELOPE, "One form for all errors."),
    (
        "the guide's app",
        "body of a refusal",
        "an HTML page",
        "",
        "Registering needs no CSRF token, so it is not refused.",
    ),
    (
        "the guide's app",
        "status",
        "403",
        "201",
        "The same: the route takes a password, no cookie, so there is nothing to forge with.",
    ),
    ("the guide's app", "set-cookie", "", "one", "The refresh cookie of that answer."),
    (
        "the guide's app",
        "status",
        "500",
        "401",
        "A foreign origin without a token is told the first thing that is wrong: it has no token.",
    ),
    (
        "the guide's app",
        "www-authenticate",
        "",
        'Bearer realm="authward"',
        "Every 401 names the scheme (RFC 6750 section 3).",
    ),
    (
        "the guide's app",
        "content-type",
        "application/json;charset=utf-8",
        "application/json",
        "JSON is UTF-8, and its type has no charset (RFC 8259 section 11).",
    ),
    (
        "the guide's app",
        "content-type",
        "text/html;charset=utf-8",
        "application/json",
        "No error is an HTML page.",
    ),
    ("the guide's app", "vary", "", "Accept,Origin", "The error has two forms, told by Accept."),
    (
        "the guide's app",
        "vary",
        "Origin",
        "Accept,Origin",
        "The error has two forms, told by Accept.",
    ),
    (
        "the guide's app",
        "cache-control",
        "",
        "no-store",
        "No cache keeps an account's data, nor an error.",
    ),
    (
        "the guide's app",
        "its place in the limit",
        "told",
        "",
        "A preflight is the browser's, not the page's: it takes no place.",
    ),
    (
        "the guide's app",
        "x-powered-by",
        "Express",
        "",
        "Theirs is there where helmet was not reached.",
    ),
    (
        "the guide's app",
        "x-request-id",
        "",
        "one",
        "It finds the line in the log.",
    ),
)

ARGUED = tuple(Argued(*row) for row in (*_HELMET, *_CORS, *_LIMITS, *_CSRF, *_STACK))
