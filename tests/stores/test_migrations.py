"""The schema: where it comes from, that it is what the code believes, and what stops a start."""

import asyncio
import stat
import threading
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
from alembic.autogenerate import compare_metadata
from alembic.operations import Operations
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import JSON, Column, Connection, inspect, text

from authward.core.permissions import DEFAULT_ROLES, Role
from authward.core.sessions import Verdict
from authward.core.users import UserChange
from authward.errors import ConfigurationError
from authward.stores import migrate
from authward.stores.migrate import MIGRATIONS
from authward.stores.schema import SCHEMA_VERSION, metadata
from authward.stores.sql import SqlStore
from tests.contracts.fixtures import Stores
from tests.contracts.making import CLIENT, GRACE, TurnedClock, add_user, at_once, happened, silent


async def look(store: SqlStore, read: Any) -> Any:
    found: list[Any] = []
    await store.database.run_sync(lambda connection: found.append(read(connection)))
    return found[0]


async def set_version(store: SqlStore, version: str) -> None:
    def write(connection: Connection) -> None:
        connection.execute(text("UPDATE alembic_version SET version_num = :v"), {"v": version})

    await store.database.run_sync(write)


def default_differs(
    context: Any, inspected: Any, column: Column[Any], found: str | None, *wanted: Any
) -> bool | None:
    """PostgreSQL has no equality of JSON values to compare defaults by, and says their type."""
    if found is None or not isinstance(column.type, JSON):
        return None
    return found.removesuffix("::json") != f"'{wanted[-1]}'"


def write_as_of_0002(connection: Connection) -> None:
    """The schema before roles included others, with an account and a role of the operator's."""
    with Operations.context(MigrationContext.configure(connection)):
        for version in ("v0001", "v0002"):
            import_module(f"authward.stores.migrations.versions.{version}").upgrade()
    for statement in OF_0002:
        connection.execute(text(statement))


OF_0002 = (
    "INSERT INTO users (id, email, email_canonical, name, role, permissions, epoch, ver,"
    " password_hash, email_verified, created_at, search) VALUES ('user-0001', 'a@example.com',"
    " 'a@example.com', 'Ann', 'moderator', '[\"read:audit\"]', 1, 2, 'hash', true, 3, 'ann')",
    "INSERT INTO roles VALUES ('editor')",
    "INSERT INTO role_permissions VALUES ('editor', 'update:posts')",
    "INSERT INTO keys (kid, ring, algorithm, state, sealed, created_at)"
    " VALUES ('a-key-of-0002', 'csrf', 'HS256', 'signing', '', 7),"
    " ('b-key-of-0002', 'csrf', 'HS256', 'verifying', '', 8)",
    "INSERT INTO sessions (id, user_id, epoch, generation, rotated_at, kid, created_at, expires_at,"
    " auth_time, last_used_at, ip, user_agent) VALUES ('session-0001', 'user-0001', 1, 3, 5, 'one',"
    " 4, 9999999999999, 4, 5, '', '')",
    "CREATE TABLE alembic_version (version_num VARCHAR(32) NOT NULL PRIMARY KEY)",
    "INSERT INTO alembic_version VALUES ('0002')",
)


