"""The feed on late committers, and on databases that were put in another's place."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import asyncpg
import pytest

from authward.ports import Change, Cursor, Store
from tests.contracts.fixtures import Stores
from tests.contracts.making import (
    HORIZON,
    TurnedClock,
    add_user,
    always,
    changes,
    happened,
)

INSERT = """INSERT INTO changes (xid, kind, subject, ver, at)
VALUES (pg_current_xact_id()::text::bigint, 'user.revoked', $1, 1, $2)"""
# 2,000 commits in one round trip.
MANY = """DO $$ BEGIN FOR number IN 1..2000 LOOP
INSERT INTO changes (xid, kind, subject, ver, at)
VALUES (pg_current_xact_id()::text::bigint, 'user.revoked', 'many' || number, 1, {at}); COMMIT;
END LOOP; END $$"""


class Reader:
    """Follows the feed as a process does."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self.cursor = Cursor()
        self.seen: set[str] = set()
        self.last = 0

    async def read(self) -> None:
        batch = await self.store.changes.since(self.cursor, horizon=HORIZON)
        assert batch.cursor.head >= self.cursor.head
        self.cursor = batch.cursor
        self.last = len(batch.changes)
        told = {change.subject for change in batch.changes}
        assert not told & self.seen, "told twice"
        self.seen |= told


@pytest.mark.postgres
class TestLateCommitters:
    @pytest.fixture
    async def connect(self, postgres_database: str) -> AsyncIterator[Any]:
        opened: list[asyncpg.Connection] = []

        async def connect() -> asyncpg.Connection:
            opened.append(await asyncpg.connect(postgres_database))
            return opened[-1]

        yield connect
        for connection in opened:
            connection.terminate()

    async def test_a_transaction_open_past_two_thousand_commits_is_not_missed(
        self, stores: Stores, postgres_database: str, connect: Any, clock: TurnedClock
    ) -> None:
        now = int(clock.now() * 1000)
        early, late, others = [await connect() for _ in range(3)]
        reader = Reader(await stores(postgres_database))
        await reader.read()

        first, second = early.transaction(), late.transaction()
        await first.start()
        await early.execute(INSERT, "first", now)
        await others.execute(MANY.format(at=now))
        await reader.read()
        assert len(reader.seen) == 2000
        await reader.read()
        assert reader.last == 0
        await second.start()
        await late.execute(INSERT, "second", now)
        await others.execute(INSERT, "between", now)
        await reader.read()
        # The two that are open are remembered by their numbers, however far the head moves.
        assert len(reader.cursor.running) >= 2
        assert "between" in reader.seen
        assert not {"first", "second"} & reader.seen

        await first.commit()
        await reader.read()
        assert "first" in reader.seen
        assert "second" not in reader.seen
        await second.commit()
        await reader.read()
        assert {"first", "second", "between"} < reader.seen
        await reader.read()
        assert reader.last == 0

    async def test_a_transaction_that_rolls_back_holds_nothing_up(
        self, stores: Stores, postgres_database: str, connect: Any, clock: TurnedClock
    ) -> None:
        one, others = await connect(), await connect()
        reader = Reader(await stores(postgres_database))
        undone = one.transaction()
        await undone.start()
        await one.execute(INSERT, "never", int(clock.now() * 1000))
        await others.execute(INSERT, "other", int(clock.now() * 1000))
        await reader.read()
        await undone.rollback()
        await reader.read()
        assert (reader.seen, reader.last) == ({"other"}, 0)

    async def test_a_reader_that_starts_meanwhile_misses_nothing(
        self, stores: Stores, postgres_database: str, connect: Any, clock: TurnedClock
    ) -> None:
        one = await connect()
        pending = one.transaction()
        await pending.start()
        # Written long ago, committed only now: older than the horizon, but not than the cursor.
        await one.execute(INSERT, "slow", int(clock.now() * 1000) - 2 * HORIZON)
        reader = Reader(await stores(postgres_database))
        await reader.read()
        await pending.commit()
        await reader.read()
        assert reader.seen == {"slow"}


class TestAnotherDatabaseInItsPlace:
    async def test_a_cursor_from_the_future_starts_over(self, store: Store) -> None:
        user = await add_user(store)
        await store.users.change(user.id, always(revoke=True), happened())
        ahead = await store.changes.since(Cursor(2**60), horizon=HORIZON)
        assert [change.subject for change in ahead.changes] == [user.id]
        assert 0 < ahead.cursor.head < 2**60
        assert ahead.anew
        assert not (await store.changes.since(ahead.cursor, horizon=HORIZON)).anew

    async def test_ids_are_not_given_out_twice(self, store: Store, clock: TurnedClock) -> None:
        user = await add_user(store)
        await store.users.change(user.id, always(revoke=True), happened())
        cursor = (await store.changes.since(Cursor(), horizon=HORIZON)).cursor
        clock.turn(8 * 86_400_000)
        await store.sweep()
        await store.users.change(user.id, always(revoke=True), happened())
        assert await changes(store, cursor) == [("user.revoked", user.id, 2, None)]


class TestReaderThatWasAway:
    async def test_two_thousand_commits_later_it_has_missed_nothing(
        self, stores: Stores, database: str
    ) -> None:
        writer, reader = await stores(database), Reader(await stores(database))
        await self.revoke(writer, "before")
        await reader.read()
        held = reader.cursor
        lanes = 4 if writer.database.postgresql else 1

        async def many(lane: int) -> None:
            for number in range(lane, 2000, lanes):
                await self.revoke(writer, f"many {number}")

        await asyncio.gather(*map(many, range(lanes)))
        assert reader.cursor == held
        await reader.read()
        assert reader.seen == {"before", *(f"many {number}" for number in range(2000))}

    async def revoke(self, store: Store, session: str) -> None:
        await store.changes.announce([Change("session.revoked", session, 0, None, 0)])
