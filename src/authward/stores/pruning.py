"""Deleting the oldest of the audit log, as far as it verifies, in SQL."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from functools import partial
from itertools import takewhile
from typing import Any

from sqlalchemy import BigInteger, Row, String, bindparam, delete, func, select
from sqlalchemy.exc import DBAPIError

from authward.core.audit_rows import StoredRow
from authward.core.chain import Checkpoint, Head, body_of
from authward.core.chain_proof import HeldUp, Problem, Prover, Pruned
from authward.stores.database import Database
from authward.stores.engines import away
from authward.stores.expressions import Whole
from authward.stores.heads import SIGNED_HEADS, head_of
from authward.stores.pruned import ToldOfPruning, told_again
from authward.stores.readable import STORED
from authward.stores.schema import audit_events, audit_writers
from authward.stores.signed import ANY, last_alone, put
from authward.stores.transactions import Transaction

SEGMENT = 250
"""Rows that are verified and deleted at once: others must get their turn between."""

_WRITER = bindparam("chain", type_=String())
_BEFORE = bindparam("before", type_=BigInteger())
_COUNT_OLDER = select(func.count()).where(audit_events.c.at < _BEFORE)
_HELD_UP = select(func.count().label("rows"), func.min(audit_events.c.id).label("one")).where(
    audit_events.c.at < _BEFORE, audit_events.c.writer.is_not(None)
)
_OF_CHAIN = audit_events.alias()
_FIRST_OF = (
    select(audit_events.c.id)
    .join(_OF_CHAIN, _OF_CHAIN.c.writer == audit_events.c.writer)
    .where(_OF_CHAIN.c.id == bindparam("row", type_=BigInteger()))
    .order_by(audit_events.c.seq)
    .limit(1)
)
_FIRST_AT = (
    select(audit_events.c.at)
    .where(audit_events.c.writer == audit_writers.c.writer)
    .order_by(audit_events.c.seq)
    .limit(1)
    .correlate(audit_writers)
    .scalar_subquery()
)
_TO_PRUNE = SIGNED_HEADS.where(_FIRST_AT < _BEFORE).order_by(audit_writers.c.writer)
_SEGMENT = (
    select(*STORED)
    .where(audit_events.c.writer == _WRITER)
    .order_by(audit_events.c.seq)
    .limit(SEGMENT)
)
_PLACES = (
    select(audit_events.c.id, Whole(audit_events.c.at).label("at"))
    .where(audit_events.c.writer == _WRITER)
    .order_by(audit_events.c.seq)
    .limit(SEGMENT)
)
_ROW = select(*STORED).where(audit_events.c.id == bindparam("row", type_=BigInteger()))
_UP_TO = bindparam("length", type_=BigInteger())
_DELETE = delete(audit_events).where(audit_events.c.writer == _WRITER, audit_events.c.seq <= _UP_TO)
# Of a higher id they are forged: evidence.
_OLD = (
    audit_events.c.writer.is_(None)
    & (audit_events.c.at < _BEFORE)
    & (audit_events.c.id <= bindparam("highest", type_=BigInteger()))
)
_DELETE_OLD = delete(audit_events).where(
    audit_events.c.id.in_(select(audit_events.c.id).where(_OLD).limit(SEGMENT))
)

_Part = Callable[[Transaction, Checkpoint], Awaitable[int]]


class Pruning:
    """What of `AuditChains` deletes."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._chains = database.chains
        self._told: ToldOfPruning | None = None

    async def count_older(self, before: int) -> int:
        [counted] = await self._database.read(_COUNT_OLDER, {"before": before})
        return int(counted[0])

    async def held_up(self, before: int) -> HeldUp | None:
        [held] = await self._database.read(_HELD_UP, {"before": before})
        if not held.rows:
            return None
        first = await self._database.read(_FIRST_OF, {"row": held.one})
        return HeldUp(held.rows, first[0].id if first else held.one)

    async def prune(self, before: int, on_rows: Callable[[int], None]) -> Pruned:
        database, keys, done = self._database, self._chains.signing, 0
        told = ToldOfPruning(Prover(keys))
        try:
            told = await told_again(self._told, database.read, keys)
            await told.tell(database.read)
            heads = await database.read(_TO_PRUNE, {"before": before})
            if heads and not await database.read(ANY):
                return Pruned(0, Problem(None, "there is no checkpoint: they are gone"))
            parts: list[_Part] = [partial(self._prune_segment, told, row, before) for row in heads]
            parts.append(partial(self._prune_old, told, before))
            for part in parts:
                while told.prover.problem is None:
                    writing = database.write(partial(self._alone, told, part))
                    before_it, done = done, await _counted(writing, done, on_rows)
                    if done == before_it:
                        break
        except DBAPIError as error:
            self._unless_text(error)
            told.prover.unreadable(None, "a checkpoint, or the head of a chain,")
        if told.prover.problem is None:
            self._told = told
        return Pruned(done, told.prover.problem)

    def _unless_text(self, error: DBAPIError) -> None:
        # What is no text only SQLite has where text should be.
        if self._database.postgresql or away(error):
            raise error

    async def _alone(self, told: ToldOfPruning, part: _Part, tx: Transaction) -> int:
        """Prune a part while nobody else does, from where the last one who did left off: what was
        read before the lock may be deleted by now, which is no sign of tampering.
        """
        last = await last_alone(self._database, tx)
        await told.tell(tx.rows)
        if last is None or told.prover.problem is not None:
            return 0
        told.up_to(last)
        return await part(tx, last)

    async def _prune_segment(
        self, told: ToldOfPruning, row: Row[Any], before: int, tx: Transaction, last: Checkpoint
    ) -> int:
        head, prover = head_of(row), told.prover
        prover.head(head, row.mac)  # it begins where the last segment ended
        old = await self._old(prover, head.writer, before, tx)
        for one in old:
            prover.row(one)
        if not old or prover.problem is not None:
            return 0
        end = Head(head.writer, head.kid, old[-1].seq, old[-1].id, old[-1].hash)
        await tx.run(_DELETE, {"chain": end.writer, "length": end.length})
        await put(tx, self._chains, last, body_of(heads=(), pruned=(end,), everything=""))
        return len(old)

    async def _old(
        self, prover: Prover, writer: str, before: int, tx: Transaction
    ) -> list[StoredRow]:
        """The first rows of a chain, as far as they are old. On SQLite one may hold text that is
        none.
        """
        try:
            rows = [StoredRow._make(one) for one in await tx.rows(_SEGMENT, {"chain": writer})]
            return list(takewhile(lambda one: type(one.at) is int and one.at < before, rows))
        except DBAPIError as error:
            self._unless_text(error)
        found: list[StoredRow] = []
        for place in await tx.rows(_PLACES, {"chain": writer}):
            if place.at >= before:
                break
            try:
                found += [StoredRow._make(one) for one in await tx.rows(_ROW, {"row": place.id})]
            except DBAPIError as error:
                self._unless_text(error)
                prover.unreadable(place.id)
                break
        return found

    async def _prune_old(
        self, told: ToldOfPruning, before: int, tx: Transaction, last: Checkpoint
    ) -> int:
        """Rows from before there were chains."""
        number, highest = told.prover.older or (0, 0)
        if number <= 0:
            return 0
        some = await tx.run(_DELETE_OLD, {"before": before, "highest": highest})
        if some:
            left = number - some, highest
            await put(tx, self._chains, last, body_of(heads=(), everything="", unchained=left))
        return some


async def _counted(
    writing: Coroutine[Any, Any, int], done: int, on_rows: Callable[[int], None]
) -> int:
    """How many rows are deleted now, and `done` before. `on_rows` is told though whoever waits is
    cancelled meanwhile: the transaction ends as it would.
    """
    task = asyncio.create_task(writing)
    try:
        await asyncio.wait([task])
    except asyncio.CancelledError:
        await asyncio.wait([task])
        if not task.cancelled() and task.exception() is None and task.result():
            on_rows(done + task.result())
        raise
    if some := await task:
        on_rows(done + some)
    return done + some