class TestSchema:
    async def test_a_database_of_0002_comes_along_with_what_it_holds(
        self, stores: Stores, database_url: str
    ) -> None:
        store = await stores(database_url)
        await store.database.prepare()
        await store.database.run_sync(write_as_of_0002)
        await store.open()
        ann = await store.users.by_id("user-0001")
        assert ann is not None
        assert (ann.role, ann.permissions, ann.ver) == ("moderator", ("read:audit",), 2)
        assert ann.additional_roles == ()
        assert await store.roles.all() == {
            **DEFAULT_ROLES,
            "editor": Role(frozenset({"update:posts"})),
        }
        since = [(key.kid, key.signing_at) for key in await store.keys.all()]
        assert since == [("a-key-of-0002", 7), ("b-key-of-0002", None)]
        # What signed its last generation is known, what signed those before is not asked.
        for generation, verdict in ((3, Verdict.ROTATE), (3, Verdict.OVERLAP), (2, Verdict.REUSED)):
            found = await store.sessions.refresh(
                "session-0001",
                generation,
                kid="one",
                grace=GRACE,
                client=CLIENT,
                event=silent,
                signed_by="one" if generation == 3 else "zero",
            )
            assert found is not None
            assert (found.verdict, found.session.kid_from) == (verdict, 3)
            assert found.session.kid_before is None
        changed = await store.users.change(
            ann.id, lambda user: UserChange({"additional_roles": ("editor",)}), happened()
        )
        assert changed is not None
        assert changed.additional_roles == ("editor",)

    async def test_the_migrations_lead_to_what_the_code_believes(
        self, stores: Stores, database_url: str
    ) -> None:
        store = await stores(database_url)
        await store.open()

        def differences(connection: Connection) -> list[Any]:
            context = MigrationContext.configure(
                connection, opts={"compare_type": True, "compare_server_default": default_differs}
            )
            found: list[Any] = compare_metadata(context, metadata)
            return found

        assert await look(store, differences) == []
        tables = set(await look(store, lambda connection: inspect(connection).get_table_names()))
        assert tables == {*metadata.tables, "alembic_version"}

    async def test_ids_of_the_feed_are_never_given_out_twice(
        self, stores: Stores, sqlite_url: str
    ) -> None:
        store = await stores(sqlite_url)
        await store.open()
        every = text("SELECT name, sql FROM sqlite_master WHERE type = 'table'")
        made = await store.database.read(every)
        counting = {row.name for row in made if "AUTOINCREMENT" in row.sql}
        assert counting == {"changes", "audit_events"}

    def test_the_last_migration_is_the_version_the_code_wants(self) -> None:
        script = ScriptDirectory(str(MIGRATIONS))
        assert script.get_heads() == [SCHEMA_VERSION]
        assert script.get_bases() == ["0001"]

    async def test_opening_again_changes_nothing(self, stores: Stores, database_url: str) -> None:
        store = await stores(database_url)
        await store.open()
        user = await add_user(store)
        await store.open()
        assert await store.users.by_id(user.id) == user
        version = text("SELECT version_num FROM alembic_version")
        assert [row[0] for row in await store.database.read(version)] == [SCHEMA_VERSION]

    async def test_a_migration_that_fails_leaves_nothing_behind(
        self, stores: Stores, database_url: str
    ) -> None:
        store = await stores(database_url)
        await store.database.prepare()

        def squat(connection: Connection) -> None:
            connection.execute(text("CREATE TABLE role_permissions (mine INTEGER)"))

        await store.database.run_sync(squat)
        with pytest.raises(ConfigurationError, match="role_permissions"):
            await store.open()
        tables = await look(store, lambda connection: inspect(connection).get_table_names())
        assert tables == ["role_permissions"]


