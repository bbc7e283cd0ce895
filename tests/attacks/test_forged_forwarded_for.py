"""A client that writes its own address into a header, to be counted as many or as someone else.

Litestar CVE-2025-59152 (X-Forwarded-For in the limiter's key); a Forwarded that a proxy, which
knows only X-Forwarded-For, hands on.
"""

import pytest
from starlette.types import Receive, Scope, Send

from authward.core.clients import ClientRule
from authward.middleware.policies import Policy
from authward.middleware.ratelimit import RateLimit
from tests.middleware.listening import listening, request, statuses

LOCAL = "127.0.0.1"
"""Where the tests connect from: a proxy, if it is trusted."""


async def page(scope: Scope, receive: Receive, send: Send) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b"page"})


def limited(*trusted: str, most: int = 3, header: str = "x-forwarded-for") -> RateLimit:
    return RateLimit(page, Policy(f"{most}/15m"), clients=ClientRule(trusted, header))


@pytest.mark.parametrize("header", ["X-Forwarded-For: {}", "Forwarded: for={}", "X-Real-IP: {}"])
async def test_a_thousand_addresses_of_one_client_are_one(header: str):
    async with listening(limited()) as port:
        heads = [(header.format(f"203.0.{n >> 8}.{n & 255}"),) for n in range(1000)]
        assert await statuses(port, heads) == [200] * 3 + [429] * 997


async def test_nor_do_they_count_for_anybody_else():
    app = limited(most=2)
    async with listening(app) as port:
        await statuses(port, [("X-Forwarded-For: 203.0.113.9",)] * 5)
    table = app._rules[0].take.__self__._table  # type: ignore[attr-defined]
    assert list(table) == [LOCAL]


async def test_what_a_client_writes_stands_left_of_what_the_proxy_adds():
    async with listening(limited(LOCAL)) as port:
        heads = [(f"X-Forwarded-For: 1.1.1.{n}, 203.0.113.9",) for n in range(10)]
        assert await statuses(port, heads) == [200] * 3 + [429] * 7
        # In lines of their own, too.
        own = [(f"X-Forwarded-For: 1.1.2.{n}", "X-Forwarded-For: 203.0.113.9") for n in range(5)]
        assert await statuses(port, own) == [429] * 5
        assert await statuses(port, [("X-Forwarded-For: 203.0.113.8",)]) == [200]


async def test_a_forged_forwarded_beside_a_trusted_x_forwarded_for_counts_for_nothing():
    async with listening(limited(LOCAL)) as port:
        heads = [
            (f"Forwarded: for=1.1.1.{n}", "X-Forwarded-For: 203.0.113.9", f"X-Real-IP: 1.1.2.{n}")
            for n in range(10)
        ]
        assert await statuses(port, heads) == [200] * 3 + [429] * 7


async def test_and_the_other_way_round():
    async with listening(limited(LOCAL, header="forwarded")) as port:
        heads = [(f"X-Forwarded-For: 1.1.1.{n}", "Forwarded: for=203.0.113.9") for n in range(10)]
        assert await statuses(port, heads) == [200] * 3 + [429] * 7


async def test_through_two_trusted_proxies():
    async with listening(limited(LOCAL, "10.0.0.0/8")) as port:
        heads = [(f"X-Forwarded-For: 1.1.1.{n}, 203.0.113.9, 10.0.0.2",) for n in range(10)]
        assert await statuses(port, heads) == [200] * 3 + [429] * 7
        # The second one is not trusted: whoever it says it heard from counts for nothing.
        heads = [(f"X-Forwarded-For: 1.1.1.{n}, 11.0.0.2",) for n in range(10)]
        assert await statuses(port, heads) == [200] * 3 + [429] * 7


async def test_a_quote_left_open_swallows_nothing():
    async with listening(limited(LOCAL, header="forwarded")) as port:
        heads = [(f'Forwarded: for="1.1.1.{n}, for=203.0.113.9',) for n in range(10)]
        assert await statuses(port, heads) == [200] * 3 + [429] * 7


async def test_a_client_that_names_the_proxies_is_not_taken_for_one():
    async with listening(limited(LOCAL, "10.0.0.0/8")) as port:
        heads = [(f"X-Forwarded-For: 10.0.0.{n}, 203.0.113.9",) for n in range(10)]
        assert await statuses(port, heads) == [200] * 3 + [429] * 7


async def test_nonsense_makes_no_new_clients():
    async with listening(limited(LOCAL)) as port:
        heads = [(f"X-Forwarded-For: 1.1.1.1, junk-{n}",) for n in range(10)]
        assert await statuses(port, heads) == [200] * 3 + [429] * 7


async def test_a_long_header_is_no_work_and_no_way_in():
    async with listening(limited(LOCAL, "10.0.0.0/8")) as port:
        row = ", ".join(["10.0.0.9"] * 5000)
        for n in range(3):
            assert (await request(port, f"X-Forwarded-For: 1.1.1.{n}, {row}"))[0] == 200
        assert (await request(port, f"X-Forwarded-For: 1.1.1.9, {row}"))[0] == 429
