"""PostgreSQL away, silent, full, deadlocked: Unavailable, never a hang, then well by itself."""

import asyncio
import random
import time
from collections import Counter
from collections.abc import AsyncIterator
from typing import Any

import asyncpg
import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError, InternalError

from authward.core.users import User, UserChange
from authward.errors import Unavailable
from authward.ports import Cursor
from authward.stores.sql import SqlStore
from authward.stores.transactions import Transaction
from tests.contracts.fixtures import Stores
from tests.contracts.making import (
    add_user,
    always,
    at_once,
    audited,
    changes,
    happened,
    new_user,
    open_session,
)
from tests.stores.gate import Gate, gate_to

pytestmark = pytest.mark.postgres

POOL = 5  # as the fixtures make it


@pytest.fixture
async def raw(postgres_database: str) -> AsyncIterator[asyncpg.Connection]:
    connection = await asyncpg.connect(postgres_database)
    yield connection
    connection.terminate()


@pytest.fixture
async def gate(postgres_database: str) -> AsyncIterator[Gate]:
    async with gate_to(postgres_database) as gate:
        yield gate


@pytest.fixture
async def watch(postgres_database: str) -> AsyncIterator[asyncpg.Connection]:
    """A connection in no transaction, where pg_stat_activity is always fresh."""
    connection = await asyncpg.connect(postgres_database)
    yield connection
    connection.terminate()


@pytest.fixture
async def pg(stores: Stores, postgres_database: str) -> SqlStore:
    return await stores(f"{postgres_database}?application_name=store")


async def warm(store: SqlStore) -> None:
    """Fill the pool."""
    await at_once(store.ping() for _ in range(POOL * 4))


async def backends(watch: asyncpg.Connection, *, waiting: bool = False) -> list[int]:
    where = "AND wait_event_type = 'Lock'" if waiting else ""
    rows = await watch.fetch(
        "SELECT pid FROM pg_stat_activity WHERE datname = current_database()"
        f" AND application_name = 'store' {where}"
    )
    return [row["pid"] for row in rows]


async def until_waiting(watch: asyncpg.Connection, number: int = 1) -> list[int]:
    """The backends that wait for a lock, once there are so many."""
    async with asyncio.timeout(60):
        while len(found := await backends(watch, waiting=True)) < number:  # noqa: ASYNC110
            await asyncio.sleep(0.005)
    return found


async def kill(watch: asyncpg.Connection, pids: list[int]) -> None:
    """End these backends, and see them gone."""
    for pid in pids:
        await watch.execute("SELECT pg_terminate_backend($1)", pid)
    async with asyncio.timeout(60):
        while set(pids) & set(await backends(watch)):  # noqa: ASYNC110
            await asyncio.sleep(0.005)


