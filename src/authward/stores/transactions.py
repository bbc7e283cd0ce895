"""One transaction, and what it tells besides what it does."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import Executable, Row, func, insert
from sqlalchemy.ext.asyncio import AsyncConnection

from authward.core.audit import Event
from authward.ports import Change
from authward.stores.expressions import NOW, TRANSACTION_ID
from authward.stores.listening import CHANNEL
from authward.stores.schema import audit_events, changes

_RECORD = insert(audit_events).values(at=NOW)
_ANNOUNCE = insert(changes).values(at=NOW, xid=TRANSACTION_ID)
# Heard by the listeners once it is committed, without a round trip of its own.
_ANNOUNCE_LOUD = _ANNOUNCE.returning(func.pg_notify(CHANNEL, ""))


class Transaction:
    """One transaction. What it records and announces is told to the process after the commit."""

    __slots__ = ("_connection", "_offset", "changes", "events")

    def __init__(self, connection: AsyncConnection, offset: int) -> None:
        self._connection = connection
        self._offset = offset
        self.events: list[Event] = []
        self.changes: list[Change] = []

    async def rows(
        self, statement: Executable, values: Mapping[str, Any] | None = None
    ) -> Sequence[Row[Any]]:
        """Run a statement and fetch all it returns."""
        found = await self._connection.execute(
            statement, {"clock_offset": self._offset, **(values or {})}
        )
        return found.all()

    async def row(
        self, statement: Executable, values: Mapping[str, Any] | None = None
    ) -> Row[Any] | None:
        """The first row, or None."""
        found = await self.rows(statement, values)
        return found[0] if found else None

    async def run(self, statement: Executable, values: Mapping[str, Any] | None = None) -> int:
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

    async def announce(self, *announced: Change) -> None:
        """Write rows of the change feed, one at least. `Change.at` is set by the database."""
        rows = [
            {
                "clock_offset": self._offset,
                "kind": change.kind,
                "subject": change.subject,
                "ver": change.ver,
                "keep_session": change.keep_session,
                "before": change.before,
            }
            for change in announced
        ]
        if len(rows) > 1:
            await self._connection.execute(_ANNOUNCE, rows[:-1])
        postgresql = self._connection.dialect.name == "postgresql"
        await self.run(_ANNOUNCE_LOUD if postgresql else _ANNOUNCE, rows[-1])
        self.changes.extend(announced)
