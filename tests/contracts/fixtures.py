"""Stores on SQLite and on PostgreSQL, each on a fresh copy of a migrated database."""

import asyncio
import shutil
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from authward.stores.sql import SqlStore
from tests.contracts.making import AUDIT_KEYS, TurnedClock
from tests.postgres import Admin, drop_database, fresh_database

ROLES_AS_AT_FIRST = (
    "DELETE FROM role_includes",
    "DELETE FROM role_permissions",
    "DELETE FROM roles WHERE name NOT IN ('admin', 'moderator', 'user')",
    "INSERT INTO roles VALUES ('admin'), ('moderator'), ('user') ON CONFLICT DO NOTHING",
    "INSERT INTO role_permissions VALUES ('admin', '*:*'), ('moderator', 'read:users'),"
    " ('moderator', 'update:users')",
)
AUDIT = ("audit_events", "audit_writers", "audit_checkpoints")
Stores = Callable[..., Awaitable[SqlStore]]


async def _migrate(url: str) -> None:
    store = SqlStore(url, TurnedClock())
    await store.open()
    await store.close()


@pytest.fixture(scope="session")
def migrated_postgres() -> Iterator[Admin]:
    url = fresh_database()
    asyncio.run(_migrate(url))
    inside = Admin(url)
    yield inside
    inside.close(tidy=False)
    drop_database(url)


@pytest.fixture(scope="session")
def migrated_sqlite(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("migrated") / "test.db"
    asyncio.run(_migrate(f"sqlite:///{path}"))
    return path


@pytest.fixture
def postgres_database(migrated_postgres: Admin) -> str:
    """A migrated PostgreSQL database. Swept, not made anew: that takes a tenth of the time."""
    migrated_postgres.execute(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
        " WHERE datname = current_database() AND pid <> pg_backend_pid()"
    )
    for table in ("sessions", "users", "keys", "changes", "rate_limits", *AUDIT):
        migrated_postgres.execute(f"DELETE FROM {table}")
    for statement in ROLES_AS_AT_FIRST:
        migrated_postgres.execute(statement)
    return migrated_postgres.url


@pytest.fixture
def sqlite_database(migrated_sqlite: Path, tmp_path: Path) -> str:
    """A migrated SQLite file."""
    path = tmp_path / "test.db"
    shutil.copyfile(migrated_sqlite, path)
    return f"sqlite:///{path}"


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.postgres)])
def database(request: pytest.FixtureRequest) -> str:
    """A migrated database of each kind we promise to run on."""
    name = "sqlite_database" if request.param == "sqlite" else "postgres_database"
    url: str = request.getfixturevalue(name)
    return url


@pytest.fixture
def clock() -> TurnedClock:
    return TurnedClock()


@pytest.fixture
async def stores(clock: TurnedClock, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Stores]:
    """Makes stores, as many on one database as a test wants: each has connections of its own,
    like another process.
    """
    # To connect takes PostgreSQL 20 ms, more than most of these tests.
    monkeypatch.setattr("authward.stores.database.POSTGRESQL_POOL", 5)
    async with AsyncExitStack() as stack:

        async def make(url: str, **options: float) -> SqlStore:
            store = SqlStore(url, clock, **options)
            store.audit.use(AUDIT_KEYS)
            stack.push_async_callback(store.close)
            return store

        yield make


@pytest.fixture
async def store(stores: Stores, database: str) -> SqlStore:
    return await stores(database)


@pytest.fixture
async def other(stores: Stores, database: str) -> SqlStore:
    """A second store on the database of `store`."""
    return await stores(database)
