"""The audit log as it is read, kept provable, and pruned."""

import asyncio
import json
import logging
from typing import Any

import pytest

from authward.core.anchors import Anchors
from authward.core.audit import Client, Event
from authward.errors import Unavailable, ValidationError
from authward.ports import AuditQuery
from authward.services import Services, trail
from authward.stores import audit
from authward.stores.checkpoints import SqlChains
from authward.stores.database import Database
from authward.testing import TurnableClock
from tests.services.conftest import HERE, Make, principal_of, register, told

EVERYTHING = AuditQuery()


def silent(*done: Any) -> None:
    """Nobody watches."""


def numbered(number: int) -> Event:
    return Event("session.ended", HERE, session=f"n{number}")


async def holds(services: Services, anchors: Anchors | None = None) -> bool:
    return (await services.store.chains.verify(anchors or {}, silent)).holds


async def test_pages_with_a_cursor_until_there_is_no_more(services: Services) -> None:
    await services.store.audit.record([numbered(n) for n in range(5)])
    first = await services.trail.page(EVERYTHING, limit=3, cursor=None)
    assert [row.event.session for row in first.rows] == ["n4", "n3", "n2"]
    second = await services.trail.page(EVERYTHING, limit=3, cursor=first.cursor)
    assert [row.event.session for row in second.rows] == ["n1", "n0"]
    assert second.cursor is None


@pytest.mark.parametrize(
    "cursor", ["", "x", "!!", "MTIz", "MS4", "MS45MjIzMzcyMDM2ODU0Nzc1ODA4", "é", "A" * 999]
)
async def test_a_cursor_that_is_none_of_ours(services: Services, cursor: str) -> None:
    with pytest.raises(ValidationError):
        await services.trail.page(EVERYTHING, limit=3, cursor=cursor)


async def test_all_rows_in_order(services: Services, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trail, "_STEP", 2)
    await services.store.audit.record([numbered(n) for n in range(5)])
    sessions = [row.event.session async for row in services.trail.rows(EVERYTHING)]
    assert sessions == [f"n{n}" for n in range(5)]


async def test_the_first_checkpoint_is_there_before_the_first_row(services: Services) -> None:
    await register(services)
    proof = await services.store.chains.verify({}, silent)
    assert (proof.holds, proof.checkpoints, proof.rows) == (True, 1, 2)


async def test_a_checkpoint_is_a_line_of_the_log_and_an_anchor(
    services: Services, caplog: pytest.LogCaptureFixture
) -> None:
    await register(services)
    with caplog.at_level(logging.INFO, "authward.audit"):
        made = await services.trail.checkpoint()
    assert made is not None
    line = json.loads(caplog.records[-1].getMessage())
    assert line["kind"] == "checkpoint"
    assert line["time"].endswith("Z")
    assert await holds(services, {line["number"]: (line["hash"],)})
    assert await services.trail.checkpoint() is None


async def test_a_process_leaves_a_last_checkpoint_if_it_recorded_something(make: Make) -> None:
    first = await make()
    await register(first.services)
    await first.shutdown()
    second = await make()
    proof = await second.services.store.chains.verify({}, silent)
    assert (proof.holds, proof.checkpoints) == (True, 2)
    await second.shutdown()
    third = await make()
    assert (await third.services.store.chains.verify({}, silent)).checkpoints == 2


async def test_checkpoints_come_by_themselves(
    make: Make, monkeypatch: pytest.MonkeyPatch, clock: TurnableClock
) -> None:
    monkeypatch.setattr(trail, "CHECKPOINT_EVERY", 0.001)
    services = (await make()).services
    await register(services)
    async with asyncio.timeout(60):
        while (await services.store.chains.verify({}, silent)).checkpoints < 2:
            clock.turn(60)
            await asyncio.sleep(0.005)
    assert await holds(services)


async def test_old_rows_go_by_themselves_where_that_is_set(
    make: Make, monkeypatch: pytest.MonkeyPatch, clock: TurnableClock
) -> None:
    monkeypatch.setattr(trail, "CHECKPOINT_EVERY", 0.001)
    services = (await make(audit_retention="1d")).services
    await register(services)
    clock.turn(2 * 86_400)
    async with asyncio.timeout(60):
        while not await told(services, "audit.pruned"):  # noqa: ASYNC110
            await asyncio.sleep(0.005)
    [pruned] = await told(services, "audit.pruned")
    assert pruned["rows"] == 2
    assert await told(services, "user.registered") == []
    assert await holds(services)


