"""The proof of the audit log in SQL: checkpoints, and what else there is to a log."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from functools import partial

from sqlalchemy import BigInteger, String, bindparam, func, select, update

from authward.core.anchors import Anchor, Anchors, Kept, anchor_of, signed_anchors
from authward.core.chain import Checkpoint, Head, body_of
from authward.core.chain_proof import HeldUp, Proof, Pruned
from authward.stores.database import Database, Read
from authward.stores.expressions import NOW
from authward.stores.heads import Standing, standing
from authward.stores.proving import prove
from authward.stores.pruning import Pruning
from authward.stores.schema import audit_events, audit_writers
from authward.stores.signed import ANY, last_alone, last_signed, put, settled, told_between
from authward.stores.transactions import Transaction

_MARK = (
    update(audit_writers)
    .where(audit_writers.c.writer == bindparam("chain", type_=String()))
    .values(marked=bindparam("mark", type_=BigInteger()))
)
_TIME = select(NOW)
_UNCHAINED = select(
    func.count().label("number"), func.max(audit_events.c.id).label("highest")
).where(audit_events.c.writer.is_(None))


class SqlChains:
    """`AuditChains` over SQLite and PostgreSQL."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._chains = database.chains
        self._pruning = Pruning(database)

    @property
    def wrote(self) -> bool:
        return self._chains.wrote

    async def begun(self) -> bool:
        return bool(await self._database.read(ANY))

    async def latest(self) -> Checkpoint | None:
        return await last_signed(self._database.read, self._chains.signing)

    def anchor(self, made: Checkpoint) -> Anchor:
        return anchor_of(made, self._chains.signing)

    def anchors(self, told: Iterable[Anchor]) -> Kept:
        return signed_anchors(told, self._chains.signing)

    async def time(self) -> int:
        [found] = await self._database.read(_TIME)
        return int(found[0])

    async def verify(self, anchors: Anchors, on_rows: Callable[[int, int], None]) -> Proof:
        return await prove(self._database, self._chains.signing, anchors, on_rows)

    async def count_older(self, before: int) -> int:
        return await self._pruning.count_older(before)

    async def held_up(self, before: int) -> HeldUp | None:
        return await self._pruning.held_up(before)

    async def prune(self, before: int, on_rows: Callable[[int], None]) -> Pruned:
        return await self._pruning.prune(before, on_rows)

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
        last, keys = await last_alone(self._database, tx), self._chains.signing
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
        return await put(tx, self._chains, last, body)
