"""Refusals: folded, bounded, never lost in silence."""

import asyncio
import logging
from collections.abc import Sequence

import pytest

from authward.core.audit import Client, Event
from authward.errors import Unavailable
from authward.services import audit
from authward.services.audit import Refusals

ADA, EVE = Client("203.0.113.9", "a browser"), Client("198.51.100.7", "curl")


class Log:
    """An audit log that can be away, or hold up who is `writing` until they may `go_on`. `tried`
    counts transactions.
    """

    def __init__(self) -> None:
        self.rows: list[Event] = []
        self.broken: Exception | None = None
        self.tried: list[int] = []
        self.writing, self.go_on = asyncio.Event(), asyncio.Event()
        self.go_on.set()

    async def record(self, events: Sequence[Event]) -> None:
        self.tried.append(len(events))
        if self.broken is not None:
            raise self.broken
        self.writing.set()
        await self.go_on.wait()
        self.rows += events

    async def latest(self, limit: int) -> list[object]:
        raise AssertionError

    def counts(self) -> list[int | str]:
        return [event.detail["count"] for event in self.rows]


class Minutes:
    """A clock that stands still."""

    offset_ms = 0
    at = 0.0

    def now(self) -> float:
        return self.at

    def monotonic(self) -> float:
        return self.at


@pytest.fixture
def log() -> Log:
    return Log()


@pytest.fixture
def clock() -> Minutes:
    return Minutes()


@pytest.fixture
def refusals(log: Log, clock: Minutes) -> Refusals:
    store: object = log
    return Refusals(store, clock)  # type: ignore[arg-type]


async def test_what_is_alike_becomes_one_counted_row(refusals: Refusals, log: Log) -> None:
    for reason in ("the first", "the second", "the third"):
        refusals.note("login.failed", ADA, subject="ada", reason=reason)
    await refusals.flush()
    assert [(row.kind, row.outcome, row.subject, row.detail) for row in log.rows] == [
        ("login.failed", "refused", "ada", {"reason": "the first", "count": 3})
    ]


async def test_what_differs_does_not(refusals: Refusals, log: Log, clock: Minutes) -> None:
    refusals.note("login.failed", ADA, subject="ada")
    refusals.note("login.failed", EVE, subject="ada")
    refusals.note("login.failed", ADA, subject="eve")
    refusals.note("login.failed", ADA)
    refusals.note("access.denied", ADA, subject="ada")
    refusals.note("access.denied", ADA, subject="ada", error="csrf_failed")
    clock.at += 60
    refusals.note("login.failed", ADA, subject="ada")
    await refusals.flush()
    assert log.counts() == [1] * 7


async def test_a_storm_is_two_rows_a_minute(refusals: Refusals, log: Log, clock: Minutes) -> None:
    for second in range(60):
        clock.at = second
        for _ in range(10):
            refusals.note("login.failed", EVE)
        await refusals.flush()
    clock.at = 60
    await refusals.flush()
    assert log.counts() == [10, 590]


async def test_the_next_minute_is_told_at_once(
    refusals: Refusals, log: Log, clock: Minutes
) -> None:
    refusals.note("login.failed", EVE)
    await refusals.flush()
    clock.at = 60
    refusals.note("login.failed", EVE)
    await refusals.flush()
    assert log.counts() == [1, 1]


