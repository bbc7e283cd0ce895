"""All of a transaction or nothing: when a write fails, a caller goes, a process is killed."""

import asyncio
import random
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection, text
from sqlalchemy.exc import DBAPIError

from authward.core.audit import Event
from authward.core.sessions import Verdict
from authward.errors import Forbidden
from authward.ports import Change, Store
from authward.stores.sql import SqlStore
from authward.stores.transactions import Transaction
from tests.contracts.making import (
    CLIENT,
    DELETE,
    add_user,
    always,
    at_once,
    audited,
    changes,
    happened,
    new_session,
    new_user,
    open_session,
    plain,
    verdict,
)


async def execute(store: SqlStore, statement: str) -> None:
    def run(connection: Connection) -> None:
        connection.execute(text(statement))

    await store.database.run_sync(run)


@asynccontextmanager
async def without(store: SqlStore, table: str) -> AsyncIterator[None]:
    """No statement on `table` works."""
    await execute(store, f"ALTER TABLE {table} RENAME TO hidden")
    try:
        yield
    finally:
        await execute(store, f"ALTER TABLE hidden RENAME TO {table}")


async def everything(store: SqlStore) -> list[Any]:
    tables = ("users", "sessions", "changes", "audit_events", "keys")
    return [await store.database.read(text(f"SELECT * FROM {name} ORDER BY 1")) for name in tables]


class TestWhatIsToldAndWhatIsDone:
    @pytest.mark.parametrize("missing", ["audit_events", "changes"])
    async def test_are_one_transaction(self, store: SqlStore, missing: str) -> None:
        user = await add_user(store)
        session, other = [await open_session(store, user) for _ in range(2)]
        await verdict(store, other, 0, grace=0)
        await verdict(store, other, 1, grace=0)
        told: list[Any] = []
        store.database.on_commit = lambda events, announced: told.append((events, announced))

        async def reuse() -> None:
            tell: Callable[..., Event] = lambda *_: happened()  # noqa: E731
            await store.sessions.refresh(other.id, 0, kid="k", grace=0, client=CLIENT, event=tell)

        works = {
            "change": lambda: store.users.change(user.id, always(revoke=True), happened()),
            "supersede": lambda: store.users.change(user.id, always(supersede=True), happened()),
            "delete": lambda: store.users.change(user.id, DELETE, happened()),
            "replace": lambda: store.sessions.open(
                new_session(user), happened(), replaces=session.id
            ),
            "revoke": lambda: store.sessions.revoke(session.id, happened()),
            "reuse": reuse,
        }
        if missing == "audit_events":
            works["add"] = lambda: store.users.add(new_user(), happened())
        before = await everything(store)
        async with without(store, missing):
            for name, work in works.items():
                with pytest.raises(DBAPIError, match=missing):
                    await work()
                assert told == [], name
        assert await everything(store) == before

    async def test_the_process_hears_of_them_after_the_commit(self, store: SqlStore) -> None:
        user = await add_user(store)
        session = await open_session(store, user)
        told: list[tuple[list[str], list[Any]]] = []

        def hear(events: Sequence[Event], announced: Sequence[Change]) -> None:
            told.append(([event.kind for event in events], [plain(one) for one in announced]))

        store.database.on_commit = hear
        await store.sessions.revoke(session.id, happened("logout"))
        assert told == [(["logout"], [("session.revoked", session.id, 0, None)])]
        assert told[0][1] == await changes(store)
        await store.users.change(user.id, always(revoke=True, supersede=True), happened("reset"))
        assert told[1] == (
            ["reset"],
            [("user.revoked", user.id, 1, None), ("user.superseded", user.id, 1, None)],
        )
        del told[:]
        assert await store.sessions.revoke(session.id, happened()) is None
        with pytest.raises(Forbidden):
            await store.users.change(user.id, _refuse, happened())
        assert told in ([], [([], [])])


def _refuse(user: object) -> Any:
    raise Forbidden


class TestCancelling:
    async def test_a_caller_that_goes_leaves_no_lock_and_no_half_transaction(
        self, store: SqlStore, other: SqlStore
    ) -> None:
        chance = random.Random(3)
        user = await add_user(store)
        given_up = 0
        for _ in range(40):
            works = [
                asyncio.create_task(store.users.add(new_user(), happened("user.registered"))),
                asyncio.create_task(
                    store.users.change(user.id, always(supersede=True), happened("changed"))
                ),
                asyncio.create_task(store.users.by_id(user.id)),
            ]
            await asyncio.sleep(chance.random() * 0.008)
            for work in works:
                work.cancel()
            outcomes = await asyncio.gather(*works, return_exceptions=True)
            given_up += sum(isinstance(one, asyncio.CancelledError) for one in outcomes)
            assert all(one is None or not isinstance(one, Exception) for one in outcomes)
        assert given_up > 10
        async with asyncio.timeout(60):
            changed = await store.users.change(user.id, always(revoke=True), happened("last"))
            await store.close()
        kinds = await audited(other)
        found = await other.users.by_id(user.id)
        assert changed is not None
        assert found is not None
        assert found.ver == kinds.count("changed") + 1 == len(await changes(other))
        assert len((await everything(other))[0]) == kinds.count("user.registered")

    async def test_one_that_goes_while_queueing_takes_nobody_along(self, store: SqlStore) -> None:
        for _ in range(5):
            works = [
                asyncio.create_task(store.users.add(new_user(), happened("user.registered")))
                for _ in range(30)
            ]
            await asyncio.sleep(0.01)
            for work in works[::2]:
                work.cancel()
            outcomes = await asyncio.gather(*works, return_exceptions=True)
            assert not any(isinstance(one, Exception) for one in outcomes)
            assert all(outcomes[1::2])

    async def test_closing_waits_for_what_was_left_behind(
        self, store: SqlStore, other: SqlStore
    ) -> None:
        user = await add_user(store)
        going = asyncio.create_task(
            store.users.change(user.id, always(revoke=True), happened("changed"))
        )
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        going.cancel()
        await store.close()
        assert going.cancelled()
        assert await changes(other) == [("user.revoked", user.id, 1, None)]


