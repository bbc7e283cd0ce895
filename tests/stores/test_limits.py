"""What the SQL limiter costs the database, and what it does when that is away."""

import asyncio
import time
from collections.abc import AsyncIterator
from importlib import import_module
from typing import Any

import asyncpg
import pytest
from alembic.operations import Operations
from alembic.runtime.migration import MigrationContext
from sqlalchemy import Connection, text

from authward.core.limits import Limit
from authward.errors import ConfigurationError, Unavailable
from authward.settings import MOST_IN_DATABASE, Settings
from authward.stores.limits import MOST
from authward.stores.sql import SqlStore
from tests.contracts.fixtures import Stores
from tests.contracts.limiting import let_in
from tests.contracts.making import TurnedClock, at_once
from tests.stores.gate import gate_to

FIVE = Limit(5, 900)


def counted(store: SqlStore, monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """Grows by one with each transaction."""
    begun: list[Any] = []
    write = store.database.write

    async def note(work: Any) -> Any:
        begun.append(work)
        return await write(work)

    monkeypatch.setattr(store.database, "write", note)
    return begun


async def rows(store: SqlStore) -> list[Any]:
    found = await store.database.read(text("SELECT id, places, expires_at FROM rate_limits"))
    return sorted(tuple(row) for row in found)


async def keys(store: SqlStore) -> list[str]:
    """The keys that places are kept of, without their limits."""
    return sorted(row[0].partition(" ")[2] for row in await rows(store))


class TestAFlood:
    async def test_costs_no_more_than_the_first_refusal(
        self, store: SqlStore, clock: TurnedClock, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        begun = counted(store, monkeypatch)
        assert await let_in(store.limits, "login a", FIVE, 200) == 5
        assert len(begun) == 6
        assert await let_in(store.limits, "login a", FIVE, 200) == 0
        assert len(begun) == 6

    async def test_is_let_in_again_the_moment_there_is_room(
        self, store: SqlStore, clock: TurnedClock
    ) -> None:
        for _ in range(5):
            await store.limits.take("login a", FIVE)
            clock.turn(60_000)
        refused = await store.limits.take("login a", FIVE)
        clock.turn(int(refused.reset * 1000) + 1)
        assert await let_in(store.limits, "login a", FIVE, 10) == 1

    async def test_holds_one_connection_and_none_for_others_waits(
        self, store: SqlStore, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        here, most = 0, 0
        write = store.database.write

        async def watched(work: Any) -> Any:
            nonlocal here, most
            here += 1
            most = max(most, here)
            try:
                return await write(work)
            finally:
                here -= 1

        monkeypatch.setattr(store.database, "write", watched)
        assert await let_in(store.limits, "login a", Limit(20, 900), 50) == 20
        assert most == 1

    async def test_leaves_nothing_in_memory_but_the_refusal(self, store: SqlStore) -> None:
        await at_once(let_in(store.limits, f"login {number}", FIVE, 10) for number in range(5))
        assert len(store.limits._turns) == 0
        assert len(store.limits._refusals) == 5


class TestARefusal:
    async def test_writes_nothing(self, stores: Stores, store: SqlStore, database: str) -> None:
        await let_in(store.limits, "login a", FIVE, 5)
        before = await rows(store)
        version = "PRAGMA data_version" if database.startswith("sqlite") else None
        other = await stores(database)
        # Of one connection: SQLite tells it whether another wrote; PostgreSQL, by the row's xmin.
        seen = text(version or "SELECT xmin::text, xmax::text FROM rate_limits")
        async with store.database._reader.connect() as connection:
            was = (await connection.execute(seen)).all()
            assert not (await other.limits.take("login a", FIVE)).allowed
            assert (await connection.execute(seen)).all() == was
            assert (await other.limits.take("login b", FIVE)).allowed
            assert (await connection.execute(seen)).all() != was
        assert [row for row in await rows(store) if row[0].endswith(" login a")] == before


class TestLimits:
    async def test_too_large_for_a_row(self, store: SqlStore) -> None:
        with pytest.raises(ValueError, match="a limit of 1001 requests is too large for the data"):
            await store.limits.take("login a", Limit(MOST + 1, 60))
        assert await rows(store) == []

    def test_too_large_stop_the_start_unless_redis_counts(self) -> None:
        assert MOST_IN_DATABASE == MOST
        with pytest.raises(ConfigurationError) as refused:
            Settings(auth_rate_limit=f"{MOST + 1}/15m")
        assert str(refused.value) == (
            "auth_rate_limit: 1001 requests are too many for the database to count. "
            "Take 1000 at most, or set redis_url"
        )
        Settings(auth_rate_limit=f"{MOST}/15m")
        Settings(auth_rate_limit=f"{MOST + 1}/15m", redis_url="redis://localhost")

    async def test_the_largest(self, store: SqlStore) -> None:
        limit = Limit(MOST, 60)
        assert (await store.limits.take("login a", limit, MOST)).remaining == 0
        assert not (await store.limits.take("login a", limit)).allowed
        [(_, places, _)] = await rows(store)
        assert len(places) == 8 * MOST


async def test_a_database_of_before_there_were_limits_gets_their_table(
    stores: Stores, database_url: str
) -> None:
    store = await stores(database_url)
    await store.database.prepare()

    def write_as_of_0001(connection: Connection) -> None:
        with Operations.context(MigrationContext.configure(connection)):
            import_module("authward.stores.migrations.versions.v0001").upgrade()
        connection.execute(text("CREATE TABLE alembic_version (version_num VARCHAR(32) NOT NULL)"))
        connection.execute(text("INSERT INTO alembic_version VALUES ('0001')"))

    await store.database.run_sync(write_as_of_0001)
    await store.open()
    assert await let_in(store.limits, "login a", FIVE, 10) == 5


class TestSweeping:
    async def test_what_is_over_goes_and_the_rest_stays(
        self, store: SqlStore, clock: TurnedClock
    ) -> None:
        await store.limits.take("short", Limit(5, 60))
        await store.limits.take("long", Limit(5, 3600))
        await store.limits.take("again", Limit(5, 60))
        clock.turn(30_000)
        await store.limits.take("again", Limit(5, 60))
        clock.turn(5000)
        await store.sweep()
        assert await keys(store) == ["again", "long", "short"]
        clock.turn(25_060)
        await store.sweep()
        assert await keys(store) == ["again", "long"]
        assert (await store.limits.take("long", Limit(5, 3600))).remaining == 3

    async def test_many_sweeps_and_requests_at_once(
        self, store: SqlStore, other: SqlStore, clock: TurnedClock
    ) -> None:
        limit = Limit(1, 60)
        for _ in range(5):
            clock.turn(60_100)
            each = await at_once(
                [
                    *(let_in(one.limits, "login a", limit, 5) for one in (store, other)),
                    sweeping(store),
                    sweeping(other),
                ]
            )
            assert sum(each) == 1


async def sweeping(store: SqlStore) -> int:
    await store.sweep()
    return 0


@pytest.fixture
async def raw(postgres_database: str) -> AsyncIterator[asyncpg.Connection]:
    connection = await asyncpg.connect(postgres_database)
    yield connection
    connection.terminate()


async def until_one_waits(watch: asyncpg.Connection) -> None:
    async with asyncio.timeout(60):
        while not await watch.fetchval(  # noqa: ASYNC110
            "SELECT count(*) FROM pg_stat_activity"
            " WHERE datname = current_database() AND wait_event_type = 'Lock'"
        ):
            await asyncio.sleep(0.005)


@pytest.mark.postgres
class TestPostgresql:
    async def test_a_sweep_that_waited_for_a_row_spares_what_was_counted_meanwhile(
        self, stores: Stores, postgres_database: str, clock: TurnedClock, raw: asyncpg.Connection
    ) -> None:
        """It would delete the row that it found dead, and with it a living place."""
        store = await stores(postgres_database)
        watch = await asyncpg.connect(postgres_database)
        await store.limits.take("login a", Limit(1, 60))
        clock.turn(61_000)
        async with raw.transaction():
            await raw.execute("UPDATE rate_limits SET expires_at = expires_at + 3600000")
            sweep = asyncio.create_task(store.sweep())
            await until_one_waits(watch)
        await sweep
        assert await keys(store) == ["login a"]
        watch.terminate()

    async def test_a_request_whose_row_is_swept_midway_is_counted(
        self, stores: Stores, postgres_database: str, clock: TurnedClock, raw: asyncpg.Connection
    ) -> None:
        store = await stores(postgres_database)
        watch = await asyncpg.connect(postgres_database)
        await store.limits.take("login a", Limit(1, 60))
        clock.turn(61_000)
        async with raw.transaction():
            await raw.execute("DELETE FROM rate_limits")
            taking = asyncio.create_task(store.limits.take("login a", Limit(1, 60)))
            await until_one_waits(watch)
        assert (await taking).allowed
        assert not (await (await stores(postgres_database)).limits.take("login a", Limit(1, 60)))[0]
        watch.terminate()

    async def test_a_crowd_before_a_silent_server_waits_once_not_each_in_its_turn(
        self, stores: Stores, postgres_database: str
    ) -> None:
        async with gate_to(postgres_database) as gate:
            store = await stores(gate.url, patience=0.5)
            await store.ping()
            gate.freeze()
            began = time.perf_counter()
            found = await asyncio.gather(
                *(store.limits.take("login a", FIVE) for _ in range(20)), return_exceptions=True
            )
            took = time.perf_counter() - began
            assert [type(one) for one in found] == [Unavailable] * 20
            assert took < 15, "each waited by itself"
            gate.thaw()
            assert (await store.limits.take("login b", FIVE)).allowed
            assert (await store.limits.take("login a", FIVE)).allowed
