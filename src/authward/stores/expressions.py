"""SQL both databases spell differently."""

from __future__ import annotations

from typing import Any

from sqlalchemy import ARRAY, BigInteger, Text, bindparam
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.expression import ColumnElement
from sqlalchemy.sql.functions import FunctionElement


class _DatabaseTime(FunctionElement[int]):
    type = BigInteger()
    inherit_cache = True
    name = "database_time"


@compiles(_DatabaseTime, "sqlite")
def _sqlite_time(element: _DatabaseTime, compiler: SQLCompiler, **_: Any) -> str:
    return "CAST(ROUND((julianday('now') - 2440587.5) * 86400000.0) AS INTEGER)"


@compiles(_DatabaseTime, "postgresql")
def _postgresql_time(element: _DatabaseTime, compiler: SQLCompiler, **_: Any) -> str:
    # clock_timestamp, not now(): a transaction that waited for a lock must see the time after the
    # wait.
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


class _FeedHead(FunctionElement[int]):
    type = BigInteger()
    inherit_cache = True
    name = "feed_head"


@compiles(_FeedHead, "sqlite")
def _sqlite_head(element: _FeedHead, compiler: SQLCompiler, **_: Any) -> str:
    return "COALESCE((SELECT seq FROM sqlite_sequence WHERE name = 'changes'), 0)"


@compiles(_FeedHead, "postgresql")
def _postgresql_head(element: _FeedHead, compiler: SQLCompiler, **_: Any) -> str:
    return "CAST(CAST(pg_snapshot_xmin(pg_current_snapshot()) AS TEXT) AS BIGINT)"


class _FeedNext(FunctionElement[int]):
    type = BigInteger()
    inherit_cache = True
    name = "feed_next"


@compiles(_FeedNext, "postgresql")
def _postgresql_next(element: _FeedNext, compiler: SQLCompiler, **_: Any) -> str:
    # A replica's snapshot does not say which transactions run: there the oldest has to do.
    return (
        "CAST(CAST(CASE WHEN pg_is_in_recovery() THEN pg_snapshot_xmin(pg_current_snapshot())"
        " ELSE pg_snapshot_xmax(pg_current_snapshot()) END AS TEXT) AS BIGINT)"
    )


class _Running(FunctionElement[Any]):
    type = ARRAY(BigInteger())
    inherit_cache = True
    name = "running"


@compiles(_Running, "postgresql")
def _postgresql_running(element: _Running, compiler: SQLCompiler, **_: Any) -> str:
    return (
        "ARRAY(SELECT CAST(CAST(one AS TEXT) AS BIGINT)"
        " FROM pg_snapshot_xip(pg_current_snapshot()) AS one)"
    )


class JsonText(FunctionElement[str]):
    """A JSON column as it is stored, unread."""

    type = Text()
    inherit_cache = True
    name = "json_text"


@compiles(JsonText, "sqlite")
def _sqlite_json_text(element: JsonText, compiler: SQLCompiler, **options: Any) -> str:
    # No cast: it would make text of anything.
    return compiler.process(element.clauses, **options)


class AsIs(FunctionElement[Any]):
    """A column of text as it is stored: on SQLite bytes, as text there may be none."""

    type = Text()
    inherit_cache = True
    name = "as_is"


@compiles(AsIs, "sqlite")
def _sqlite_as_is(element: AsIs, compiler: SQLCompiler, **options: Any) -> str:
    return f"CAST({compiler.process(element.clauses, **options)} AS BLOB)"


@compiles(JsonText, "postgresql")
@compiles(AsIs, "postgresql")
def _postgresql_text(element: JsonText | AsIs, compiler: SQLCompiler, **options: Any) -> str:
    return f"CAST({compiler.process(element.clauses, **options)} AS TEXT)"


class Whole(FunctionElement[int]):
    """A column of whole numbers. SQLite keeps anything there, and sorts what is no number behind
    all of them: it is read as the highest.
    """

    type = BigInteger()
    inherit_cache = True
    name = "whole"


@compiles(Whole, "sqlite")
def _sqlite_whole(element: Whole, compiler: SQLCompiler, **options: Any) -> str:
    column = compiler.process(element.clauses, **options)
    return f"CASE typeof({column}) WHEN 'integer' THEN {column} ELSE {2**63 - 1} END"


@compiles(Whole, "postgresql")
def _postgresql_whole(element: Whole, compiler: SQLCompiler, **options: Any) -> str:
    return compiler.process(element.clauses, **options)


NOW: ColumnElement[int] = _DatabaseTime() + bindparam("clock_offset", type_=BigInteger())
"""Database time in milliseconds plus the clock's offset, at the moment the row is judged.
Every statement of a transaction is given `clock_offset`.
"""

TRANSACTION_ID: ColumnElement[int] = _TransactionId()
"""The writing transaction's number on PostgreSQL; 0 on SQLite, where commits are ordered."""

FEED_HEAD: ColumnElement[int] = _FeedHead()
"""Below which all of `changes` is visible: SQLite's last id given out; on PostgreSQL the oldest
transaction still running.
"""

FEED_NEXT: ColumnElement[int] = _FeedNext()
"""PostgreSQL only: the first transaction of which this snapshot can show nothing."""

RUNNING: ColumnElement[Any] = _Running()
"""PostgreSQL only: those below `FEED_NEXT` of which this snapshot shows nothing, as they run."""