class TestMany:
    async def test_different_databases_may_be_opened_at_once(
        self, stores: Stores, database_url: str, tmp_path: Path
    ) -> None:
        several = [await stores(f"sqlite:///{tmp_path / name}.db") for name in "abc"]
        several.append(await stores(database_url))
        await at_once(store.open() for store in several)
        for store in several:
            await add_user(store, "ann@example.com")

    def test_and_from_several_threads(self, tmp_path: Path) -> None:
        failed: list[BaseException] = []

        async def start(number: int) -> None:
            store = SqlStore(f"sqlite:///{tmp_path / str(number % 2)}.db", TurnedClock())
            await store.open()
            await store.ping()
            await store.close()

        def run(number: int) -> None:
            try:
                asyncio.run(start(number))
            except BaseException as error:
                failed.append(error)

        threads = [threading.Thread(target=run, args=(number,)) for number in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert failed == []


class TestRefusing:
    async def test_a_newer_database(self, stores: Stores, database: str) -> None:
        store = await stores(database)
        await set_version(store, "9999")
        try:
            with pytest.raises(ConfigurationError) as refused:
                await store.open()
            assert "9999" in str(refused.value)
            assert "Upgrade Authward" in str(refused.value)
        finally:
            await set_version(store, SCHEMA_VERSION)
        await store.open()

    async def test_a_database_too_old(
        self, store: SqlStore, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        await store.open()
        monkeypatch.setattr(migrate, "OLDEST", {"sqlite": (99, 1), "postgresql": (99, 1)})
        with pytest.raises(ConfigurationError, match=r"is too old\. Use \w+ 99\.1 or later"):
            await store.open()

    async def test_a_version_table_without_a_version(
        self, stores: Stores, database_url: str
    ) -> None:
        store = await stores(database_url)
        await store.open()

        def forget(connection: Connection) -> None:
            connection.execute(text("DELETE FROM alembic_version"))

        await store.database.run_sync(forget)
        with pytest.raises(ConfigurationError, match="already exists"):
            await store.open()

    async def test_a_folder_that_is_not_there(self, stores: Stores, tmp_path: Path) -> None:
        with pytest.raises(ConfigurationError, match=r"no-such.* does not exist\. Make it"):
            await stores(f"sqlite:///{tmp_path}/no-such/authward.db")

    async def test_a_directory(self, stores: Stores, tmp_path: Path) -> None:
        store = await stores(f"sqlite:///{tmp_path}")
        with pytest.raises(ConfigurationError, match="database_url"):
            await store.open()

    async def test_a_file_that_is_no_database(self, stores: Stores, tmp_path: Path) -> None:
        path = tmp_path / "notes.txt"
        path.write_text("dear diary\n" * 1000)
        store = await stores(f"sqlite:///{path}")
        with pytest.raises(ConfigurationError, match="not a database"):
            await store.open()
        assert path.read_text() == "dear diary\n" * 1000

    @pytest.mark.parametrize(
        "url",
        [
            "postgresql://someone:hunter2@127.0.0.1:1/none",
            "postgresql://someone:hunter2@127.0.0.1:port/none",
            "postgresql://someone:hunter2@127.0.0.1:1/none?sslmode=perhaps",
        ],
    )
    async def test_a_postgresql_out_of_reach(self, stores: Stores, url: str) -> None:
        store = await stores(url)
        with pytest.raises(ConfigurationError, match=r"database_url: .*Is it running") as refused:
            await store.open()
        assert "hunter2" not in str(refused.value)

    @pytest.mark.postgres
    async def test_a_postgresql_database_that_is_not_there(
        self, stores: Stores, postgres_url: str
    ) -> None:
        store = await stores(f"{postgres_url}_gone")
        with pytest.raises(ConfigurationError, match=r'database_url: .*_gone" does not exist'):
            await store.open()

    async def test_postgresql_without_its_driver(
        self, stores: Stores, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setitem(__import__("sys").modules, "asyncpg", None)
        with pytest.raises(ConfigurationError, match="pip install asyncpg"):
            await stores("postgresql://127.0.0.1/authward")


class TestSqliteFile:
    @pytest.mark.parametrize("name", ["plain.db", "with space.db", "50%25.db", "é&=+.db"])
    async def test_it_lies_where_the_address_says(
        self, stores: Stores, tmp_path: Path, name: str
    ) -> None:
        store = await stores(f"sqlite:///{tmp_path / name}")
        await store.open()
        user = await add_user(store)
        assert await store.users.by_id(user.id) == user
        assert (tmp_path / name).stat().st_size > 0

    async def test_others_may_not_read_it(self, stores: Stores, tmp_path: Path) -> None:
        path = tmp_path / "test.db"
        store = await stores(f"sqlite:///{path}")
        await store.open()
        await add_user(store)
        for left in tmp_path.glob("test.db*"):
            assert stat.S_IMODE(left.stat().st_mode) == 0o600, left

    async def test_it_is_in_wal_mode_and_safe_from_a_power_loss(
        self, stores: Stores, sqlite_url: str
    ) -> None:
        store = await stores(sqlite_url)
        await store.open()

        def settings(connection: Connection) -> list[Any]:
            names = ("journal_mode", "synchronous", "foreign_keys")
            return [connection.execute(text(f"PRAGMA {name}")).scalar() for name in names]

        assert await look(store, settings) == ["wal", 2, 1]

    async def test_a_relative_address_is_from_the_working_directory(
        self, stores: Stores, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.chdir(tmp_path)
        store = await stores("sqlite:///here.db")
        monkeypatch.chdir("/")
        await store.open()
        assert (tmp_path / "here.db").exists()
