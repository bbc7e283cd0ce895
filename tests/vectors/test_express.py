"""Our defaults beside those of Express's security packages, as `express.json` recorded them.

What differs is in `differences.py`, each with its reason, and in docs/compared-with-express.md. Any
other difference is a fault, here or there.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from starlette.types import ASGIApp, Receive, Scope, Send

from authward.middleware.cors import CORS
from authward.middleware.headers import SecurityHeaders
from authward.middleware.policies import Policy
from authward.middleware.ratelimit import RateLimit
from tests.vectors.differences import ARGUED, Argued
from tests.vectors.express import (
    HELMET,
    ORIGINS,
    SECURITY,
    VECTORS,
    Clock,
    Facts,
    ask,
    client,
    compared,
    cors_cases,
    explained,
    ours_of,
    page,
    shielded,
    theirs_of,
)

DOC = Path(__file__).parents[2] / "docs" / "compared-with-express.md"
RATE_LIMIT = {"true": "draft-6", "draft-6": "draft-6", "draft-8": "draft-11"}
"""Each style of express-rate-limit that we have too, as we call it."""


# --- helmet -------------------------------------------------------------------------------


@pytest.mark.parametrize(("https", "where"), [(True, "helmet"), (False, "helmet, on http")])
async def test_helmets_headers(https: bool, where: str) -> None:
    async with client(SecurityHeaders(page, https=https)) as asked:
        ours = ours_of(await ask(asked, HELMET), lambda _: True)
    explained(where, [("", theirs_of(HELMET, lambda _: True), ours)])


@pytest.mark.parametrize("app", [page, None], ids=["an app", "our own route"])
async def test_helmets_headers_on_the_server(
    clock: Clock, sqlite_database: str, app: ASGIApp | None
) -> None:
    async with shielded(clock, sqlite_database, app) as asked:
        path = "/" if app else "/api/public-data"
        answer = await asked.get(path)
    ours = ours_of(answer, lambda name: name in {*SECURITY, "permissions-policy"})
    explained("helmet", [("", {"status": "200", **SECURITY}, ours)])


async def test_an_apps_powered_by_goes_as_under_helmet() -> None:
    async def boasting(scope: Scope, receive: Receive, send: Send) -> None:
        headers = [(b"X-Powered-By", b"Express")]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": b"{}"})

    exchange = VECTORS["helmet"]["powered by"]["exchange"]
    assert "x-powered-by" not in theirs_of(exchange, lambda _: True)
    async with client(SecurityHeaders(boasting)) as asked:
        assert "x-powered-by" not in (await asked.get("/")).headers


# --- cors ---------------------------------------------------------------------------------


def _is_cors(name: str) -> bool:
    return name == "vary" or name.startswith("access-control-")


async def test_cors(clock: Clock, sqlite_database: str) -> None:
    cases = dict(cors_cases())
    assert len(cases) == 15
    alone, shield = [], []
    async with (
        client(CORS(page, origins=ORIGINS)) as asked,
        shielded(clock, sqlite_database, page) as server,
    ):
        for name, exchange in cases.items():
            theirs = theirs_of(exchange, _is_cors)
            alone.append((name, theirs, ours_of(await ask(asked, exchange), _is_cors)))
            shield.append((name, theirs, ours_of(await ask(server, exchange), _is_cors)))
    assert alone == shield
    explained("cors", alone)


@pytest.mark.parametrize(
    ("case", "options"),
    [
        ("list, without credentials", {"credentials": False}),
        ("list, exposed headers", {"exposed_headers": ["RateLimit-Limit", "Retry-After"]}),
        ("list, max age", {"max_age": 600, "allowed_headers": ["Content-Type", "Authorization"]}),
        ("list, custom methods", {"methods": ["GET", "HEAD"]}),
        ("list, custom headers", {"allowed_headers": ["X-One", "X-Two"]}),
    ],
)
async def test_an_option_of_cors_does_what_ours_does(case: str, options: dict[str, Any]) -> None:
    exchange = VECTORS["cors"][case]["exchange"]
    async with client(CORS(page, origins=ORIGINS, **options)) as asked:
        ours = ours_of(await ask(asked, exchange), _is_cors)
    theirs = theirs_of(exchange, _is_cors)
    found = {one.fact for one in compared([(case, theirs, ours)])}
    # What is not said in the case's options has a default of its own, which is argued above.
    said = {f"access-control-{name.replace('_', '-')}" for name in _wire_names(options)}
    assert found & said == set()
    assert found <= {
        "access-control-expose-headers",
        "access-control-allow-headers",
        "access-control-max-age",
    }


def _wire_names(options: dict[str, Any]) -> Iterator[str]:
    names = {
        "credentials": "allow_credentials",
        "exposed_headers": "expose_headers",
        "allowed_headers": "allow_headers",
        "methods": "allow_methods",
        "max_age": "max_age",
    }
    return (names[option] for option in options)


@pytest.mark.parametrize("case", ["default", "default, preflight"])
async def test_cors_without_options(case: str) -> None:
    exchange = VECTORS["cors"][case]["exchange"]
    async with client(CORS(page)) as asked:
        ours = ours_of(await ask(asked, exchange), _is_cors)
    where = f"cors without options{case.removeprefix('default')}"
    explained(where, [(case, theirs_of(exchange, _is_cors), ours)])


async def test_cors_with_one_origin() -> None:
    case = VECTORS["cors"]["one origin"]
    async with client(CORS(page, origins=[case["options"]["origin"]])) as asked:
        ours = ours_of(await ask(asked, case["exchange"]), _is_cors)
    explained("cors with one origin", [("", theirs_of(case["exchange"], _is_cors), ours)])


# --- express-rate-limit -------------------------------------------------------------------


def _is_limit(name: str) -> bool:
    return name.startswith(("ratelimit", "x-ratelimit")) or name == "retry-after"


@pytest.mark.parametrize("style", RATE_LIMIT)
@pytest.mark.parametrize("where", ["alone", "server"])
async def test_rate_limits(clock: Clock, sqlite_database: str, style: str, where: str) -> None:
    ours: Any = RATE_LIMIT[style]
    policy = Policy("5/15m")
    cases = []
    async with (
        client(RateLimit(page, policy, headers=ours, clock=clock))
        if where == "alone"
        else shielded(
            clock, sqlite_database, page, rate_limit="5/15m", rate_limit_headers=ours
        ) as asked
    ):
        exchanges = VECTORS["rateLimit"][style]["exchanges"]
        asked_at = {one["at"]: (name, one) for name, one in exchanges.items()}
        for at in sorted({*asked_at, 10, 70}):
            clock.stand_at(at)
            answer = await asked.get("/")
            if at in asked_at:
                name, exchange = asked_at[at]
                theirs = _name_apart(theirs_of(exchange, _is_limit))
                cases.append((name, theirs, _name_apart(ours_of(answer, _is_limit))))
    draft_8 = ", draft-8" if style == "draft-8" else ""
    explained(f"express-rate-limit{draft_8}", cases)


def _name_apart(facts: Facts) -> Facts:
    """What a policy is called, apart from its numbers."""
    named = {name: value for name, value in facts.items() if value.startswith('"')}
    for field, value in named.items():
        facts["name of the policy"], _, facts[field] = value.partition(";")
    return facts


# --- the page in docs/ --------------------------------------------------------------------


def test_the_docs_list_the_same_differences() -> None:
    rows = [
        line.strip("| ").split(" | ")
        for line in DOC.read_text(encoding="utf-8").splitlines()
        if line.startswith("| ")
    ]
    said = [row for row in rows if row[0] not in ("where", "---")]
    assert said == [row_of(one) for one in ARGUED]


@pytest.mark.parametrize("package", ["helmet", "cors", "express-rate-limit", "csrf-csrf"])
def test_the_docs_name_the_versions_that_were_recorded(package: str) -> None:
    version = VECTORS["recorded"]["packages"][package]
    assert f"{package} {version}" in DOC.read_text(encoding="utf-8")


def row_of(one: Argued) -> list[str]:
    def code(text: str) -> str:
        return f"`{text}`" if text else "nothing"

    return [one.where, one.fact, code(one.theirs), code(one.ours), one.why]


def test_each_difference_is_listed_once() -> None:
    assert len({one[:4] for one in ARGUED}) == len(ARGUED)
    assert all(one.why.endswith(".") and "|" not in one.why for one in ARGUED)
