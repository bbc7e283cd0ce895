"""Express's recorded answers beside ours, each as facts that can be compared."""

import json
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, NamedTuple

import httpx2
import pytest
from starlette.types import ASGIApp, Receive, Scope, Send

from authward import Authward
from authward.testing import TurnableClock
from tests.cheap import make_hashing_cheap
from tests.here import served_here
from tests.serving import SECRET
from tests.vectors.differences import ARGUED

VECTORS = json.loads((Path(__file__).parent / "express.json").read_text(encoding="utf-8"))
DIFFERING = json.loads((Path(__file__).parent / "differing.json").read_text(encoding="utf-8"))
"""The cases in which each difference is found, by where. Changed by hand, after a look."""
ORIGINS = ("https://yourdomain.com", "https://app.yourdomain.com")
HOST = "api.yourdomain.com"

Facts = dict[str, str]
"""What an answer says, by `status`, the name of a header, or another word. Absent is not said."""

# Written by Node and Express, whatever package is asked; the server writes ours.
_FRAME = {"connection", "date", "keep-alive", "transfer-encoding", "etag", "content-length"}


class Found(NamedTuple):
    """A fact on which Express and we differ. Empty text is what is not said at all."""

    fact: str
    theirs: str
    ours: str


Differences = dict[Found, list[str]]
"""In which cases each was found."""


def compared(cases: Iterable[tuple[str, Facts, Facts]]) -> Differences:
    """The differences of cases: name, theirs, ours."""
    found: Differences = {}
    for case, theirs, ours in cases:
        for fact in sorted({*theirs, *ours}):
            one = Found(fact, theirs.get(fact, ""), ours.get(fact, ""))
            if one.theirs != one.ours:
                found.setdefault(one, []).append(case)
    return found


def theirs_of(exchange: Mapping[str, Any], keep: Callable[[str], bool]) -> Facts:
    """What Express answered, of the headers that `keep` is for."""
    answer = exchange["answer"]
    return _facts(answer["status"], answer["headers"], answer["body"], keep)


def ours_of(answer: httpx2.Response, keep: Callable[[str], bool]) -> Facts:
    """What we answered."""
    return _facts(answer.status_code, answer.headers.multi_items(), answer.text, keep)


def _facts(
    status: int, headers: Iterable[tuple[str, str]], body: str, keep: Callable[[str], bool]
) -> Facts:
    facts = {"status": str(status)}
    for name, value in headers:
        key = name.lower()
        if key not in _FRAME and keep(key):
            # Twice, they are one list (RFC 9110 section 5.3).
            facts[key] = f"{facts[key]},{_list(value)}" if key in facts else _list(value)
    if status >= 400:
        facts["body of a refusal"] = _body(body)
    return facts


def _list(value: str) -> str:
    """White space around commas and semicolons says nothing (RFC 9110 section 5.6.1)."""
    for mark in ",;":
        value = mark.join(part.strip() for part in value.split(mark))
    return value


def _body(text: str) -> str:
    try:
        return ", ".join(json.loads(text))
    except ValueError:
        return "an HTML page" if text.startswith("<!DOCTYPE") else text


HELMET = VECTORS["helmet"]["default"]["exchange"]
SECURITY = theirs_of(HELMET, lambda name: name != "content-type")
"""The headers that helmet sends."""
SECURITY.pop("status")


def client(app_or_url: ASGIApp | str) -> httpx2.AsyncClient:
    """A client of an app, or of a server, that calls it by the recorded Host."""
    headers = {"host": HOST}
    if isinstance(app_or_url, str):
        return httpx2.AsyncClient(base_url=app_or_url, headers=headers)
    transport = httpx2.ASGITransport(app_or_url, client=("192.0.2.1", 40_000))
    return httpx2.AsyncClient(transport=transport, base_url=f"https://{HOST}", headers=headers)


async def ask(
    asked: httpx2.AsyncClient, exchange: Mapping[str, Any], **replaced: str
) -> httpx2.Response:
    """Send the recorded request; `replaced` are headers that it carries with another value."""
    request = exchange["request"]
    headers = [(name.lower(), value) for name, value in request["headers"]]
    headers = [(name, replaced.get(name.replace("-", "_"), value)) for name, value in headers]
    return await asked.request(
        request["method"], request["target"], headers=headers, content=request.get("body")
    )


async def page(scope: Scope, receive: Receive, send: Send) -> None:
    """What the recorded apps answer with, for any request."""
    if scope["type"] == "lifespan":
        while (await receive())["type"] != "lifespan.shutdown":
            await send({"type": "lifespan.startup.complete"})
        return await send({"type": "lifespan.shutdown.complete"})
    headers = [(b"content-type", b"application/json; charset=utf-8")]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": b'{"ok":true}'})


def cors_cases() -> Iterator[tuple[str, Mapping[str, Any]]]:
    """The cases of the cors package that go by the guide's own options, or by a list of origins."""
    for name, case in VECTORS["cors"].items():
        options = dict(case["options"])
        if options.pop("origin") not in ("function", list(ORIGINS)):
            continue
        if options == {
            "credentials": True,
            "methods": ["GET", "POST", "PUT", "PATCH", "DELETE"],
            "allowedHeaders": ["Content-Type", "Authorization"],
        }:
            yield name, case["exchange"]


class Clock(TurnableClock):
    """Goes with the recorded seconds alone."""

    def monotonic(self) -> float:
        return self._turned

    def stand_at(self, seconds: float) -> None:
        self._turned = seconds


def explained(package: str, cases: Iterable[tuple[str, Facts, Facts]]) -> None:
    """Check that what differs is in the table, what the table has of `package` was found, and each
    in the cases it was found in before: what is argued for one excuses no other.
    """
    found = {(package, *one): names for one, names in compared(cases).items()}
    known = {row[:4] for row in ARGUED if row.where == package}
    assert found.keys() - known == set(), "not argued"
    assert known - found.keys() == set(), "argued, and not so"
    cases_of = {
        (package, one["fact"], one["theirs"], one["ours"]): one["cases"]
        for one in DIFFERING[package]
    }
    assert {one: sorted(names) for one, names in found.items()} == cases_of


@asynccontextmanager
async def shielded(
    clock: Clock, database: str, app: ASGIApp | None = None, **settings: Any
) -> AsyncIterator[httpx2.AsyncClient]:
    """A client of the server in production, or of an app behind it, on a real socket."""
    auth = Authward(
        clock=clock,
        **{
            "database_url": database,
            "secret": SECRET,
            "env": "production",
            "public_url": f"https://{HOST}",
            "origins": ORIGINS,
            "feed_max_lag": 600,
            "rate_limit": "off",
            "auth_rate_limit": "off",
            **settings,
        },
    )
    if app is not None:
        wrapped = auth.wrap(app)
        auth.asgi = lambda: wrapped  # type: ignore[method-assign]
    with pytest.MonkeyPatch.context() as patch:
        make_hashing_cheap(patch)
        async with served_here(auth) as url, client(url) as asked:
            yield asked
