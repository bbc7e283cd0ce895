"""IPv4 clients written as IPv6 (`::ffff:192.0.2.1`), as they are on a socket that takes both.

express-rate-limit CVE-2026-30827: cut to /56, all of IPv4 was one client, and any of them could use
up the limit of all.
"""

import pytest
from starlette.types import Receive, Scope, Send

from authward.core.clients import ClientRule
from authward.middleware.policies import Policy
from authward.middleware.ratelimit import RateLimit
from tests.middleware.driving import drive, http_scope


async def page(scope: Scope, receive: Receive, send: Send) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b"page"})


def limited(**rule: object) -> RateLimit:
    return RateLimit(page, Policy("1/15m"), clients=ClientRule(**rule))  # type: ignore[arg-type]


async def ask(app: RateLimit, peer: str, forwarded_for: str | None = None) -> int:
    headers = [] if forwarded_for is None else [(b"x-forwarded-for", forwarded_for.encode())]
    return (await drive(app, http_scope(headers=headers, client=(peer, 1)))).status


async def test_mapped_clients_are_as_many_as_they_are():
    app = limited()
    for n in range(300):
        assert await ask(app, f"::ffff:192.0.{n >> 8}.{n & 255}") == 200
    assert await ask(app, "::ffff:192.0.1.1") == 429


@pytest.mark.parametrize(
    "spelling",
    ["::ffff:192.0.2.1", "::FFFF:192.0.2.1", "::ffff:c000:201", "0:0:0:0:0:ffff:c000:201"],
)
async def test_mapped_or_not_it_is_one_client(spelling: str):
    app = limited()
    assert await ask(app, "192.0.2.1") == 200
    assert await ask(app, spelling) == 429
    assert await ask(app, "::ffff:192.0.2.2") == 200


async def test_behind_a_proxy_too():
    app = limited(trusted_proxies=["10.0.0.1"])
    assert await ask(app, "::ffff:10.0.0.1", "192.0.2.1") == 200
    assert await ask(app, "10.0.0.1", "::ffff:192.0.2.1") == 429
    assert await ask(app, "10.0.0.1", "[::ffff:192.0.2.1]:80") == 429
    assert await ask(app, "10.0.0.1", "::ffff:192.0.2.2") == 200


async def test_one_subscriber_with_a_whole_ipv6_network_is_one_client():
    app = limited()
    answers = [await ask(app, f"2001:db8:1:2{n % 256:02x}:{n:x}::{n:x}") for n in range(1, 500)]
    assert answers == [200] + [429] * 498
    assert await ask(app, "2001:db8:1:300::1") == 200