async def test_what_finds_no_place_is_counted(
    refusals: Refusals, log: Log, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(audit, "MOST_PENDING", 3)
    for number in range(10):
        refusals.note("login.failed", Client(f"192.0.2.{number}"))
    refusals.note("login.failed", Client("192.0.2.0"))
    await refusals.flush()
    assert [row.kind for row in log.rows] == ["login.failed"] * 3 + ["audit.dropped"]
    assert log.counts() == [2, 1, 1, 7]


async def test_a_minute_holds_only_so_many(
    refusals: Refusals, log: Log, clock: Minutes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(audit, "MOST_A_MINUTE", 4)
    for number in range(8):
        refusals.note("login.failed", Client(f"192.0.2.{number}"))
        await refusals.flush()
    assert [row.kind for row in log.rows].count("login.failed") == 4
    clock.at = 60
    await refusals.flush()
    refusals.note("login.failed", Client("192.0.2.99"))
    await refusals.flush()
    assert log.rows[-1].client.ip == "192.0.2.99"


async def test_rows_come_in_small_transactions(
    refusals: Refusals, log: Log, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(audit, "BATCH", 4)
    for number in range(10):
        refusals.note("login.failed", Client(f"192.0.2.{number}"))
    await refusals.flush()
    assert log.tried == [4, 4, 2]


async def test_nothing_to_tell_asks_nothing(refusals: Refusals, log: Log) -> None:
    await refusals.flush(all_of_it=True)
    assert log.tried == []


async def test_a_reason_stays_one_line(refusals: Refusals, log: Log) -> None:
    refusals.note("login.failed", ADA, reason="a\r\nforged \x1b[31mline" + "x" * 999)
    await refusals.flush()
    reason = str(log.rows[0].detail["reason"])
    assert reason.startswith("a\\x0d\\x0aforged \\x1b[31mline")
    assert len(reason) < 300


@pytest.mark.parametrize(
    ("broken", "told"),
    [(Unavailable("database: gone"), "database: gone"), (RuntimeError("canary"), "not written")],
)
async def test_what_could_not_be_written_is_counted(
    refusals: Refusals,
    log: Log,
    caplog: pytest.LogCaptureFixture,
    broken: Exception,
    told: str,
) -> None:
    log.broken = broken
    with caplog.at_level(logging.ERROR):
        for _ in range(3):
            refusals.note("login.failed", ADA)
            refusals.note("login.failed", EVE)
        await refusals.flush()
        await refusals.flush()
    assert told in caplog.text
    log.broken = None
    await refusals.flush()
    assert [row.kind for row in log.rows] == ["audit.dropped"]
    assert log.counts() == [6]


async def test_it_is_written_within_a_second(
    refusals: Refusals, log: Log, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert audit.FLUSH_EVERY <= 1
    monkeypatch.setattr(audit, "FLUSH_EVERY", 0.001)
    await refusals.start()
    refusals.note("login.failed", ADA)
    async with asyncio.timeout(60):
        while not log.rows:  # noqa: ASYNC110
            await asyncio.sleep(0.001)
    await refusals.stop()


async def test_stopping_writes_all_of_it(
    refusals: Refusals, log: Log, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(audit, "FLUSH_EVERY", 3600.0)
    await refusals.start()
    refusals.note("login.failed", ADA)
    await refusals.flush()
    refusals.note("login.failed", ADA)
    await refusals.stop()
    await refusals.stop()
    assert log.counts() == [1, 1]


async def test_a_row_that_is_being_written_is_not_lost_at_the_end(
    refusals: Refusals, log: Log, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(audit, "FLUSH_EVERY", 0.001)
    log.go_on.clear()
    refusals.note("login.failed", ADA)
    await refusals.start()
    await log.writing.wait()
    stopping = asyncio.create_task(refusals.stop())
    await asyncio.sleep(0)
    log.go_on.set()
    await stopping
    assert log.counts() == [1]


async def test_who_flushes_waits_for_what_another_is_writing(refusals: Refusals, log: Log) -> None:
    """Whoever then reads the log finds all that was noted before."""
    log.go_on.clear()
    refusals.note("login.failed", ADA)
    first = asyncio.create_task(refusals.flush())
    await log.writing.wait()
    second = asyncio.create_task(refusals.flush(all_of_it=True))
    for _ in range(5):
        await asyncio.sleep(0)
    assert not second.done()
    log.go_on.set()
    await second
    assert log.counts() == [1]
    await first
