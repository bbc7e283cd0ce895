"""SQLite's file gone, locked, full, broken: Unavailable, never a hang, and well again by itself."""

import shutil
import sqlite3
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from authward.core.users import User
from authward.errors import Unavailable
from authward.ports import Cursor
from authward.stores.sql import SqlStore
from tests.contracts.fixtures import Stores
from tests.contracts.making import (
    add_user,
    always,
    at_once,
    audited,
    happened,
    new_user,
    open_session,
)

LOCK = """import sqlite3, sys
connection = sqlite3.connect(sys.argv[1], isolation_level=None)
for statement in sys.argv[2:]: connection.execute(statement).fetchall()
print("held", flush=True)
sys.stdin.read()
"""


@contextmanager
def another_process(path: Path, *statements: str) -> Iterator[None]:
    """Another process runs `statements` on the file and stays."""
    with subprocess.Popen(
        [sys.executable, "-c", LOCK, str(path), *statements],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "held\n"
        try:
            yield
        finally:
            process.communicate()


@pytest.fixture
def path(sqlite_database: str) -> Path:
    return Path(sqlite_database.removeprefix("sqlite:///"))


@pytest.fixture
async def lite(stores: Stores, sqlite_database: str) -> SqlStore:
    return await stores(sqlite_database, patience=0.3)


def writes(store: SqlStore, user: User) -> list[Callable[[], Awaitable[object]]]:
    return [
        lambda: store.users.add(new_user(), happened()),
        lambda: store.users.change(user.id, always(revoke=True), happened()),
        lambda: store.sessions.revoke("nowhere", happened()),
        lambda: store.keys.add_first([]),
        lambda: store.audit.record([happened()]),
        store.sweep,
    ]


def reads(store: SqlStore, user: User) -> list[Callable[[], Awaitable[object]]]:
    return [
        lambda: store.users.by_id(user.id),
        lambda: store.changes.since(Cursor(), horizon=1000),
        lambda: store.changes.roles(),
        store.ping,
    ]


async def all_unavailable(works: list[Callable[[], Awaitable[object]]]) -> None:
    for work in works:
        start = time.perf_counter()
        with pytest.raises(Unavailable) as refused:
            await work()
        assert time.perf_counter() - start < 9  # not the ten seconds of everybody else
        assert refused.value.retry_after == 1
        assert refused.value.reason.startswith("database: ")


class TestLocked:
    async def test_a_lock_held_too_long_is_given_up_on_and_reads_go_on(
        self, lite: SqlStore, path: Path
    ) -> None:
        user = await add_user(lite)
        with another_process(path, "BEGIN IMMEDIATE"):
            await all_unavailable(writes(lite, user))
            assert await lite.users.by_id(user.id) == user
        assert await lite.users.change(user.id, always(revoke=True), happened("changed"))
        assert await audited(lite) == ["user.registered", "changed"]

    async def test_a_lock_held_for_a_while_is_waited_for(
        self, stores: Stores, sqlite_database: str
    ) -> None:
        store = await stores(sqlite_database)
        held = sqlite3.connect(sqlite_database.removeprefix("sqlite:///"), isolation_level=None)
        held.execute("BEGIN IMMEDIATE")
        user, *_ = await at_once([add_user(store), _later(held), add_user(store)])
        assert isinstance(user, User)
        held.close()

    async def test_a_process_that_keeps_the_file_to_itself(
        self, stores: Stores, sqlite_database: str, path: Path
    ) -> None:
        store = await stores(sqlite_database, patience=0.3)
        user = await add_user(store)
        await store.close()  # or it could not be had alone
        with another_process(path, "PRAGMA locking_mode=EXCLUSIVE", "BEGIN IMMEDIATE"):
            await all_unavailable(reads(store, user) + writes(store, user))
        await add_user(store)

    async def test_the_queue_for_the_writer_is_bounded_too(
        self, lite: SqlStore, path: Path
    ) -> None:
        with another_process(path, "BEGIN IMMEDIATE"):
            start = time.perf_counter()
            works = [lite.audit.record([happened()]) for _ in range(50)]
            outcomes = await at_once(_outcome(work) for work in works)
            assert set(outcomes) == {Unavailable}
            assert time.perf_counter() - start < 9  # not the ten seconds of everybody else
        await add_user(lite)


async def _later(held: sqlite3.Connection) -> None:
    held.execute("CREATE TABLE meanwhile (x)")
    held.execute("COMMIT")


async def _outcome(work: Awaitable[object]) -> type:
    try:
        await work
    except Exception as error:
        return type(error)
    return type(None)


class TestGone:
    async def test_a_directory_in_its_place(self, lite: SqlStore, path: Path) -> None:
        user = await add_user(lite)
        await lite.ping()
        path.rename(path.with_suffix(".away"))
        path.mkdir()
        await all_unavailable(reads(lite, user) + writes(lite, user))
        path.rmdir()
        path.with_suffix(".away").rename(path)
        assert await lite.users.by_id(user.id) == user
        assert await lite.users.change(user.id, always(revoke=True), happened("changed"))
        assert await audited(lite) == ["user.registered", "changed"]

    async def test_a_file_moved_away_is_not_written_to_nor_made_anew(
        self, lite: SqlStore, path: Path
    ) -> None:
        user = await add_user(lite)
        await lite.ping()
        away = path.rename(path.with_suffix(".away"))
        await all_unavailable(writes(lite, user) + reads(lite, user))
        assert not path.exists()
        away.rename(path)
        assert await audited(lite) == ["user.registered"]

    async def test_a_backup_put_in_its_place_is_what_counts_from_then_on(
        self, lite: SqlStore, path: Path, migrated_sqlite: Path
    ) -> None:
        lost = await add_user(lite)
        await lite.ping()
        copy = path.with_suffix(".copy")
        shutil.copyfile(migrated_sqlite, copy)
        for left in (path, path.with_name("test.db-wal"), path.with_name("test.db-shm")):
            left.unlink(missing_ok=True)
        copy.rename(path)
        assert await lite.users.by_id(lost.id) is None
        user = await add_user(lite)
        assert await lite.users.by_id(user.id) == user

    @pytest.mark.parametrize("content", [b"not a database at all" * 1000, b""])
    async def test_something_else_in_its_place_is_never_an_answer(
        self, lite: SqlStore, path: Path, content: bytes
    ) -> None:
        await lite.ping()
        for left in (path, path.with_name("test.db-wal"), path.with_name("test.db-shm")):
            left.unlink(missing_ok=True)
        path.write_bytes(content)
        for work in (lite.ping(), lite.users.by_email("a@b"), lite.audit.record([happened()])):
            with pytest.raises(Exception, match=r"unavailable|database: |no such table"):
                await work

    async def test_a_store_never_opened_makes_no_file(
        self, stores: Stores, sqlite_url: str
    ) -> None:
        store = await stores(sqlite_url)
        with pytest.raises(Unavailable):
            await store.ping()
        assert not Path(sqlite_url.removeprefix("sqlite:///")).exists()


class TestFull:
    async def test_a_full_disk_is_unavailable_until_there_is_room(self, lite: SqlStore) -> None:
        user = await add_user(lite)

        async def limit(pages: int) -> None:
            # The writer is one connection: what is set on it stays.
            async with lite.database._writer.connect() as connection:
                await connection.exec_driver_sql(f"PRAGMA max_page_count={pages}")

        await limit(1)
        with pytest.raises(Unavailable):
            await add_user(lite, name="long" * 10_000)
        await limit(1_000_000)
        await add_user(lite, name="long" * 10_000)
        await open_session(lite, user)
        assert await audited(lite) == ["user.registered", "user.registered", "login.ok"]
