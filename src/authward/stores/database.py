"""Engines and transactions: SQLite with one writer a process, PostgreSQL with a pool."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from sqlalchemy import Executable, Row, event, insert
from sqlalchemy.engine.interfaces import DBAPIConnection
from sqlalchemy.exc import DBAPIError, SQLAlchemyError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.expression import ColumnElement, bindparam
from sqlalchemy.sql.functions import FunctionElement
from sqlalchemy.types import BigInteger

from authward.core.audit import Event
from authward.errors import ConfigurationError, Unavailable
from authward.ports import Change, Clock
from authward.stores.schema import audit_events, changes

BUSY_TIMEOUT_MS = 30_000
POOL_TIMEOUT_S = 30

OnCommit = Callable[[Sequence[Event], Sequence[Change]], None]


class _DatabaseTime(FunctionElement[int]):
    """Milliseconds since the epoch by the database's clock, at the moment the row is judged."""

    type = BigInteger()
    inherit_cache = True
    name = "database_time"


@compiles(_DatabaseTime, "sqlite")
def _sqlite_time(element: _DatabaseTime, compiler: SQLCompiler, **_: Any) -> str:
    return "CAST(ROUND((julianday('now') - 2440587.5) * 86400000.0) AS INTEGER)"


@compiles(_DatabaseTime, "postgresql")
def _postgresql_time(element: _DatabaseTime, compiler: SQLCompiler, **_: Any) -> str:
    # clock_timestamp, not now(): a transaction that waited for a lock must see the time after the wait.
    return "CAST(EXTRACT(EPOCH FROM clock_timestamp()) * 1000 AS BIGINT)"


class _TransactionId(FunctionElement[int]):
    type = BigInteger()
    inherit_cache = True
    name = "transaction_id"


@compiles(_TransactionId, "sqlite")
def _sqlite_xid(element: _TransactionId, compiler: SQLCompiler, **_: Any) -> str:
    return "0"


@compiles(_TransactionId, "postgresql")
def _postgresql_xid(element: _TransactionId, compiler: SQLCompiler, **_: Any) -> str:
    return "CAST(CAST(pg_current_xact_id() AS TEXT) AS BIGINT)"


NOW: ColumnElement[int] = _DatabaseTime() + bindparam("clock_offset", type_=BigInteger())
"""Database time plus the clock's offset; every statement of a transaction is given `clock_offset`."""


class Transaction:
    """One transaction. What it records and announces is told to the process after the commit."""

    __slots__ = ("_connection", "_offset", "changes", "events", "postgresql")

    def __init__(self, connection: AsyncConnection, offset: int, *, postgresql: bool) -> None:
        self._connection = connection
        self._offset = offset
        self.postgresql = postgresql
        self.events: list[Event] = []
        self.changes: list[Change] = []

    async def rows(
        self, statement: Executable, values: dict[str, Any] | None = None
    ) -> Sequence[Row[Any]]:
        """Run a statement and fetch all it returns."""
        found = await self._connection.execute(
            statement, {"clock_offset": self._offset, **(values or {})}
        )
        return found.all()

    async def row(
        self, statement: Executable, values: dict[str, Any] | None = None
    ) -> Row[Any] | None:
        """The first row, or None."""
        found = await self.rows(statement, values)
        return found[0] if found else None

    async def run(self, statement: Executable, values: dict[str, Any] | None = None) -> int:
        """Run a statement that returns nothing; the number of rows it touched."""
        found = await self._connection.execute(
            statement, {"clock_offset": self._offset, **(values or {})}
        )
        return found.rowcount

    async def record(self, happened: Event) -> None:
        """Write an audit row."""
        await self.run(
            _RECORD,
            {
                "kind": happened.kind,
                "outcome": happened.outcome,
                "actor": happened.actor,
                "subject": happened.subject,
                "session": happened.session,
                "ip": happened.client.ip,
                "user_agent": happened.client.user_agent,
                "request_id": happened.client.request_id,
                "detail": dict(happened.detail),
            },
        )
        self.events.append(happened)

    async def announce(self, change: Change) -> None:
        """Write a row of the change feed. `change.at` is set by the database."""
        await self.run(
            _ANNOUNCE,
            {
                "kind": change.kind,
                "subject": change.subject,
                "ver": change.ver,
                "keep_session": change.keep_session,
            },
        )
        self.changes.append(change)


