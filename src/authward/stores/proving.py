"""All of the audit log, held against its chains, in SQL."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AsyncExitStack
from typing import Any

from sqlalchemy import BigInteger, Row, Select, bindparam, func, select
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from authward.core.anchors import Anchors
from authward.core.audit_rows import StoredRow
from authward.core.chain import AuditKeys, Checkpoint
from authward.core.chain_proof import Proof, Prover
from authward.errors import Unavailable
from authward.stores.database import Database, Read
from authward.stores.engines import away, said
from authward.stores.heads import SIGNED_HEADS, head_of
from authward.stores.readable import STORED
from authward.stores.schema import audit_checkpoints, audit_events, audit_writers

STEP = 1000
_LOWEST, _HIGHEST = -(2**63), 2**63 - 1

_FROM = bindparam("from", type_=BigInteger())
_id, _number = audit_events.c.id, audit_checkpoints.c.number
_ROWS = select(*STORED).where(_id >= _FROM).order_by(_id).limit(STEP)
_IDS = select(_id).where(_id >= _FROM).order_by(_id).limit(STEP)
_COUNT = select(func.count()).select_from(audit_events)
_CHECKPOINTS = select(audit_checkpoints).where(_number > _FROM).order_by(_number).limit(STEP)


async def prove(
    database: Database, keys: AuditKeys, anchors: Anchors, on_rows: Callable[[int, int], None]
) -> Proof:
    """`AuditChains.verify`."""
    prover = Prover(keys, anchors)
    try:
        async with AsyncExitStack() as stack:
            try:
                read = await stack.enter_async_context(database.snapshot())
            except (PoolTimeout, OSError) as error:
                raise Unavailable(f"database: {said(error)}", retry_after=1) from error
            await _tell_all(read, prover, on_rows)
    except DBAPIError as error:
        # No second try: what one snapshot told so far does not fit another.
        if away(error):
            raise Unavailable(f"database: {said(error)}", retry_after=1) from error
        raise
    return prover.finish()


async def _tell_all(read: Read, prover: Prover, on_rows: Callable[[int, int], None]) -> None:
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
            rows = [StoredRow._make(row) for row in await read(_ROWS, {"from": start})]
        except DBAPIError as error:
            _unless_away(error)
            rows = await _one_by_one(read, prover, start)
            ids = await read(_IDS, {"from": start})
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
    for (row_id,) in await read(_IDS, {"from": start}):
        try:
            found += [StoredRow._make(row) for row in await read(one, {"from": row_id})]
        except DBAPIError as error:
            _unless_away(error)
            prover.unreadable(row_id)
    return found


def _unless_away(error: DBAPIError) -> None:
    if away(error):
        raise error