class TestAway:
    async def test_refused_is_unavailable_and_it_heals_by_itself(
        self, stores: Stores, gate: Gate
    ) -> None:
        store = await stores(gate.url)
        user = await add_user(store)
        session = await open_session(store, user)
        await warm(store)
        await gate.shut()
        for work in (
            store.ping(),
            store.users.by_id(user.id),
            store.users.add(new_user(), happened()),
            store.users.change(user.id, always(revoke=True), happened()),
            store.sessions.revoke(session.id, happened()),
            store.changes.since(Cursor(), horizon=1000),
            store.keys.add_first([]),
            store.sweep(),
        ):
            with pytest.raises(Unavailable) as refused:
                await work
            assert refused.value.retry_after == 1
            assert refused.value.reason.startswith("database: ")
        await gate.open()
        assert await at_once(store.users.by_id(user.id) for _ in range(20)) == [user] * 20
        assert await store.users.change(user.id, always(revoke=True), happened())

    async def test_a_pool_of_dead_connections_is_not_noticed(
        self, pg: SqlStore, watch: asyncpg.Connection
    ) -> None:
        user = await add_user(pg)
        for _ in range(3):
            await warm(pg)
            dead = await backends(watch)
            assert len(dead) == POOL
            await kill(watch, dead)
            changed = await at_once(
                pg.users.change(user.id, always(supersede=True), happened()) for _ in range(8)
            )
            assert None not in changed
            await kill(watch, await backends(watch))
            assert await at_once(pg.users.by_email(user.email) for _ in range(8))
        found = await pg.users.by_id(user.id)
        assert found is not None
        assert found.ver == 24

    async def test_a_transaction_that_lost_its_connection_runs_again_once(
        self, pg: SqlStore, raw: asyncpg.Connection, watch: asyncpg.Connection
    ) -> None:
        user = await add_user(pg)
        asked: list[int] = []

        def count(present: User) -> UserChange:
            asked.append(present.ver)
            return UserChange(supersede=True)

        hold = raw.transaction()
        await hold.start()
        await raw.execute("LOCK TABLE audit_events")
        changing = asyncio.create_task(pg.users.change(user.id, count, happened("changed")))
        await kill(watch, await until_waiting(watch))
        await until_waiting(watch)
        await hold.rollback()
        changed = await changing
        assert changed is not None
        assert (changed.ver, asked) == (1, [0, 0])
        assert await audited(pg) == ["user.registered", "changed"]

    async def test_twice_is_enough(
        self, pg: SqlStore, raw: asyncpg.Connection, watch: asyncpg.Connection
    ) -> None:
        async with raw.transaction():
            await raw.execute("LOCK TABLE users")
            adding = asyncio.create_task(pg.users.add(new_user(), happened()))
            await kill(watch, await until_waiting(watch))
            await kill(watch, await until_waiting(watch))
            with pytest.raises(Unavailable):
                await adding
        await add_user(pg)

    async def test_under_constant_deaths_every_answer_is_right_or_unavailable(
        self, pg: SqlStore, watch: asyncpg.Connection
    ) -> None:
        user = await add_user(pg)
        chance = random.Random(5)
        outcomes: Counter[str] = Counter()
        done = False

        async def massacre() -> None:
            while not done:
                for pid in await backends(watch):
                    if chance.random() < 0.2:
                        await watch.execute("SELECT pg_terminate_backend($1)", pid)
                await asyncio.sleep(0.02)

        async def work() -> None:
            for _ in range(8):
                try:
                    assert await pg.users.by_id(user.id) is not None
                    outcomes["read"] += 1
                    change = always(supersede=True)
                    assert await pg.users.change(user.id, change, happened("changed")) is not None
                    outcomes["changed"] += 1
                except Unavailable:
                    outcomes["unavailable"] += 1

        killing = asyncio.create_task(massacre())
        try:
            await at_once(work() for _ in range(POOL * 2))
        finally:
            done = True
            await killing
        found = await pg.users.by_id(user.id)
        assert found is not None
        # A commit may have happened although its answer was lost, but never the other way round.
        assert outcomes["changed"] <= found.ver <= outcomes["changed"] + outcomes["unavailable"]
        assert outcomes["changed"] > 0
        assert found.ver == len(await changes(pg)) == (await audited(pg)).count("changed")

    async def test_a_silent_server_is_given_up_on(self, stores: Stores, gate: Gate) -> None:
        store = await stores(gate.url, patience=1)
        user = await add_user(store)
        gate.freeze()
        start = time.perf_counter()
        outcomes = await asyncio.gather(
            store.ping(),
            store.users.change(user.id, always(revoke=True), happened()),
            *(store.users.by_id(user.id) for _ in range(POOL * 2)),
            return_exceptions=True,
        )
        # Besides our patience asyncpg takes two seconds to say goodbye.
        assert time.perf_counter() - start < 25
        assert {type(outcome) for outcome in outcomes} == {Unavailable}
        gate.thaw()
        found = await store.users.by_id(user.id)
        assert found is not None
        assert await store.users.change(user.id, always(revoke=True), happened())

    async def test_a_server_that_falls_silent_while_we_connect_is_given_up_on(
        self, stores: Stores, gate: Gate
    ) -> None:
        store = await stores(gate.url, patience=1)
        # What is asked on the first connection of all, without a limit of its own.
        gate.freeze_at(b"pg_catalog.version()")
        start = time.perf_counter()
        outcomes = await asyncio.gather(
            *(store.ping() for _ in range(POOL * 2)), return_exceptions=True
        )
        assert time.perf_counter() - start < 25
        assert {type(outcome) for outcome in outcomes} == {Unavailable}
        gate.thaw()
        await at_once(store.ping() for _ in range(POOL * 2))

    async def test_an_exhausted_pool_is_waited_for_and_then_given_up(
        self,
        pg: SqlStore,
        stores: Stores,
        postgres_database: str,
        raw: asyncpg.Connection,
        watch: asyncpg.Connection,
    ) -> None:
        hasty = await stores(f"{postgres_database}?application_name=store", patience=1)
        user = await add_user(pg)

        def occupy(store: SqlStore) -> list[asyncio.Task[User | None]]:
            change = always(supersede=True)
            return [
                asyncio.create_task(store.users.change(user.id, change, happened()))
                for _ in range(POOL)
            ]

        async with raw.transaction():
            await raw.execute("SELECT FROM users FOR UPDATE")
            patient = occupy(pg)
            await until_waiting(watch, POOL)
            impatient = occupy(hasty)
            start = time.perf_counter()
            with pytest.raises(Unavailable):
                await at_once(hasty.ping() for _ in range(3))
            assert time.perf_counter() - start < 25
            outcomes = await asyncio.gather(*impatient, return_exceptions=True)
            assert {type(outcome) for outcome in outcomes} == {Unavailable}
        assert None not in await asyncio.gather(*patient)
        await hasty.ping()

    async def test_a_commit_in_doubt_is_not_repeated(self, stores: Stores, gate: Gate) -> None:
        store = await stores(gate.url)
        await store.ping()
        told: list[Any] = []
        store.database.on_commit = lambda events, changes: told.append(events)
        new = new_user()
        gate.lose_answer_to(b"COMMIT;")
        with pytest.raises(Unavailable, match="commit in doubt"):
            await store.users.add(new, happened("user.registered"))
        assert gate.lost == 1
        # It had in fact been committed; repeated, it would have found its own address taken.
        assert await store.users.by_id(new.id) is not None
        assert await audited(store) == ["user.registered"]
        assert told == []


