"""csrf-csrf beside our CSRF, and all of the guide's protections in one app beside the server."""

import re
from http.cookies import SimpleCookie
from typing import Any

import pytest
from starlette.types import Receive, Scope, Send

from authward.core.cookies import read_cookie
from authward.middleware.csrf import CSRF, csrf_token
from tests.vectors.express import (
    HOST,
    SECURITY,
    VECTORS,
    Clock,
    Facts,
    ask,
    client,
    explained,
    ours_of,
    shielded,
    theirs_of,
)


async def things(scope: Scope, receive: Receive, send: Send) -> None:
    """The recorded app: a route that tells the token, and one that does something."""
    body = b'{"done":true}'
    if scope["path"] == "/api/auth/csrf-token":
        body = csrf_token(scope).encode()
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": body})


def _session(scope: Scope) -> str | None:
    return read_cookie(scope["headers"], "refreshToken")


def _cookie_apart(facts: Facts) -> Facts:
    """The one cookie as its name, its flags and what it holds."""
    if "set-cookie" not in facts:
        return facts
    [(name, morsel)] = SimpleCookie(facts.pop("set-cookie")).items()
    flags = {key: value for key, value in morsel.items() if value}
    written = [key if value is True else f"{key}={value}" for key, value in sorted(flags.items())]
    return {**facts, "cookie name": name, "cookie flags": "; ".join(written)}


def _is_cookie(name: str) -> bool:
    return name == "set-cookie"


@pytest.mark.parametrize("env", ["development", "production"])
async def test_csrf(env: str) -> None:
    secure = env == "production"
    app = CSRF(
        things,
        secrets=[bytes(range(32))],
        origins=[f"https://{HOST}"],
        binding=_session,
        secure=secure,
    )
    cases = []
    async with client(app) as asked:
        first = await asked.get("/api/auth/csrf-token")
        asked.cookies.clear()
        cookie = first.headers["set-cookie"].partition(";")[0]
        for name, exchange in VECTORS["csrf"][env]["exchanges"].items():
            sent = dict(exchange["request"]["headers"])
            told = sent.get("Cookie", "").replace("x-csrf-token=<csrf-token>", cookie)
            told = re.sub(r"^x-csrf-token=", cookie.partition("=")[0] + "=", told)
            token = sent.get("X-CSRF-Token", "").replace("<csrf-token>", first.text)
            answer = await ask(asked, exchange, cookie=told, x_csrf_token=token)
            asked.cookies.clear()
            theirs = _cookie_apart(theirs_of(exchange, _is_cookie))
            cases.append((name, theirs, _cookie_apart(ours_of(answer, _is_cookie))))
    explained(f"csrf-csrf, {env}", cases)


@pytest.mark.parametrize("env", ["development", "production"])
async def test_the_csrf_cookie_of_the_server(clock: Clock, sqlite_database: str, env: str) -> None:
    settings: dict[str, Any] = {"env": env, "public_url": None} if env == "development" else {}
    exchange = VECTORS["csrf"][env]["exchanges"]["token"]
    async with shielded(clock, sqlite_database, **settings) as asked:
        asked.headers["host"] = HOST if env == "production" else "localhost"
        answer = await ask(asked, exchange)
    theirs = _cookie_apart(theirs_of(exchange, _is_cookie))
    ours = _cookie_apart(ours_of(answer, _is_cookie))
    explained(f"csrf-csrf on the server, {env}", [("token", theirs, ours)])


# --- all of them in one app ---------------------------------------------------------------


async def test_the_whole_stack(clock: Clock, sqlite_database: str) -> None:
    cases = []
    async with shielded(clock, sqlite_database, rate_limit="100/15m") as asked:
        body = {"email": "eve@example.com", "password": "correct horse battery", "name": "Eve"}
        made = await asked.post("/api/auth/register", json=body)
        token = made.json()["data"]["accessToken"]
        asked.cookies.clear()
        for name, exchange in VECTORS["stack"].items():
            answer = await ask(asked, exchange, authorization=f"Bearer {token}")
            asked.cookies.clear()
            said = _not_said_elsewhere(ours_of(answer, lambda _: True))
            cases.append((name, _not_said_elsewhere(theirs_of(exchange, lambda _: True)), said))
    explained("the guide's app", cases)


def _not_said_elsewhere(facts: Facts) -> Facts:
    """Without what other comparisons have; of what changes, that it is there."""
    complete = SECURITY.items() <= facts.items()
    kept = {
        name: "one" if name in ("x-request-id", "set-cookie") else value
        for name, value in facts.items()
        if not name.startswith(("ratelimit-", "access-control-"))
        and name not in {*SECURITY, "permissions-policy"}
    }
    return {
        **kept,
        "helmet's headers": "complete" if complete else "incomplete",
        "its place in the limit": "told" if "ratelimit-limit" in facts else "",
    }
