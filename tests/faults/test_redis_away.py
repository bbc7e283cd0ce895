"""Limits in Redis: one count for all servers; without Redis each goes on by itself, and says so."""

import asyncio
import logging
from collections import Counter
from itertools import cycle, islice
from typing import Any, cast

import httpx2
import pytest

from authward.stores.redis import RedisLimiter
from tests.here import Here, Serve
from tests.redis import Server
from tests.serving import error_of

LOGIN = {"email": "nobody@example.com", "password": "wrong horse battery"}
WRONG, LIMITED = (401, "invalid_credentials"), (429, "rate_limited")


async def two(serve_on: Serve, database: str, redis: Server, **limits: str) -> list[Here]:
    """Two servers on one database and one Redis."""
    settings = {"redis_url": redis.url, **limits}
    return [await serve_on(database, **settings) for _ in range(2)]


async def ask(servers: list[Here], times: int) -> list[httpx2.Response]:
    """Ask for the public route, each server in turn, all at once."""
    return await asyncio.gather(
        *(one.send("GET", "/api/public-data") for one in islice(cycle(servers), times))
    )


async def guess(servers: list[Here], times: int) -> Counter[tuple[int, str]]:
    answers = await asyncio.gather(
        *(one.send("POST", "/api/auth/login", json=LOGIN) for one in islice(cycle(servers), times))
    )
    return Counter(map(error_of, answers))


def statuses(answers: list[httpx2.Response]) -> Counter[int]:
    return Counter(answer.status_code for answer in answers)


def counted(told: str, series: str) -> float:
    [line] = [line for line in told.splitlines() if line.startswith(f"{series} ")]
    return float(line.rpartition(" ")[2])


@pytest.fixture
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """On a busy machine half a second passes before a Redis that is there has answered everybody,
    and then each server would count by itself, as it should.
    """
    defaults = {**cast(Any, RedisLimiter.__init__).__kwdefaults__, "patience": 20.0}
    monkeypatch.setattr(RedisLimiter.__init__, "__kwdefaults__", defaults)


@pytest.mark.usefixtures("patient")
async def test_the_general_limit_is_one_for_both(
    serve_on: Serve, sqlite_database: str, redis_server: Server
) -> None:
    servers = await two(serve_on, sqlite_database, redis_server, rate_limit="20/1h")
    answers = await ask(servers, 60)
    assert statuses(answers) == {200: 20, 429: 40}
    assert {one.headers["ratelimit-policy"] for one in answers} == {"20;w=3600"}
    left = sorted(int(o.headers["ratelimit-remaining"]) for o in answers if o.status_code == 200)
    assert left == list(range(20))
    assert all(0 < int(o.headers["retry-after"]) <= 3600 for o in answers if o.status_code == 429)


@pytest.mark.usefixtures("patient")
async def test_the_credential_limit_is_one_for_both(
    serve_on: Serve, sqlite_database: str, redis_server: Server
) -> None:
    servers = await two(serve_on, sqlite_database, redis_server, auth_rate_limit="5/15m")
    assert await guess(servers, 50) == {WRONG: 5, LIMITED: 45}
    # Of the one route alone.
    register = await servers[0].send("POST", "/api/auth/register", json={})
    assert register.status_code == 422


@pytest.mark.usefixtures("patient")
async def test_without_redis_each_counts_by_itself(
    serve_on: Serve,
    sqlite_database: str,
    redis_server: Server,
    caplog: pytest.LogCaptureFixture,
) -> None:
    servers = await two(
        serve_on, sqlite_database, redis_server, rate_limit="30/15m", auth_rate_limit="5/15m"
    )
    assert statuses(await ask(servers, 10)) == {200: 10}
    caplog.set_level(logging.ERROR, "authward.limits")
    redis_server.stop()
    for server in servers:
        # Nothing is let through unlimited, and nobody is turned away for it.
        assert await guess([server], 12) == {WRONG: 5, LIMITED: 7}
        assert statuses(await ask([server], 30)) == {200: 18, 429: 12}
        # A machine that is busy with the guesses may read the feed late for a moment.
        async with asyncio.timeout(60):
            while (health := await server.send("GET", "/readyz")).status_code != 200:  # noqa: ASYNC110
                await asyncio.sleep(0.05)
        assert health.json()["data"]["checks"]["limiter"] == "degraded"
        told = server.services.metrics.text().decode()
        assert "authward_rate_limit_degraded 1.0" in told
        # 12 guesses, counted under both limits, and 30 questions; readiness is not counted.
        assert "authward_rate_limit_decided_alone " in told
        assert counted(told, "authward_rate_limit_decided_alone") >= 12 + 30
        assert counted(told, 'authward_denials_total{error="rate_limited"}') == 7 + 12
    said = [record.getMessage() for record in caplog.records]
    assert len([one for one in said if "this process counts by itself" in one]) == 2


async def test_a_server_starts_without_its_redis(
    serve_on: Serve, sqlite_database: str, redis_server: Server
) -> None:
    redis_server.stop()
    settings = {"redis_url": redis_server.url, "rate_limit": "3/15m"}
    server = await serve_on(sqlite_database, **settings)
    assert statuses(await ask([server], 5)) == {200: 3, 429: 2}
