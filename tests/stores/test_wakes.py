"""Changes pushed from process to process: what reaches a feed long before it would have looked,
and what becomes of it when the one who pushes is away.
"""

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from typing import Any

import asyncpg
import pytest

from authward.errors import TokenRevoked
from authward.ports import Change, ChangeBatch, Cursor, Wakes
from authward.services.feed import Feed
from authward.stores.listening import PostgresWakes
from authward.stores.publishing import RedisWakes
from authward.stores.sql import SqlStore
from tests.contracts.fixtures import Stores
from tests.contracts.making import TurnedClock
from tests.redis import Server

NEVER = 3600.0
"""An interval that no test waits for: what arrives was pushed."""
LISTENERS = """SELECT pid FROM pg_stat_activity
WHERE datname = current_database() AND query LIKE 'LISTEN%'"""


class Counting:
    """A store's feed that counts its reads."""

    def __init__(self, store: SqlStore) -> None:
        self.store = store
        self.reads = 0

    async def since(self, cursor: Cursor, *, horizon: int) -> ChangeBatch:
        self.reads += 1
        return await self.store.changes.since(cursor, horizon=horizon)

    async def roles(self) -> Any:
        return await self.store.changes.roles()

    async def announce(self, changes: Any) -> None:
        raise AssertionError("a reader writes nothing")


class Follower:
    """Another process's feed and what wakes it."""

    def __init__(self, feed: Feed, changes: Counting, wakes: Wakes) -> None:
        self.feed = feed
        self.changes = changes
        self.wakes = wakes


Follow = Callable[..., Awaitable[Follower]]


@pytest.fixture
async def follow(clock: TurnedClock, stores: Stores) -> AsyncIterator[Follow]:
    async with AsyncExitStack() as stack:

        async def follow(url: str, wakes: Wakes, *, interval: float = NEVER) -> Follower:
            changes = Counting(await stores(url))
            feed = Feed(
                changes,
                clock,
                interval=interval,
                max_lag=60,
                horizon=3600,
                on_scheme=lambda prefix: None,
            )
            await feed.start()
            stack.push_async_callback(feed.stop)
            await wakes.start(feed.wake)
            stack.push_async_callback(wakes.stop)
            return Follower(feed, changes, wakes)

        yield follow


async def until(true: Callable[[], object], seconds: float = 60) -> None:
    async with asyncio.timeout(seconds):
        while not true():  # noqa: ASYNC110
            await asyncio.sleep(0.002)


def knows(follower: Follower, session: str) -> bool:
    try:
        follower.feed.revocations.check("ada", session, 1, 0, ("user",))
    except TokenRevoked:
        return True
    return False


async def revoke(store: SqlStore, session: str, *told: Wakes) -> None:
    await store.changes.announce([Change("session.revoked", session, 0, None, 0)])
    for wakes in told:
        wakes.tell()


