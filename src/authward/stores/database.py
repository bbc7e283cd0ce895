"""One database: SQLite with one writer a process, PostgreSQL with a pool."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any, TypeVar

from sqlalchemy import Connection, Executable, Row
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from authward.core.audit import Event
from authward.errors import ConfigurationError, Unavailable
from authward.ports import Change, Clock
from authward.stores.chains import Chains
from authward.stores.engines import (
    away,
    busy,
    confused,
    postgresql_engine,
    said,
    sqlite_engine,
    sqlite_path,
    worth_another_try,
)
from authward.stores.transactions import Transaction

PATIENCE_S = 10.0
PAUSE_S = 0.02
POSTGRESQL_POOL = 10
SQLITE_READERS = 4
TURN_MS = 8
"""How long SQLite itself waits for its lock before we ask anew. Left alone it waits 100 ms a turn
in the end, while any later process overtakes: with short turns the slowest writes of four busy
processes take half as long.
"""

Read = Callable[..., Awaitable[Sequence[Row[Any]]]]
OnCommit = Callable[[Sequence[Event], Sequence[Change]], None]
T = TypeVar("T")


class Database:
    """Connections to one database. `on_commit` hears of each committed transaction's events and
    changes.

    `patience` bounds in seconds how long a caller waits for a connection, for SQLite's lock, and
    (twice that) for a silent PostgreSQL; past it comes Unavailable.
    """

    def __init__(self, url: str, clock: Clock, *, patience: float = PATIENCE_S) -> None:
        self.url = url
        self.postgresql = url.startswith("postgresql:")
        self.on_commit: OnCommit = _ignore
        self.chains = Chains(clock)
        self._clock = clock
        self._patience = patience
        self._running: set[asyncio.Task[Any]] = set()
        if self.postgresql:
            self._writer = postgresql_engine(url, size=POSTGRESQL_POOL, patience=patience)
            # Reads are single statements: no BEGIN and COMMIT around them. The pool is the same.
            self._reader = self._writer.execution_options(isolation_level="AUTOCOMMIT")
        else:
            self.path = sqlite_path(url)
            if not self.path.parent.is_dir():
                raise ConfigurationError(
                    f"database_url: the folder {self.path.parent} does not exist. "
                    "Make it, or name another"
                )
            # One writing connection a process: more of them only fight over SQLite's one lock.
            self._writer = sqlite_engine(
                self.path, size=1, busy_ms=TURN_MS, patience=patience, reads=False
            )
            self._reader = sqlite_engine(
                self.path,
                size=SQLITE_READERS,
                busy_ms=int(patience * 1000),
                patience=patience,
                reads=True,
            )

    async def write(self, work: Callable[[Transaction], Awaitable[T]]) -> T:
        """Run `work` in one transaction; what it raises rolls back. It runs twice if a connection
        proves dead, or the transaction loses to another, before the commit; a commit in doubt is
        never repeated. It ends even if the caller is cancelled. Raises Unavailable if the database
        is away.
        """
        return await self._attempt(lambda: self._write(work))

    async def read(
        self, statement: Executable, values: Mapping[str, Any] | None = None
    ) -> Sequence[Row[Any]]:
        """Fetch all rows of one statement that only reads. Raises Unavailable if the database is
        away.
        """
        return await self._attempt(lambda: self._read(statement, values))

    async def _write(self, work: Callable[[Transaction], Awaitable[T]]) -> T:
        async with self._connection(self._writer) as connection:
            await self._begin(connection)
            transaction = Transaction(connection, self._clock.offset_ms, self.chains)
            result = await work(transaction)
            await transaction.sign()
            try:
                await transaction.commit()
            except DBAPIError as error:
                raise Unavailable(
                    f"database: commit in doubt: {said(error)}", retry_after=1
                ) from error
            self.on_commit(transaction.events, transaction.changes)
        return result

    async def _read(
        self, statement: Executable, values: Mapping[str, Any] | None
    ) -> Sequence[Row[Any]]:
        async with self._connection(self._reader) as connection:
            found = await connection.execute(
                statement, {"clock_offset": self._clock.offset_ms, **(values or {})}
            )
            return found.all()

    async def _attempt(self, attempt: Callable[[], Awaitable[T]]) -> T:
        # In a task of its own, which a caller that is cancelled does not take along: a transaction
        # ends as it would, the process hears of it, and no connection is lost on its way from the
        # pool to us, which with one writer would be the end of writing.
        task = asyncio.create_task(self._attempt_twice(attempt))
        self._running.add(task)
        task.add_done_callback(self._ended)
        return await asyncio.shield(task)

    def _ended(self, task: asyncio.Task[Any]) -> None:
        self._running.discard(task)
        if not task.cancelled():
            task.exception()  # nobody else looks at it, if the caller is gone

    async def _attempt_twice(self, attempt: Callable[[], Awaitable[T]]) -> T:
        tries = 2
        while True:
            tries -= 1
            try:
                return await attempt()
            except (PoolTimeout, OSError) as error:
                raise Unavailable(f"database: {said(error)}", retry_after=1) from error
            except DBAPIError as error:
                if tries and worth_another_try(error):
                    # Whoever we made way for in a deadlock must be past it before we come again.
                    await asyncio.sleep(PAUSE_S)
                    continue
                if away(error):
                    raise Unavailable(f"database: {said(error)}", retry_after=1) from error
                raise

    async def _begin(self, connection: AsyncConnection) -> None:
        # On PostgreSQL SQLAlchemy begins with the first statement.
        if not self.postgresql:
            await self._insist(connection, "BEGIN IMMEDIATE")

    async def _insist(self, connection: AsyncConnection, statement: str) -> None:
        turns = int(self._patience * 1000 / TURN_MS)
        while True:
            turns -= 1
            try:
                await connection.exec_driver_sql(statement)
                return
            except DBAPIError as error:
                if turns <= 0 or not busy(error):
                    raise

    @asynccontextmanager
    async def _connection(self, engine: AsyncEngine) -> AsyncIterator[AsyncConnection]:
        # Longer than the pool's own limit: what is stopped here is talking to a silent server.
        # SQLite has its own bound, and a thread cannot be stopped anyway.
        limit = 2 * self._patience if self.postgresql else None
        async with asyncio.timeout(limit), self._unbounded(engine) as connection:
            yield connection

    @asynccontextmanager
    async def _unbounded(self, engine: AsyncEngine) -> AsyncIterator[AsyncConnection]:
        lent = engine.connect()
        try:
            async with lent as connection:
                try:
                    yield connection
                except DBAPIError as error:
                    if confused(error):
                        await connection.invalidate()
                    raise
        except asyncio.CancelledError:
            # A loop that ends cancels the task that gives it back too, perhaps before it has begun.
            if lent.sync_connection is not None and not lent.closed:
                await lent.close()
            raise

    async def prepare(self) -> None:
        """Make the SQLite file if there is none, for our eyes only, and set WAL mode, which stays
        with the file.
        """
        if self.postgresql:
            return
        os.close(os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
        async with self._writer.connect() as connection:
            await self._insist(connection, "PRAGMA journal_mode=WAL")

    @asynccontextmanager
    async def snapshot(self) -> AsyncIterator[Read]:
        """Reads that all see the database as it was at the first of them, however long they take.
        They raise what the driver raises.
        """
        engine = self._reader
        if self.postgresql:
            engine = self._writer.execution_options(
                isolation_level="REPEATABLE READ", postgresql_readonly=True
            )
        async with self._unbounded(engine) as connection:
            if not self.postgresql:
                await connection.exec_driver_sql("BEGIN")

            async def read(
                statement: Executable, values: Mapping[str, Any] | None = None
            ) -> Sequence[Row[Any]]:
                given = {"clock_offset": self._clock.offset_ms, **(values or {})}
                return (await connection.execute(statement, given)).all()

            try:
                yield read
            finally:
                if not self.postgresql:
                    await connection.exec_driver_sql("ROLLBACK")

    async def look(self, work: Callable[[Read], Awaitable[T]]) -> T:
        """Run `work` with a snapshot, however long it takes. Raises Unavailable if the database is
        away.
        """
        # Of each answer alone: there may be many.
        limit = 2 * self._patience if self.postgresql else None

        async def attempt() -> T:
            async with asyncio.timeout(limit) as bound, self.snapshot() as read:

                async def patiently(
                    statement: Executable, values: Mapping[str, Any] | None = None
                ) -> Sequence[Row[Any]]:
                    found = await read(statement, values)
                    if limit is not None:
                        bound.reschedule(asyncio.get_running_loop().time() + limit)
                    return found

                return await work(patiently)

        return await self._attempt(attempt)

    async def run_sync(self, work: Callable[[Connection], None]) -> None:
        """Run `work` with a synchronous connection inside one writing transaction, however long.
        For migrations.
        """
        async with self._writer.connect() as connection:
            await self._begin(connection)
            await connection.run_sync(work)
            await connection.commit()

    async def close(self) -> None:
        """Let what is under way end, then close all connections, or aiosqlite's threads would keep
        the process.
        """
        while self._running:
            await asyncio.wait(self._running)
        await self._writer.dispose()
        if not self.postgresql:
            await self._reader.dispose()


def _ignore(events: Sequence[Event], changed: Sequence[Change]) -> None:
    """Nobody listens yet."""