_RECORD = insert(audit_events).values(at=NOW)
_ANNOUNCE = insert(changes).values(at=NOW, xid=_TransactionId())


class Database:
    """Connections to one database. `on_commit` hears of each committed transaction's events and changes."""

    def __init__(self, url: str, clock: Clock) -> None:
        self.url = url
        self.postgresql = url.startswith("postgresql:")
        self.on_commit: OnCommit = _ignore
        self._clock = clock
        if self.postgresql:
            self._writer = self._reader = _postgresql_engine(url)
        else:
            # One writing connection a process: more of them only fight over SQLite's one lock.
            self._writer = _sqlite_engine(url, begin="BEGIN IMMEDIATE", size=1)
            self._reader = _sqlite_engine(url, begin="BEGIN", size=4)

    @asynccontextmanager
    async def write(self) -> AsyncIterator[Transaction]:
        """A transaction that may write. Raises Unavailable if the database is away."""
        async with self._transaction(self._writer) as transaction:
            yield transaction
        self.on_commit(transaction.events, transaction.changes)

    @asynccontextmanager
    async def read(self) -> AsyncIterator[Transaction]:
        """A transaction that only reads. Raises Unavailable if the database is away."""
        async with self._transaction(self._reader) as transaction:
            yield transaction

    @asynccontextmanager
    async def _transaction(self, engine: AsyncEngine) -> AsyncIterator[Transaction]:
        try:
            async with engine.begin() as connection:
                yield Transaction(connection, self._clock.offset_ms, postgresql=self.postgresql)
        except (PoolTimeout, OSError) as error:
            raise Unavailable(f"database: {type(error).__name__}", retry_after=1) from error
        except DBAPIError as error:
            if error.connection_invalidated or _away(error):
                raise Unavailable(
                    f"database: {type(error.orig).__name__}", retry_after=1
                ) from error
            raise

    async def run_sync(self, work: Callable[[Any], None]) -> None:
        """Run `work` with a synchronous connection inside one writing transaction. For migrations."""
        async with self._writer.begin() as connection:
            await connection.run_sync(work)

    async def close(self) -> None:
        """Dispose both engines; aiosqlite's threads would otherwise keep the process."""
        await self._writer.dispose()
        if self._reader is not self._writer:
            await self._reader.dispose()


def _ignore(events: Sequence[Event], changed: Sequence[Change]) -> None:
    """Nobody listens yet."""


def _away(error: DBAPIError) -> bool:
    text = str(error.orig).lower()
    return any(
        sign in text
        for sign in (
            "locked",
            "unable to open",
            "connection",
            "disk i/o",
            "shutting down",
            "starting up",
        )
    )


def _postgresql_engine(url: str) -> AsyncEngine:
    try:
        return create_async_engine(
            "postgresql+asyncpg:" + url.partition(":")[2],
            pool_size=10,
            max_overflow=5,
            pool_timeout=POOL_TIMEOUT_S,
            pool_pre_ping=False,
        )
    except (ModuleNotFoundError, SQLAlchemyError) as error:
        raise ConfigurationError(
            f"database_url: {error}. For PostgreSQL install authward[postgres]"
        ) from error


def _sqlite_engine(url: str, *, begin: str, size: int) -> AsyncEngine:
    path = Path(urlsplit(url).path.removeprefix("/") or "authward.db").absolute()
    if not path.parent.is_dir():
        raise ConfigurationError(
            f"database_url: the folder {path.parent} does not exist. Make it, or name another"
        )
    engine = create_async_engine(
        f"sqlite+aiosqlite:///{path}", pool_size=size, max_overflow=0, pool_timeout=POOL_TIMEOUT_S
    )

    @event.listens_for(engine.sync_engine, "connect")
    def prepare(connection: DBAPIConnection, record: object) -> None:
        connection.isolation_level = None  # type: ignore[attr-defined]
        cursor = connection.cursor()
        for pragma in (
            f"busy_timeout={BUSY_TIMEOUT_MS}",
            "journal_mode=WAL",
            "synchronous=FULL",  # a power loss must not roll a generation back
            "foreign_keys=ON",
        ):
            cursor.execute(f"PRAGMA {pragma}")
        cursor.close()

    @event.listens_for(engine.sync_engine, "begin")
    def start(connection: Any) -> None:
        connection.exec_driver_sql(begin)

    return engine
