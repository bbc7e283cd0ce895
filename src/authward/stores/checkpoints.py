"""The proof of the audit log in SQL: checkpoints, verifying, and pruning what verified."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping, Sequence
from functools import partial
from itertools import takewhile
from typing import Any

from sqlalchemy import (
    BigInteger,
    Row,
    Select,
    String,
    bindparam,
    delete,
    func,
    insert,
    select,
    update,
)
from sqlalchemy.exc import DBAPIError

from authward.core.anchors import Anchor, Anchors, Kept, anchor_of, signed_anchors
from authward.core.audit_rows import StoredRow
from authward.core.chain import Checkpoint, Head, body_of
from authward.core.chain_proof import HeldUp, Problem, Proof, Prover, Pruned
from authward.errors import Unavailable
from authward.stores.chains import LOCK
from authward.stores.database import Database, Read
from authward.stores.engines import away, said
from authward.stores.expressions import NOW, Whole
from authward.stores.heads import SIGNED_HEADS, Standing, head_of, standing
from authward.stores.pruned import ToldOfPruning, told_again
from authward.stores.readable import STORED
from authward.stores.schema import audit_checkpoints, audit_events, audit_writers
from authward.stores.signed import free_number, last_signed, settled, told_between
from authward.stores.transactions import Transaction

STEP = 1000
SEGMENT = 250
"""Rows that are verified and deleted at once: others must get their turn between."""
_LOWEST, _HIGHEST = -(2**63), 2**63 - 1

_FROM = bindparam("from", type_=BigInteger())
_WRITER = bindparam("chain", type_=String())
_ROWS = select(*STORED).where(audit_events.c.id >= _FROM).order_by(audit_events.c.id).limit(STEP)
_IDS = select(audit_events.c.id).where(audit_events.c.id >= _FROM).order_by(audit_events.c.id)
_COUNT = select(func.count()).select_from(audit_events)
_CHECKPOINT = select(audit_checkpoints).order_by(audit_checkpoints.c.number)
_CHECKPOINTS = _CHECKPOINT.where(audit_checkpoints.c.number > _FROM).limit(STEP)
_ANY = select(audit_checkpoints.c.number).limit(1)
_PUT = insert(audit_checkpoints)
_MARK = (
    update(audit_writers)
    .where(audit_writers.c.writer == _WRITER)
    .values(marked=bindparam("mark", type_=BigInteger()))
)
_BEFORE = bindparam("before", type_=BigInteger())
_COUNT_OLDER = _COUNT.where(audit_events.c.at < _BEFORE)
_TIME = select(NOW)
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
_UNCHAINED = select(
    func.count().label("number"), func.max(audit_events.c.id).label("highest")
).where(audit_events.c.writer.is_(None))
# Of a higher id they are forged: evidence.
_OLD = (
    audit_events.c.writer.is_(None)
    & (audit_events.c.at < _BEFORE)
    & (audit_events.c.id <= bindparam("highest", type_=BigInteger()))
)
_DELETE_OLD = delete(audit_events).where(
    audit_events.c.id.in_(select(audit_events.c.id).where(_OLD).limit(SEGMENT))
)


class SqlChains:
    """`AuditChains` over SQLite and PostgreSQL."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._chains = database.chains
        self._told: ToldOfPruning | None = None

    @property
    def wrote(self) -> bool:
        return self._chains.wrote

    async def begun(self) -> bool:
        return bool(await self._database.read(_ANY))

    async def latest(self) -> Checkpoint | None:
        return await last_signed(self._database.read, self._chains.signing)

    def anchor(self, made: Checkpoint) -> Anchor:
        return anchor_of(made, self._chains.signing)

    def anchors(self, told: Iterable[Anchor]) -> Kept:
        return signed_anchors(told, self._chains.signing)

    # --- checkpoints ---------------------------------------------------------------------

    async def checkpoint(self, *, every: int = 0) -> Checkpoint | None:
        while True:
            # Before the look, so that it sees no less.
            ends = dict(self._chains.ends)
            seen = await self._database.look(partial(self._look, every, ends))
            if seen is None:
                return None
            made = await self._database.write(partial(self._sign, *seen))
            if made is not None:
                return made

    async def _look(
        self, every: int, ends: Mapping[str, Head], read: Read
    ) -> tuple[Checkpoint | None, Standing] | None:
        """The last checkpoint and where the chains stand, at one moment; None if nothing is to be
        signed. Nobody has to wait until all of them are read.
        """
        keys = self._chains.signing
        for end in await settled(read, keys, ends):
            self._chains.settle(end)
        last = await last_signed(read, keys)
        if last is not None and 0 <= self._chains.now() - last.at < every:
            return None
        stand = await standing(read, keys)
        return (last, stand) if last is None or stand.moved else None

    async def _sign(
        self, seen: Checkpoint | None, stand: Standing, tx: Transaction
    ) -> Checkpoint | None:
        """Sign where the chains stood, on top of whatever was pruned meanwhile. None if another
        checkpoint told of them by now: it may know more.
        """
        last, keys = await self._last(tx), self._chains.signing
        if seen is None or last is None:
            if seen is not last:
                return None
        elif await told_between(tx.rows, keys, seen.number, last.number):
            return None
        unchained = None
        if last is None and not stand.any:
            [counted] = await tx.rows(_UNCHAINED)
            unchained = counted.number, counted.highest or 0
        told = zip(stand.moved, stand.marks, strict=True)
        await tx.run_each(_MARK, [{"chain": head.writer, "mark": mark} for head, mark in told])
        body = body_of(heads=stand.moved, everything=stand.everything, unchained=unchained)
        return await self._put(tx, last, body)

    async def _last(self, tx: Transaction) -> Checkpoint | None:
        if self._database.postgresql:
            await tx.rows(LOCK)
        return await last_signed(tx.rows, self._chains.signing)

    async def _put(self, tx: Transaction, last: Checkpoint | None, body: str) -> Checkpoint:
        keys = self._chains.signing
        number, previous = (0, b"") if last is None else (last.number, last.hash)
        number = await free_number(tx.rows, number)
        made = Checkpoint(number, self._chains.now(), keys.kid, previous, body).signed(keys)
        values = {name: getattr(made, name) for name in Checkpoint.__dataclass_fields__}
        await tx.run(_PUT, values)
        return made

    # --- verifying -----------------------------------------------------------------------

    async def verify(self, anchors: Anchors, on_rows: Callable[[int, int], None]) -> Proof:
        prover = Prover(self._chains.signing, anchors)
        try:
            await self._tell_all(prover, on_rows)
        except DBAPIError as error:
            # No second try: what one snapshot told so far does not fit another.
            if away(error):
                raise Unavailable(f"database: {said(error)}", retry_after=1) from error
            raise
        return prover.finish()

    async def _tell_all(self, prover: Prover, on_rows: Callable[[int, int], None]) -> None:
        async with self._database.snapshot() as read:
            await _tell_checkpoints(read, prover)
            try:
                for row in await read(SIGNED_HEADS.order_by(audit_writers.c.writer)):
                    prover.head(head_of(row), row.mac)
            except DBAPIError as error:
                _unless_away(error)
                prover.unreadable(None, "the heads of the chains")
            prover.total = total = (await read(_COUNT))[0][0]
            async for rows in _batches(read, prover):
                for one in rows:
                    prover.row(one)
                on_rows(prover.rows, total)

    # --- pruning -------------------------------------------------------------------------

    async def count_older(self, before: int) -> int:
        [counted] = await self._database.read(_COUNT_OLDER, {"before": before})
        return int(counted[0])

    async def time(self) -> int:
        [found] = await self._database.read(_TIME)
        return int(found[0])

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
            if heads and not await self.begun():
                return Pruned(0, Problem(None, "there is no checkpoint: they are gone"))
            parts: list[_Part] = [partial(self._prune_segment, told, row, before) for row in heads]
            parts.append(partial(self._prune_old, told, before))
            for part in parts:
                while told.prover.problem is None:
                    some = await database.write(partial(self._alone, told, part))
                    if not some:
                        break
                    done += some
                    on_rows(done)
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
        last = await self._last(tx)
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
        await self._put(tx, last, body_of(heads=(), pruned=(end,), everything=""))
        return len(old)

    async def _old(
        self, prover: Prover, writer: str, before: int, tx: Transaction
    ) -> list[StoredRow]:
        """The first rows of a chain, as far as they are old. On SQLite one may hold text that is
        none.
        """
        try:
            rows = [_stored(one) for one in await tx.rows(_SEGMENT, {"chain": writer})]
            return list(takewhile(lambda one: type(one.at) is int and one.at < before, rows))
        except DBAPIError as error:
            self._unless_text(error)
        found: list[StoredRow] = []
        for place in await tx.rows(_PLACES, {"chain": writer}):
            if place.at >= before:
                break
            try:
                found += [_stored(one) for one in await tx.rows(_ROW, {"row": place.id})]
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
            await self._put(tx, last, body_of(heads=(), everything="", unchained=left))
        return some