@pytest.mark.postgres
class TestPostgres:
    @pytest.fixture
    async def operator(self, postgres_database: str) -> AsyncIterator[Any]:
        connection = await asyncpg.connect(postgres_database)
        yield connection
        await connection.close()

    async def listener(self, operator: Any) -> int:
        """The one there is, once those of tests before are gone."""
        async with asyncio.timeout(60):
            while len(found := await operator.fetch(LISTENERS)) != 1:  # noqa: ASYNC110
                await asyncio.sleep(0.005)
        return int(found[0]["pid"])

    async def test_a_commit_reaches_another_process_at_once(
        self, stores: Stores, postgres_database: str, follow: Follow
    ) -> None:
        writer = await stores(postgres_database)
        other = await follow(postgres_database, PostgresWakes(postgres_database))
        await until(lambda: other.changes.reads == 2)
        await revoke(writer, "gone")
        await until(lambda: knows(other, "gone"))

    async def test_what_is_rolled_back_is_not_told(
        self, stores: Stores, postgres_database: str, follow: Follow
    ) -> None:
        writer = await stores(postgres_database)
        other = await follow(postgres_database, PostgresWakes(postgres_database))
        await until(lambda: other.changes.reads == 2)

        async def undone(tx: Any) -> None:
            await tx.announce(Change("session.revoked", "never", 0, None, 0))
            raise LookupError

        with pytest.raises(LookupError):
            await writer.database.write(undone)
        await revoke(writer, "told")
        await until(lambda: knows(other, "told"))
        assert not knows(other, "never")
        assert other.changes.reads == 3

    async def test_a_connection_that_was_cut_is_made_anew(
        self,
        stores: Stores,
        postgres_database: str,
        follow: Follow,
        operator: Any,
        caplog: pytest.LogCaptureFixture,
    ) -> None:
        writer = await stores(postgres_database)
        other = await follow(postgres_database, PostgresWakes(postgres_database))
        await until(lambda: other.changes.reads == 2)
        cut = await self.listener(operator)
        await operator.execute("SELECT pg_terminate_backend($1)", cut)
        # It reads once it listens again: what came between was told to nobody.
        await until(lambda: other.changes.reads == 3)
        anew = await self.listener(operator)
        assert anew != cut
        await revoke(writer, "gone")
        await until(lambda: knows(other, "gone"))
        told = [one.message for one in caplog.records if one.name == "authward.feed"]
        assert len(told) == 2
        assert "not pushed" in told[0]
        assert "again" in told[1]

    async def test_where_nobody_pushes_the_interval_is_the_floor(
        self, stores: Stores, postgres_database: str, follow: Follow
    ) -> None:
        writer = await stores(postgres_database)
        nowhere = PostgresWakes("postgresql://nobody:x@127.0.0.1:1/none", patience=0.5)
        other = await follow(postgres_database, nowhere, interval=0.25)
        await revoke(writer, "gone")
        await until(lambda: knows(other, "gone"))

    async def test_it_is_one_connection_and_goes_with_its_process(
        self, postgres_database: str, operator: Any
    ) -> None:
        heard: list[None] = []
        wakes = PostgresWakes(postgres_database)
        await wakes.start(lambda: heard.append(None))
        await until(lambda: heard)
        pid = await self.listener(operator)
        await wakes.stop()
        gone = "SELECT count(*) FROM pg_stat_activity WHERE pid = $1"
        async with asyncio.timeout(60):
            while await operator.fetchval(gone, pid):  # noqa: ASYNC110
                await asyncio.sleep(0.01)

    async def test_a_silent_connection_is_noticed(
        self, postgres_database: str, operator: Any, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        heard: list[None] = []
        wakes = PostgresWakes(postgres_database, sign_of_life=0.02)

        async def silent(self: Any, *_: Any, **__: Any) -> None:
            raise TimeoutError

        monkeypatch.setattr(asyncpg.Connection, "execute", silent)
        await wakes.start(lambda: heard.append(None))
        # Found dead, it is made anew.
        await until(lambda: len(heard) > 1)
        await wakes.stop()

    async def test_a_stop_in_the_moment_it_begins_to_listen(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """As of a command that is done at once. It would wait for its end for ever."""
        asked, answer = asyncio.Event(), asyncio.Event()

        class Connection:
            terminated = False

            def add_termination_listener(self, _: object) -> None: ...

            async def add_listener(self, *_: object) -> None:
                asked.set()
                await answer.wait()

            def terminate(self) -> None:
                self.terminated = True

        connection = Connection()

        async def connect(*_: object, **__: object) -> Connection:
            return connection

        monkeypatch.setattr(asyncpg, "connect", connect)
        wakes = PostgresWakes("postgresql://nowhere")
        await wakes.start(lambda: None)
        await asked.wait()
        answer.set()
        async with asyncio.timeout(60):
            await wakes.stop()
        assert connection.terminated


class TestRedis:
    async def test_a_commit_reaches_another_process_at_once(
        self, stores: Stores, sqlite_database: str, follow: Follow, redis_url: str
    ) -> None:
        writer = await stores(sqlite_database)
        other = await follow(sqlite_database, RedisWakes(redis_url, sqlite_database))
        ours = await follow(sqlite_database, RedisWakes(redis_url, sqlite_database))
        await until(lambda: other.changes.reads == 2)
        await revoke(writer, "gone", ours.wakes)
        await until(lambda: knows(other, "gone"))

    async def test_installations_do_not_hear_each_other(
        self, sqlite_database: str, follow: Follow, redis_url: str
    ) -> None:
        ours = await follow(sqlite_database, RedisWakes(redis_url, f"ours {sqlite_database}"))
        other = await follow(sqlite_database, RedisWakes(redis_url, f"other {sqlite_database}"))
        await until(lambda: ours.changes.reads == other.changes.reads == 2)
        ours.wakes.tell()
        await until(lambda: ours.changes.reads == 3)
        assert other.changes.reads == 2

    async def test_a_server_that_was_started_anew(
        self,
        stores: Stores,
        sqlite_database: str,
        follow: Follow,
        redis_server: Server,
        caplog: pytest.LogCaptureFixture,
    ) -> None:
        writer = await stores(sqlite_database)
        other = await follow(sqlite_database, RedisWakes(redis_server.url, "x", patience=10))
        ours = await follow(sqlite_database, RedisWakes(redis_server.url, "x", patience=10))
        await until(lambda: ours.changes.reads == other.changes.reads == 2)
        await asyncio.to_thread(redis_server.stop)
        for number in range(20):
            await revoke(writer, f"away {number}", ours.wakes)
        assert not knows(other, "away 0")
        await asyncio.to_thread(redis_server.start)
        # It reads once it is subscribed again: what came between was told to nobody.
        await until(lambda: knows(other, "away 19"))
        await until(lambda: ours.changes.reads >= 3)
        await revoke(writer, "gone", ours.wakes)
        await until(lambda: knows(other, "gone"))
        told = [one.message for one in caplog.records if "not pushed" in one.message]
        assert len(told) == 2  # once each

    async def test_where_nobody_pushes_the_interval_is_the_floor(
        self, stores: Stores, sqlite_database: str, follow: Follow
    ) -> None:
        writer = await stores(sqlite_database)
        nowhere = RedisWakes("redis://127.0.0.1:1/0", "x", patience=0.2)
        other = await follow(sqlite_database, nowhere, interval=0.25)
        await revoke(writer, "gone", nowhere)
        await until(lambda: knows(other, "gone"))

    async def test_a_silent_server_is_given_up(
        self, redis_url: str, caplog: pytest.LogCaptureFixture
    ) -> None:
        async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await reader.read()
            writer.close()

        server = await asyncio.start_server(silent, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        wakes = RedisWakes(f"redis://127.0.0.1:{port}/0", "x", patience=0.1)
        with caplog.at_level(logging.WARNING):
            await wakes.start(lambda: None)
            wakes.tell()
            await until(lambda: caplog.records)
        await wakes.stop()
        server.close()
        assert len(caplog.records) == 1


async def test_many_words_during_a_read_mean_one_more(
    stores: Stores, sqlite_database: str, clock: TurnedClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    changes = Counting(await stores(sqlite_database))
    feed = Feed(
        changes, clock, interval=NEVER, max_lag=60, horizon=3600, on_scheme=lambda prefix: None
    )
    await feed.start()
    began, go = asyncio.Event(), asyncio.Event()
    since = changes.since

    async def slow(cursor: Cursor, *, horizon: int) -> ChangeBatch:
        began.set()
        await go.wait()
        return await since(cursor, horizon=horizon)

    monkeypatch.setattr(changes, "since", slow)
    feed.wake()
    await began.wait()
    for _ in range(100):
        feed.wake()
    go.set()
    await until(lambda: changes.reads == 3)
    await asyncio.sleep(0.05)
    assert changes.reads == 3
    await feed.stop()
