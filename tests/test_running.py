"""One process at a time, in the event loop that started it."""

import asyncio
from typing import Any

import pytest

from authward.errors import ConfigurationError, Unavailable
from authward.running import Running


class Fake:
    """A process that notes what is asked of it."""

    def __init__(self, notes: list[str], broken: Exception | None = None) -> None:
        self.notes = notes
        self.broken = broken

    async def start(self) -> Any:
        self.notes.append("start")
        await asyncio.sleep(0)
        if self.broken is not None:
            raise self.broken
        return self

    async def stop(self) -> None:
        self.notes.append("stop")


def running(notes: list[str], *broken: Exception | None) -> Running:
    faults = iter(broken)

    def make() -> Any:
        return Fake(notes, next(faults, None))

    return Running(make)


async def test_it_starts_once_however_many_ask() -> None:
    notes: list[str] = []
    ours = running(notes)
    with pytest.raises(Unavailable):
        _ = ours.services
    await asyncio.gather(*(ours.start() for _ in range(10)))
    await ours.start()
    assert ours.services is not None
    await ours.stop()
    await ours.stop()
    assert notes == ["start", "stop"]
    with pytest.raises(Unavailable) as caught:
        _ = ours.services
    assert caught.value.retry_after == 1


async def test_after_a_failed_start_it_may_be_tried_again() -> None:
    notes: list[str] = []
    ours = running(notes, ConfigurationError("secret: missing"))
    with pytest.raises(ConfigurationError):
        await ours.start()
    await ours.start()
    assert notes == ["start", "stop", "start"]
    await ours.stop()


def test_it_ends_with_its_loop_and_starts_in_the_next() -> None:
    notes: list[str] = []
    ours = running(notes)
    for _ in range(2):
        asyncio.run(ours.start())
    assert notes == ["start", "stop"] * 2


def test_what_a_killed_loop_left_is_let_go() -> None:
    notes: list[str] = []
    ours = running(notes)
    loop = asyncio.new_event_loop()
    loop.run_until_complete(ours.start())
    keeper = ours._keeper
    loop.close()
    asyncio.run(ours.start())
    assert notes == ["start", "start", "stop"]
    # Nobody will ever run it again.
    if keeper is not None:
        keeper._log_destroy_pending = False  # type: ignore[attr-defined]
        keeper.get_coro().close()


def test_it_runs_in_one_loop_at_a_time() -> None:
    ours = running([])
    loop = asyncio.new_event_loop()
    try:
        loop.run_until_complete(ours.start())
        with pytest.raises(ConfigurationError, match="another event loop"):
            asyncio.run(ours.start())
        loop.run_until_complete(ours.stop())
    finally:
        loop.close()