HALF = """import asyncio, sys
from authward.core.audit import Client, Event
from authward.core.chain import AuditKeys
from authward.ports import Change
from authward.stores.sql import SqlStore
from sqlalchemy import Connection, text

class Clock:
    offset_ms = 0

    def now(self):
        return 0.0

async def main(url):
    store = SqlStore(url, Clock())
    store.audit.use(AuditKeys("kid-of-tests", {"kid-of-tests": bytes(32)}))

    async def work(tx):
        await tx.run(text("UPDATE users SET ver = ver + 1, epoch = epoch + 1"))
        await tx.announce(Change("user.revoked", "half", 1, None, 0))
        await tx.record(Event("half", Client()))
        print("half done", flush=True)
        await asyncio.sleep(60)

    await store.database.write(work)

asyncio.run(main(sys.argv[1]))
"""


class TestKilling:
    async def test_a_process_killed_halfway_leaves_nothing_and_holds_nobody_up(
        self, store: SqlStore, database: str, tmp_path: Path
    ) -> None:
        user = await add_user(store)
        session = await open_session(store, user)
        before = await everything(store)
        with subprocess.Popen(
            [sys.executable, "-c", HALF, database], stdout=subprocess.PIPE, text=True
        ) as process:
            assert process.stdout is not None
            line = await asyncio.to_thread(process.stdout.readline)
            assert line == "half done\n"
            waiting = asyncio.create_task(
                store.users.change(user.id, always(supersede=True), happened("changed"))
            )
            await asyncio.sleep(0.05)
            assert not waiting.done()
            process.send_signal(signal.SIGKILL)
        async with asyncio.timeout(50):
            changed = await waiting
        assert changed is not None
        assert (changed.ver, changed.epoch) == (1, 0)
        assert await audited(store) == ["user.registered", "login.ok", "changed"]
        assert len(await changes(store)) == 1
        assert before[1] == (await everything(store))[1]
        assert await verdict(store, session, 0) is Verdict.SAME


class TestWork:
    async def test_what_it_raises_rolls_back_and_comes_through(self, store: SqlStore) -> None:
        async def work(tx: Transaction) -> None:
            await tx.record(happened("half done"))
            raise LookupError("mine")

        with pytest.raises(LookupError, match="mine"):
            await store.database.write(work)
        assert await audited(store) == []

    async def test_parallel_readers_see_all_or_nothing(self, store: Store, other: Store) -> None:
        user = await add_user(store)

        async def write() -> None:
            for _ in range(15):
                await store.users.change(user.id, always(revoke=True), happened("changed"))

        async def read() -> None:
            for _ in range(30):
                feed = len({ver for _, _, ver, _ in await changes(other)})
                found = await other.users.by_id(user.id)
                rows = (await audited(other)).count("changed")
                assert found is not None
                # Each was read later than the one before.
                assert feed <= found.ver <= rows

        await at_once([write(), read(), read()])


class TestTheEndOfALoop:
    """It cancels each of its tasks: also the one that gives a connection back, which SQLAlchemy
    makes for that, and which may not have begun.
    """

    async def test_no_connection_is_lost(self, store: SqlStore) -> None:
        loop = asyncio.get_running_loop()
        cancelled: list[asyncio.Task[Any]] = []

        def factory(loop: Any, work: Any, **named: Any) -> Any:
            made = asyncio.Task(work, loop=loop, **named)
            if getattr(work, "__qualname__", "") == "AsyncConnection.close":
                cancelled.append(made)
                made.cancel()
            return made

        loop.set_task_factory(factory)
        try:
            for work in (store.ping(), store.audit.record([happened()])):
                with pytest.raises(asyncio.CancelledError):
                    await work
        finally:
            loop.set_task_factory(None)
        assert len(cancelled) == 2
        assert all(task.cancelled() for task in cancelled)
        lent = (store.database._reader, store.database._writer)
        pools: list[Any] = [engine.sync_engine.pool for engine in lent]
        assert [pool.checkedout() for pool in pools] == [0, 0]
        await store.ping()
