"""Limits that mix in a shared counter, so that a loose one lifts a strict one (CWE-770, CWE-799).

Two limits under one key of one store (the keys of express-rate-limit's and of limits' stores hold
no limit): what the shorter window throws away, or the other policy counts, the longer one needs.
"""

import secrets
from collections.abc import AsyncIterator

import pytest
from starlette.types import Receive, Scope, Send

from authward.core.limits import Limit
from authward.middleware.policies import Policy
from authward.middleware.ratelimit import RateLimit
from authward.ports import RateLimiter
from authward.services.throttling import Throttling
from authward.stores.redis import RedisLimiter
from authward.stores.sql import SqlStore
from tests.contracts.making import TurnedClock
from tests.middleware.driving import drive, http_scope

CLIENT = "192.0.2.1"


@pytest.fixture
def turned() -> TurnedClock:
    return TurnedClock()


@pytest.fixture(
    params=["sqlite", pytest.param("postgresql", marks=pytest.mark.postgres), "redis"],
)
def place(request: pytest.FixtureRequest) -> str:
    """Where limits are kept."""
    names = {"sqlite": "sqlite_database", "postgresql": "postgres_database"}
    url: str = request.getfixturevalue(names.get(request.param, "redis_url"))
    return url


@pytest.fixture
async def limiter(place: str, turned: TurnedClock) -> AsyncIterator[RateLimiter]:
    if place.startswith("redis"):
        redis = RedisLimiter(place, turned, patience=10)
        yield redis
        await redis.close()
    else:
        store = SqlStore(place, turned)
        yield store.limits
        await store.close()


@pytest.fixture
def name() -> str:
    """One Redis serves many tests."""
    return secrets.token_hex(8)


async def page(scope: Scope, receive: Receive, send: Send) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b"page"})


async def status(app: RateLimit) -> int:
    return (await drive(app, http_scope(client=(CLIENT, 1)))).status


async def test_a_shorter_window_lets_nobody_past_a_longer_one(
    limiter: RateLimiter, turned: TurnedClock, name: str
) -> None:
    brief = RateLimit(page, Policy("50/1s", name=name), limiter=limiter)
    strict = RateLimit(page, Policy("5/15m", name=name), limiter=limiter)
    answers = []
    for _ in range(20):
        assert await status(brief) == 200
        answers.append(await status(strict))
        turned.turn(1001)
    assert answers == [200] * 5 + [429] * 15


async def test_a_policy_called_like_a_limit_of_the_server_is_not_that_limit(
    limiter: RateLimiter, name: str
) -> None:
    """Else a page of an app would use up the sign-ins of its visitors, or free their places."""
    two = Limit(2, 900)
    throttling = Throttling(limiter, name, general=two, credential=two)
    for called in ("general", "/api/auth/login", name):
        app = RateLimit(page, Policy(two, name=called), limiter=limiter)
        while await status(app) == 200:
            pass
    for decision in (
        await throttling.take_general(CLIENT),
        await throttling.take("/api/auth/login", CLIENT),
    ):
        assert decision is not None
        assert (decision.allowed, decision.remaining) == (True, 1)


async def test_nor_is_one_with_the_name_of_the_installation(limiter: RateLimiter) -> None:
    two = Limit(2, 900)
    throttling = Throttling(limiter, "policy", general=two, credential=None)
    app = RateLimit(page, Policy(two, name="general"), limiter=limiter)
    while await status(app) == 200:
        pass
    decision = await throttling.take_general(CLIENT)
    assert decision is not None
    assert decision.remaining == 1
