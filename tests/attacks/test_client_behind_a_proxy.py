"""Who a client of the server is, behind a proxy and without: counted, audited and shown alike.

OWASP "X-Forwarded-For spoofing", CWE-348, Litestar CVE-2025-59152; express-rate-limit
CVE-2026-30827 (mapped IPv6). The rule itself is walked in test_forged_forwarded_for.py.
"""

from collections import Counter
from typing import Any

import pytest

from tests.here import Here, Serve
from tests.serving import error_of

CLIENT = "203.0.113.9"
PRODUCTION: dict[str, Any] = {
    "env": "production",
    "public_url": "https://api.example.com",
    "rate_limit": "5/15m",
}
PROXY = {**PRODUCTION, "trusted_proxies": ["127.0.0.1"]}
LOGIN = {"email": "nobody@example.com", "password": "wrong horse battery"}


async def statuses(here: Here, told: list[dict[str, str]]) -> list[int]:
    """Of one request with each of these headers."""
    return [(await here.send("GET", "/api/public-data", headers=one)).status_code for one in told]


async def served(serve_on: Serve, database: str, **settings: Any) -> Here:
    here = await serve_on(database, **settings)
    here.client.headers["host"] = "api.example.com"
    return here


@pytest.mark.parametrize("trusted", [[], ["10.0.0.0/8"]])
async def test_a_thousand_forged_addresses_are_one_client(
    serve_on: Serve, sqlite_database: str, trusted: list[str]
) -> None:
    here = await served(serve_on, sqlite_database, **PRODUCTION, trusted_proxies=trusted)
    forged = [{"x-forwarded-for": f"198.51.{n >> 8}.{n & 255}"} for n in range(1000)]
    assert Counter(await statuses(here, forged)) == {200: 5, 429: 995}


async def test_nor_are_they_new_guessers(serve_on: Serve, database: str) -> None:
    settings = {**PRODUCTION, "rate_limit": "off", "auth_rate_limit": "5/15m"}
    here = await served(serve_on, database, **settings)
    told = [
        await here.send(
            "POST", "/api/auth/login", json=LOGIN, headers={"x-forwarded-for": f"198.51.100.{n}"}
        )
        for n in range(20)
    ]
    assert Counter(map(error_of, told)) == {
        (401, "invalid_credentials"): 5,
        (429, "rate_limited"): 15,
    }


@pytest.mark.parametrize(
    "forge",
    [
        lambda n: {"forwarded": f"for=198.51.100.{n}", "x-forwarded-for": CLIENT},
        lambda n: {"forwarded": f"for={CLIENT};by=198.51.100.{n}", "x-forwarded-for": CLIENT},
        lambda n: {"x-real-ip": f"198.51.100.{n}", "x-forwarded-for": CLIENT},
        lambda n: {"cf-connecting-ip": f"198.51.100.{n}", "x-forwarded-for": CLIENT},
        lambda n: {"x-forwarded-for": f"198.51.100.{n}, {CLIENT}"},
        lambda n: {"x-forwarded-for": f"198.51.100.{n}, {CLIENT}, 127.0.0.1"},
    ],
    ids=["Forwarded", "Forwarded by", "X-Real-IP", "a CDN's header", "from the left", "two hops"],
)
async def test_beside_what_the_proxy_says_nothing_counts(
    serve_on: Serve, sqlite_database: str, forge: Any
) -> None:
    here = await served(serve_on, sqlite_database, **PROXY)
    assert await statuses(here, [forge(n) for n in range(7)]) == [200] * 5 + [429] * 2
    # Another client of the same proxy has places of its own.
    assert await statuses(here, [{"x-forwarded-for": "203.0.113.10"}]) == [200]


async def test_mapped_or_not_it_is_one_client(serve_on: Serve, sqlite_database: str) -> None:
    here = await served(serve_on, sqlite_database, **PROXY)
    spelt = (CLIENT, f"::ffff:{CLIENT}", "::FFFF:cb00:7109", f"[::ffff:{CLIENT}]:80", CLIENT)
    told = [{"x-forwarded-for": one} for one in (*spelt, *spelt)]
    assert await statuses(here, told) == [200] * 5 + [429] * 5
    assert await statuses(here, [{"x-forwarded-for": "::ffff:203.0.113.10"}]) == [200]
    # A subscriber's /56, whatever it makes of it.
    network = [{"x-forwarded-for": f"2001:db8:1:2{n:02x}::{n}"} for n in range(1, 8)]
    assert await statuses(here, network) == [200] * 5 + [429] * 2


@pytest.mark.parametrize(
    ("settings", "address"), [(PROXY, CLIENT), (PRODUCTION, "127.0.0.1")], ids=["proxy", "none"]
)
async def test_the_audit_and_the_session_name_the_client(
    serve_on: Serve, sqlite_database: str, settings: dict[str, Any], address: str
) -> None:
    here = await served(serve_on, sqlite_database, **{**settings, "rate_limit": "off"})
    here.client.headers["x-forwarded-for"] = f"198.51.100.7, ::ffff:{CLIENT}"
    here.client.headers["forwarded"] = "for=198.51.100.8"
    account = await here.register()
    await here.try_login(account.email, "wrong horse battery")
    await here.send("GET", "/api/profile", headers={"authorization": "Bearer junk"})
    shown = await here.send("GET", "/api/auth/sessions", headers=account.bearer)
    assert [one["ip"] for one in shown.json()["data"]["sessions"]] == [address]
    events = [event for event in await here.told() if event.client.ip]
    kinds = {event.kind for event in events}
    assert {"user.registered", "login.failed", "access.denied"} <= kinds
    assert {event.client.ip for event in events} == {address}
