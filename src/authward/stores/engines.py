"""Engines for SQLite and PostgreSQL, and what their errors mean."""

from __future__ import annotations

import os
import sqlite3
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit

from sqlalchemy import URL, event
from sqlalchemy.engine.interfaces import DBAPIConnection
from sqlalchemy.exc import DBAPIError, DisconnectionError, InternalError, NotSupportedError
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine
from sqlalchemy.pool import ConnectionPoolEntry

from authward.errors import ConfigurationError

_SQLITE_AWAY = {
    sqlite3.SQLITE_PERM,
    sqlite3.SQLITE_BUSY,
    sqlite3.SQLITE_LOCKED,
    sqlite3.SQLITE_READONLY,
    sqlite3.SQLITE_IOERR,
    sqlite3.SQLITE_CORRUPT,
    sqlite3.SQLITE_FULL,
    sqlite3.SQLITE_CANTOPEN,
    sqlite3.SQLITE_PROTOCOL,
    sqlite3.SQLITE_NOTADB,
}
# Connection, authorisation and missing database; resources, locks, shutdowns, a server that only
# reads, broken disks.
_POSTGRESQL_AWAY = ("08", "28", "3D", "40", "53", "55", "57", "58", "25006")
# A connection that ended, a serialization failure, a deadlock.
_POSTGRESQL_AGAIN = ("08", "57P01", "57P02", "40001", "40P01")


def away(error: DBAPIError) -> bool:
    """Whether the database cannot be used at present, and that is not the statement's fault."""
    if error.connection_invalidated or confused(error):
        return True
    if isinstance(error.orig, sqlite3.Error):
        return _primary(error.orig) in _SQLITE_AWAY
    return _state(error).startswith(_POSTGRESQL_AWAY)


def busy(error: DBAPIError) -> bool:
    """Whether another connection holds SQLite's lock."""
    return isinstance(error.orig, sqlite3.Error) and _primary(error.orig) == sqlite3.SQLITE_BUSY


def worth_another_try(error: DBAPIError) -> bool:
    """Whether the same transaction may pass at once: its connection was dead already, or it lost to
    another.
    """
    # NotSupportedError is asyncpg's word for a plan that a migration made stale.
    if error.connection_invalidated or confused(error) or isinstance(error, NotSupportedError):
        return True
    return _state(error).startswith(_POSTGRESQL_AGAIN)


def confused(error: DBAPIError) -> bool:
    """Whether asyncpg lost track of a connection, as when the server ends it between statements."""
    return isinstance(error, InternalError) and not _state(error)


def said(error: BaseException) -> str:
    """What the driver said, in one line."""
    if isinstance(error, DBAPIError) and error.orig is not None:
        error = error.orig.__cause__ or error.orig
    return f"{type(error).__name__}: {error}".splitlines()[0]


def _primary(error: sqlite3.Error) -> int:
    return getattr(error, "sqlite_errorcode", sqlite3.SQLITE_ERROR) & 0xFF


def _state(error: DBAPIError) -> str:
    return getattr(error.orig, "sqlstate", None) or ""


def postgresql_engine(url: str, *, size: int, patience: float) -> AsyncEngine:
    """A pool on the server of `url`, which is read as libpq reads it (`?sslmode=…` and all)."""
    try:
        import asyncpg
    except ModuleNotFoundError as error:
        raise ConfigurationError(
            "database_url: PostgreSQL needs asyncpg: pip install asyncpg"
        ) from error

    async def connect() -> Any:
        return await asyncpg.connect(url, timeout=patience)

    return create_async_engine(
        "postgresql+asyncpg://",
        async_creator=connect,
        pool_size=size,
        max_overflow=0,
        pool_timeout=patience,
        hide_parameters=True,  # they are addresses and hashes, and errors are logged
        # Stated, as a server's own default may be another; the store's locks are made for this one.
        isolation_level="READ COMMITTED",
    )


def sqlite_path(url: str) -> Path:
    """The file of a `sqlite:///…` URL, absolute."""
    return Path(urlsplit(url).path.removeprefix("/") or "authward.db").absolute()


def sqlite_engine(
    path: Path, *, size: int, busy_ms: int, patience: float, reads: bool
) -> AsyncEngine:
    """A pool on an existing file. A connection whose file was moved away or replaced is not used
    again.
    """
    engine = create_async_engine(
        # mode=rw: a file that vanished while we run is an outage, not an empty database.
        URL.create(
            "sqlite+aiosqlite",
            database="file:" + quote(str(path)),
            query={"mode": "rw", "uri": "true"},
        ),
        pool_size=size,
        max_overflow=0,
        pool_timeout=patience,
        hide_parameters=True,  # they are addresses and hashes, and errors are logged
        connect_args={"timeout": patience, "isolation_level": None},
        # To sqlite3 every connection looks like one in autocommit mode; only those that read are.
        skip_autocommit_rollback=reads,
    )

    @event.listens_for(engine.sync_engine, "connect")
    def prepare(connection: DBAPIConnection, entry: ConnectionPoolEntry) -> None:
        entry.info["file"] = _identity(path)
        try:
            cursor = connection.cursor()
            for pragma in (
                "synchronous=FULL",  # a power loss must not roll a generation back
                "foreign_keys=ON",
                "trusted_schema=OFF",
                "secure_delete=ON",  # who was erased must not be left in what is free of the file
                f"busy_timeout={busy_ms}",
            ):
                cursor.execute(f"PRAGMA {pragma}")
            cursor.close()
        except BaseException:
            connection.close()  # the pool would not, and its thread would stay
            raise

    @event.listens_for(engine.sync_engine, "checkout")
    def still_there(connection: DBAPIConnection, entry: ConnectionPoolEntry, proxy: object) -> None:
        if _identity(path) != entry.info["file"]:
            raise DisconnectionError("the database file was moved or replaced")

    return engine


def _identity(path: Path) -> tuple[int, int] | None:
    try:
        found = os.stat(path)
    except OSError:
        return None
    return found.st_dev, found.st_ino
