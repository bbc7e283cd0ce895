"""Readiness: one question for many who ask."""

import asyncio
from typing import Any, cast

import pytest

from authward.errors import Unavailable
from authward.services.readiness import ASK_EVERY, Readiness


class Clock:
    """Monotonic time alone, set by hand."""

    now_is = 100.0

    def monotonic(self) -> float:
        return self.now_is


class Store:
    asked = 0
    away = False

    async def ping(self) -> None:
        self.asked += 1
        await asyncio.sleep(0)
        if self.away:
            raise Unavailable("away")


async def test_a_crowd_asks_once_and_an_absence_is_asked_again():
    store, clock = Store(), Clock()
    readiness = Readiness(cast(Any, store), cast(Any, clock))
    await asyncio.gather(*(readiness.check() for _ in range(50)))
    assert store.asked == 1
    clock.now_is += ASK_EVERY
    store.away = True
    for times in (2, 3):
        with pytest.raises(Unavailable):
            await readiness.check()
        assert store.asked == times