_Part = Callable[[Transaction, Checkpoint], Awaitable[int]]


def _stored(row: Any) -> StoredRow:
    return StoredRow(*row)


async def _tell_checkpoints(read: Read, prover: Prover) -> None:
    number: Any = _LOWEST
    while True:
        try:
            rows: Sequence[Row[Any]] = await read(_CHECKPOINTS, {"from": number})
        except DBAPIError as error:
            _unless_away(error)
            return prover.unreadable(None, "the checkpoints")
        for row in rows:
            prover.checkpoint(Checkpoint(**row._mapping))
        if not rows:
            return None
        number = rows[-1].number


async def _batches(read: Read, prover: Prover) -> AsyncIterator[list[StoredRow]]:
    """All rows by id, some at a time."""
    start = _LOWEST
    while True:
        try:
            rows = [_stored(row) for row in await read(_ROWS, {"from": start})]
        except DBAPIError as error:
            _unless_away(error)
            rows = await _one_by_one(read, prover, start)
            ids = await read(_IDS.limit(STEP), {"from": start})
            last = ids[-1][0]
        else:
            if not rows:
                return
            last = rows[-1].id
        yield rows
        if type(last) is not int or last == _HIGHEST:
            return  # what no number comes after is missed in the end
        start = last + 1


async def _one_by_one(read: Read, prover: Prover, start: int) -> list[StoredRow]:
    """As many rows as a batch, but those that the database cannot read: text that is none."""
    found = []
    one: Select[Any] = _ROWS.limit(1)
    for (row_id,) in await read(_IDS.limit(STEP), {"from": start}):
        try:
            found += [_stored(row) for row in await read(one, {"from": row_id})]
        except DBAPIError as error:
            _unless_away(error)
            prover.unreadable(row_id)
    return found


def _unless_away(error: DBAPIError) -> None:
    if away(error):
        raise error