class TestLosing:
    async def test_a_deadlock_is_resolved(self, stores: Stores, postgres_database: str) -> None:
        one, two = [await stores(f"{postgres_database}?deadlock_timeout=20ms") for _ in range(2)]
        users = [await add_user(one) for _ in range(2)]
        both_hold_one = asyncio.Barrier(2)
        touch = text("UPDATE users SET ver = ver + 1 WHERE id = :id")
        runs: list[SqlStore] = []

        async def cross(store: SqlStore, order: list[User]) -> None:
            async def work(tx: Transaction) -> None:
                runs.append(store)
                await tx.run(touch, {"id": order[0].id})
                if runs.count(store) == 1:
                    await both_hold_one.wait()
                await tx.run(touch, {"id": order[1].id})

            await store.database.write(work)

        await at_once([cross(one, users), cross(two, users[::-1])])
        assert len(runs) == 3  # one of the two fell victim and ran again
        for user in users:
            found = await one.users.by_id(user.id)
            assert found is not None
            assert found.ver == 2

    @pytest.mark.parametrize(
        ("state", "runs", "outcome"),
        [
            ("40001", 2, Unavailable),  # serialization failure
            ("40P01", 2, Unavailable),  # deadlock
            ("57P01", 2, Unavailable),  # shut down by the administrator
            ("08006", 2, Unavailable),  # connection failure
            ("53300", 1, Unavailable),  # too many connections
            ("53100", 1, Unavailable),  # disk full
            ("55P03", 1, Unavailable),  # lock timeout
            ("57014", 1, Unavailable),  # statement timeout
            ("25006", 1, Unavailable),  # a standby, which only reads
            ("58030", 1, Unavailable),  # disk broken
            ("28000", 1, Unavailable),  # our role was taken away
            ("22003", 1, DBAPIError),  # ours to answer for
            ("23514", 1, DBAPIError),
            ("42P01", 1, DBAPIError),
        ],
    )
    async def test_what_is_tried_again_and_what_is_unavailable(
        self, pg: SqlStore, state: str, runs: int, outcome: type[Exception]
    ) -> None:
        ran = 0
        fail = text(f"DO $$ BEGIN RAISE EXCEPTION 'no' USING ERRCODE = '{state}'; END $$")

        async def work(tx: Transaction) -> None:
            nonlocal ran
            ran += 1
            await tx.record(happened("half done"))
            await tx.run(fail)

        with pytest.raises(outcome):
            await pg.database.write(work)
        assert ran == runs
        assert await audited(pg) == []

    async def test_a_connection_the_driver_lost_track_of_is_not_used_again(
        self, pg: SqlStore
    ) -> None:
        pids: list[int] = []

        async def work(tx: Transaction) -> None:
            [[pid]] = await tx.rows(text("SELECT pg_backend_pid()"))
            pids.append(pid)
            if len(pids) == 1:
                raise InternalError("SELECT", {}, Exception("another operation is in progress"))

        await pg.database.write(work)
        await pg.database.write(work)
        assert pids[0] != pids[1] == pids[2]

    async def test_a_plan_that_a_migration_made_stale_is_made_anew(
        self, stores: Stores, postgres_url: str
    ) -> None:
        store = await stores(postgres_url)
        await store.open()
        user = await add_user(store)
        await at_once(store.users.by_id(user.id) for _ in range(POOL * 4))
        connection = await asyncpg.connect(postgres_url)
        await connection.execute("ALTER TABLE users ALTER COLUMN name TYPE varchar(300)")
        await connection.close()
        assert await at_once(store.users.by_id(user.id) for _ in range(POOL * 4))
        assert await store.users.change(user.id, always(revoke=True), happened())