async def test_what_does_not_verify_is_not_pruned_and_the_log_says_so(
    make: Make,
    monkeypatch: pytest.MonkeyPatch,
    clock: TurnableClock,
    caplog: pytest.LogCaptureFixture,
) -> None:
    from sqlalchemy import text

    monkeypatch.setattr(trail, "CHECKPOINT_EVERY", 0.001)
    services = (await make(audit_retention="1d")).services
    await register(services)
    store: Any = services.store
    edit = text("UPDATE audit_events SET ip = '192.0.2.9' WHERE id = 1")
    await store.database.write(lambda tx: tx.run(edit))
    clock.turn(2 * 86_400)
    async with asyncio.timeout(60):
        while "not pruned" not in caplog.text:  # noqa: ASYNC110
            await asyncio.sleep(0.005)
    assert "row 1 was edited" in caplog.text
    assert len(await told(services, "user.registered")) == 1


@pytest.mark.parametrize("broken", [Unavailable("database: gone"), RuntimeError("a fault")])
async def test_a_database_that_is_away_does_not_end_it(
    make: Make,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    broken: Exception,
) -> None:
    auth = await make()
    await register(auth.services)

    async def away(**_: Any) -> None:
        raise broken

    monkeypatch.setattr(auth.services.store.chains, "checkpoint", away)
    await auth.shutdown()
    assert "no checkpoint written" in caplog.text


@pytest.mark.parametrize("broken", [Unavailable("database: gone"), RuntimeError("a fault")])
async def test_nothing_is_recorded_before_the_first_checkpoint(
    make: Make, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, broken: Exception
) -> None:
    """Without it an honest log would never verify. Later ones may wait."""

    async def away(*_: Any, **__: Any) -> None:
        raise broken

    with monkeypatch.context() as patch:
        patch.setattr(SqlChains, "checkpoint", away)
        with pytest.raises(Unavailable) as raised:
            await make()
        assert "the first checkpoint of the audit log cannot be written" in raised.value.reason
        assert raised.value.__cause__ is broken
    await (await make()).shutdown()
    with monkeypatch.context() as patch:
        patch.setattr(SqlChains, "checkpoint", away)
        auth = await make()
        await register(auth.services)
        assert "no checkpoint written" in caplog.text
    assert await holds(auth.services)


async def test_who_leaves_checkpoints_to_others_writes_no_last_one(make: Make) -> None:
    auth = await make()
    await auth.services.trail.leave()
    await register(auth.services)
    await auth.shutdown()
    proof = await (await make()).services.store.chains.verify({}, silent)
    assert (proof.holds, proof.checkpoints, proof.rows) == (True, 1, 2)


@pytest.mark.parametrize("broken", [Unavailable("database: gone"), RuntimeError("a fault")])
async def test_nor_does_one_that_is_away_while_it_prunes(
    make: Make,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    broken: Exception,
) -> None:
    monkeypatch.setattr(trail, "CHECKPOINT_EVERY", 0.001)
    services = (await make(audit_retention="1d")).services

    async def away(*_: Any) -> None:
        raise broken

    monkeypatch.setattr(services.store.chains, "prune", away)
    async with asyncio.timeout(60):
        while caplog.text.count("audit rows are not pruned") < 2:  # noqa: ASYNC110
            await asyncio.sleep(0.005)


class AheadClock(TurnableClock):
    """A clock that is wrong, and nobody else's with it."""

    ahead = 0.0

    def now(self) -> float:
        return super().now() + self.ahead


YEAR = 365 * 86_400.0


async def pruned(services: Services, retention: float) -> list[dict[str, Any]]:
    """What a look for old rows has deleted so far."""
    await services.trail._prune_old(retention)
    return await told(services, "audit.pruned")


