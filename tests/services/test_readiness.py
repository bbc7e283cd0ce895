"""Readiness: one question for many who ask, a hung database waited for no longer than is useful."""

import asyncio
import logging
from collections.abc import Callable
from typing import Any, cast

import pytest

from authward.errors import Unavailable
from authward.services import readiness as module
from authward.services.readiness import ASK_EVERY, LATE, Readiness


class Clock:
    """Monotonic time alone, set by hand."""

    now_is = 100.0

    def monotonic(self) -> float:
        return self.now_is


class Store:
    def __init__(self) -> None:
        self.asked = 0
        self.raises: Exception | None = None
        self.may_answer = asyncio.Event()
        self.may_answer.set()

    async def ping(self) -> None:
        self.asked += 1
        await self.may_answer.wait()
        if self.raises is not None:
            raise self.raises


class Switch:
    """Stands for the feed and for the limiter."""

    healthy = True
    degraded = False


class World:
    def __init__(self, keys: Callable[[], bool] = lambda: True, *, shared: bool = False) -> None:
        self.store, self.clock, self.feed, self.limiter = Store(), Clock(), Switch(), Switch()
        self.readiness = Readiness(
            cast(Any, self.store),
            cast(Any, self.clock),
            cast(Any, self.feed),
            keys,
            cast(Any, self.limiter) if shared else None,
        )

    async def database(self) -> str:
        return (await self.readiness.check()).checks["database"]


async def test_a_crowd_asks_once_and_an_absence_is_remembered_too():
    world = World()
    await asyncio.gather(*(world.readiness.check() for _ in range(50)))
    assert world.store.asked == 1
    world.clock.now_is += ASK_EVERY
    world.store.raises = Unavailable("gone")
    for _ in range(50):
        assert await world.database() == "away"
    assert world.store.asked == 2
    world.clock.now_is += ASK_EVERY
    world.store.raises = None
    assert await world.database() == "ok"
    assert world.store.asked == 3


async def test_a_database_that_hangs_is_asked_one_question(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(module, "PATIENCE_S", 0.01)
    world = World()
    world.store.may_answer.clear()
    assert set(await asyncio.gather(*(world.database() for _ in range(50)))) == {LATE}
    # However long it takes: there is an answer at once, and no second question.
    world.clock.now_is += 3600
    assert await world.database() == LATE
    assert world.store.asked == 1
    world.store.may_answer.set()
    await asyncio.sleep(0.01)
    assert await world.database() == "ok"


async def test_who_goes_away_takes_no_answer_from_others():
    world = World()
    world.store.may_answer.clear()
    first, second = (asyncio.create_task(world.database()) for _ in range(2))
    await asyncio.sleep(0)
    first.cancel()
    await asyncio.gather(first, return_exceptions=True)
    world.store.may_answer.set()
    assert await second == "ok"
    assert world.store.asked == 1


async def test_each_thing_we_need_is_told_by_name(caplog: pytest.LogCaptureFixture):
    loaded = [False]
    world = World(lambda: loaded[0])
    world.feed.healthy = False
    world.store.raises = ValueError("torn")
    with caplog.at_level(logging.WARNING, "authward"):
        for _ in range(3):
            found = await world.readiness.check(draining=True)
            assert found.failing == ("database", "feed", "keys", "server")
            assert found.checks["database"] == "broken"
            assert "limiter" not in found.checks
        loaded[0], world.feed.healthy, world.store.raises = True, True, None
        world.clock.now_is += ASK_EVERY
        for _ in range(3):
            assert (await world.readiness.check()).failing == ()
    # One line for each change, with the reason that no client is told.
    assert [record.getMessage() for record in caplog.records] == [
        "not ready: database: broken, feed: not read in time, keys: not loaded, "
        "server: shutting down (ValueError: torn)",
        "ready again",
    ]


async def test_a_degraded_limiter_is_told_and_turns_nobody_away():
    world = World(shared=True)
    assert (await world.readiness.check()).checks["limiter"] == "ok"
    world.limiter.degraded = True
    found = await world.readiness.check()
    assert (found.failing, found.checks["limiter"]) == ((), "degraded")
