"""One transaction, and what it tells besides what it does."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import Executable, Row, func, insert
from sqlalchemy.ext.asyncio import AsyncConnection

from authward.core.audit import Event
from authward.core.chain import Head, advanced
from authward.ports import Change
from authward.stores.chains import PUT_HEAD, RECORD, Chains
from authward.stores.expressions import NOW, TRANSACTION_ID
from authward.stores.listening import CHANNEL
from authward.stores.schema import changes

_AT_ONCE = 1000
_ANNOUNCE = insert(changes).values(at=NOW, xid=TRANSACTION_ID)
# Heard by the listeners once it is committed, without a round trip of its own.
_ANNOUNCE_LOUD = _ANNOUNCE.returning(func.pg_notify(CHANNEL, ""))


class Transaction:
    """One transaction. What it records and announces is told to the process after the commit."""

    __slots__ = ("_chains", "_connection", "_head", "_info", "_offset", "changes", "events")

    def __init__(self, connection: AsyncConnection, offset: int, chains: Chains) -> None:
        self._connection = connection
        self._offset = offset
        self._chains = chains
        self._info: dict[Any, Any] = connection.sync_connection.info  # type: ignore[union-attr]
        self._head: Head | None = None
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

    async def run_each(self, statement: Executable, many: Sequence[Mapping[str, Any]]) -> None:
        """Run a statement once for each of `many`, a thousand on one trip."""
        for start in range(0, len(many), _AT_ONCE):
            await self._connection.execute(statement, many[start : start + _AT_ONCE])

    async def record(self, happened: Event) -> None:
        """Write an audit row, the next of this connection's chain."""
        head = self._head or self._chains.head(self._info)
        row = self._chains.follow(head, happened)
        done: Any = await self._connection.execute(RECORD, row)
        self._head = advanced(head, row, done.inserted_primary_key[0])
        self.events.append(happened)

    async def sign(self) -> None:
        """Write the end of the chain, if it moved. To be called last before `commit`."""
        if self._head is not None:
            put = PUT_HEAD[self._connection.dialect.name]
            await self._connection.execute(put, self._chains.signed(self._head))

    async def commit(self) -> None:
        """Commit. If it is in doubt whether that was done, another chain begins."""
        if self._head is None:
            return await self._connection.commit()
        self._chains.doubt(self._info)
        await self._connection.commit()
        self._chains.keep(self._info, self._head)

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