class TestWrongClock:
    """Rows that are deleted do not come back when the clock is put right."""

    @pytest.fixture
    def clock(self) -> TurnableClock:
        return AheadClock()

    async def test_one_ahead_of_the_database_prunes_nothing(
        self, services: Services, clock: AheadClock
    ) -> None:
        await register(services)
        clock.ahead = 2 * YEAR
        assert await pruned(services, YEAR) == await pruned(services, YEAR) == []
        clock.ahead = 0
        clock.turn(2 * YEAR)
        assert [one["rows"] for one in await pruned(services, YEAR)] == [2]

    async def test_one_ahead_for_a_moment_with_the_database_prunes_nothing(
        self, services: Services, clock: AheadClock, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Both are of one machine."""

        async def time() -> int:
            return int(clock.now() * 1000)

        monkeypatch.setattr(services.store.chains, "time", time)
        await register(services)
        clock.ahead = 2 * YEAR
        assert await pruned(services, YEAR) == []
        clock.ahead = 0
        assert await pruned(services, YEAR) == []
        # One that stays is no mistake, for all we know.
        clock.ahead = 2 * YEAR
        assert await pruned(services, YEAR) == []
        assert [one["rows"] for one in await pruned(services, YEAR)] == [2]

    async def test_a_row_dated_ahead_that_holds_others_up_is_told(
        self, services: Services, clock: AheadClock, caplog: pytest.LogCaptureFixture
    ) -> None:
        await services.store.audit.record([numbered(1)])
        clock.ahead = 10 * YEAR
        await services.store.audit.record([numbered(2)])
        clock.ahead = 0
        await services.store.audit.record([numbered(3), numbered(4)])
        clock.turn(2 * YEAR)
        await services.store.audit.record([numbered(5)])
        assert [one["rows"] for one in await pruned(services, YEAR)] == [1]
        assert "not pruned: 2. Row 2 comes before some of them" in caplog.text
        assert await holds(services)
        caplog.clear()
        clock.turn(10 * YEAR)
        # What said so first is among them.
        assert [one["rows"] for one in await pruned(services, YEAR)] == [5]
        assert "dated later" not in caplog.text

    async def test_clocks_that_are_a_little_apart_are_not(
        self, services: Services, clock: AheadClock, caplog: pytest.LogCaptureFixture
    ) -> None:
        clock.ahead = 600
        await services.store.audit.record([numbered(1)])
        clock.ahead = 0
        await services.store.audit.record([numbered(2)])
        clock.turn(300)
        assert await pruned(services, 60) == []
        assert "dated later" not in caplog.text


async def test_erasing_leaves_no_trace_of_whom_it_was(services: Services) -> None:
    ada = principal_of(services, await register(services))
    await register(services, "eve@example.com")
    assert await services.trail.erase(ada.id, Client("operator")) == (2, ())
    assert await services.trail.erase(ada.id, Client("operator")) == (0, ())
    rows = await services.store.audit.latest(100)
    assert ada.id not in repr(rows)
    assert rows[0].event == Event("audit.erased", Client("operator"), detail={"rows": 2})
    assert await holds(services)


async def test_an_erasure_that_is_cut_off_is_told_as_far_as_it_came(
    services: Services, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As a kill in between would: what was erased and who did it are one transaction."""
    monkeypatch.setattr(audit, "ERASED_AT_ONCE", 2)
    monkeypatch.setattr(audit, "_OF", audit._OF.limit(2))
    await services.store.audit.record(
        [Event("session.ended", HERE, subject="ada") for _ in range(5)]
    )
    write = Database.write
    some: list[None] = []

    async def once(self: Database, work: Any) -> Any:
        if some:
            raise Unavailable("database: gone")
        some.append(None)
        return await write(self, work)

    with monkeypatch.context() as patch:
        patch.setattr(Database, "write", once)
        with pytest.raises(Unavailable):
            await services.trail.erase("ada", Client("operator"))
    assert [one["rows"] for one in await told(services, "audit.erased")] == [2]
    assert await services.trail.erase("ada", Client("operator")) == (3, ())
    assert [one["rows"] for one in await told(services, "audit.erased")] == [2, 2, 1]
    assert await holds(services)


@pytest.mark.parametrize("end", [asyncio.CancelledError(), Unavailable("database: gone")])
async def test_pruning_that_is_cut_off_is_told(services: Services, end: BaseException) -> None:
    """An operator who interrupts it leaves no deletion without a name."""
    await services.store.audit.record([numbered(n) for n in range(300)])

    def cut(rows: int) -> None:
        raise end

    operator = Client(user_agent="operator")
    with pytest.raises(type(end)):
        await services.trail.prune(2**60, cut, operator)
    [row] = await services.store.audit.page(AuditQuery(kind="audit.pruned"), 9, before=None)
    assert (row.event.client, row.event.detail["rows"]) == (operator, 250)
    assert await holds(services)


async def test_a_stop_while_it_prunes_is_one_though_the_database_is_away(
    services: Services, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else whoever waits for the task waits for good."""

    async def cut(before: int, on_rows: Any) -> None:
        on_rows(250)
        raise asyncio.CancelledError

    async def away(*_: Any) -> None:
        raise Unavailable("database: gone")

    monkeypatch.setattr(services.store.chains, "prune", cut)
    monkeypatch.setattr(services.store.audit, "record", away)
    with pytest.raises(asyncio.CancelledError):
        await services.trail._prune_old(1.0)


async def test_pruning_nothing_is_not_told(services: Services) -> None:
    await register(services)
    assert await services.trail.prune(1, silent) == (0, None)
    assert await told(services, "audit.pruned") == []


async def test_stopping_what_was_never_started_is_nothing(services: Services) -> None:
    store = services.store
    await trail.Trail(store.audit, store.chains, services.clock, retention=None).stop()
