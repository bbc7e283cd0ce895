"""Two processes as they are really composed: what one commits, the other is told of."""

import asyncio
import time
from typing import Any

import pytest

from authward import Authward
from authward.core.audit import Client, Event
from authward.errors import TokenRevoked
from authward.ports import Change
from tests.fleets import SEEN_S

SECRET = "Zk3v9Qw1xT7rB5nY2mC8pL4sD6fG0hJ1aE3uO9iK7tR="


def knows(auth: Authward, session: str) -> bool:
    try:
        auth.services.feed.revocations.check("ada", session, 1, 0, ("user",))
    except TokenRevoked:
        return True
    return False


async def told(database_url: str, redis_url: str | None) -> float:
    """Seconds until the second process knows, whose own turn to read never comes."""
    settings: dict[str, Any] = {
        "database_url": database_url,
        "secret": SECRET,
        "redis_url": redis_url,
    }
    one, other = (Authward(**settings, issuer=database_url[-20:]) for _ in range(2))
    try:
        await one.startup()
        await other.startup()
        other.services.feed._interval = 3600
        await asyncio.sleep(0.6)  # the wait that had begun before
        reads = other.services.feed._polls
        await asyncio.sleep(0.6)
        assert other.services.feed._polls == reads
        began = time.monotonic()
        await one.services.store.changes.announce([Change("session.revoked", "x", 0, None, 0)])
        assert knows(one, "x")
        async with asyncio.timeout(30):
            while not knows(other, "x"):  # noqa: ASYNC110
                await asyncio.sleep(0.005)
        return time.monotonic() - began
    finally:
        await one.shutdown()
        await other.shutdown()


async def test_by_redis(sqlite_url: str, redis_url: str) -> None:
    assert await told(sqlite_url, redis_url) < SEEN_S


@pytest.mark.postgres
async def test_by_postgresql(postgres_url: str) -> None:
    assert await told(postgres_url, None) < SEEN_S


async def test_redis_away_keeps_nobody_waiting(sqlite_url: str) -> None:
    auth = Authward(database_url=sqlite_url, secret=SECRET, redis_url="redis://127.0.0.1:1/0")
    await auth.startup()
    began = time.monotonic()
    try:
        for number in range(20):
            change = Change("session.revoked", str(number), 0, None, 0)
            await auth.services.store.changes.announce([change])
            await auth.services.store.audit.record([Event("login.failed", Client("y"))])
        assert knows(auth, "19")
        assert time.monotonic() - began < 10
    finally:
        await auth.shutdown()
