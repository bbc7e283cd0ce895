"""Limits in SQL, exact over all processes: one row for each key and limit, judged and written under
its lock.
"""

from __future__ import annotations

import asyncio
import struct
import zlib
from collections.abc import Sequence
from weakref import WeakValueDictionary

from sqlalchemy import BigInteger, Integer, bindparam, func, select
from sqlalchemy.dialects.postgresql import insert as postgresql_insert
from sqlalchemy.dialects.sqlite import insert as sqlite_insert

from authward.core.limits import Decision, Limit
from authward.errors import Unavailable
from authward.ports import Clock
from authward.stores.counting import Refusals, check_cost, decide, stored_key, window_ms
from authward.stores.database import Database
from authward.stores.expressions import NOW
from authward.stores.schema import rate_limits
from authward.stores.transactions import Transaction

MOST = 1000
"""Of a limit kept here. A row holds every place, and is written whole."""

# A transaction's lock and no row's: it is there before the row is, costs no write, and what is read
# after it is what the one before left. Two keys of one slot wait for each other, no more.
_SPACE = 471_174_610
_LOCK = select(func.pg_advisory_xact_lock(_SPACE, bindparam("slot", type_=Integer())))
_READ = select(
    NOW.label("database_now"),
    select(rate_limits.c.places)
    .where(rate_limits.c.id == bindparam("wanted"))
    .scalar_subquery()
    .label("places"),
)
_ROW = {
    "id": bindparam("wanted"),
    "places": bindparam("taken", type_=rate_limits.c.places.type),
    "expires_at": bindparam("end", type_=BigInteger()),
}
_NEW = {name: value for name, value in _ROW.items() if name != "id"}
# Never an UPDATE: a sweep may have deleted what was read.
_WRITE_SQLITE = (
    sqlite_insert(rate_limits).values(_ROW).on_conflict_do_update(index_elements=["id"], set_=_NEW)
)
_WRITE_POSTGRESQL = (
    postgresql_insert(rate_limits)
    .values(_ROW)
    .on_conflict_do_update(index_elements=["id"], set_=_NEW)
)


class _Turn(asyncio.Lock):
    """Requests under one key ask one after the other. `lost` is what one of them ran into."""

    lost: Unavailable | None = None


class SqlLimiter:
    """`RateLimiter` over SQLite and PostgreSQL, for limits of up to `MOST`; raises ValueError for
    larger ones. Meant for the few requests that cost much, like sign-ins: each that is let in is a
    transaction. Who was refused is refused from memory until there is room again.
    """

    most = MOST
    """The largest limit it takes."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock
        self._refusals = Refusals()
        self._turns: WeakValueDictionary[str, _Turn] = WeakValueDictionary()

    async def take(self, key: str, limit: Limit, cost: int = 1) -> Decision:
        if limit.most > MOST:
            raise ValueError(
                f"a limit of {limit.most} requests is too large for the database. "
                f"Take up to {MOST}, or keep limits in Redis"
            )
        check_cost(cost, limit)
        key = stored_key(key, limit)
        if refused := self._refusals.find(key, cost, self._now()):
            return refused
        turn = self._turns.setdefault(key, _Turn())
        # A crowd under one key needs one connection, and asks no more than until it is refused.
        async with turn:
            if turn.lost is not None:
                # Or each would wait for a silent database in its turn.
                raise Unavailable(turn.lost.reason, retry_after=turn.lost.retry_after)
            asked = self._now()
            if refused := self._refusals.find(key, cost, asked):
                return refused
            try:
                decision = await self._ask(key, limit, cost)
            except Unavailable as error:
                turn.lost = error
                self._turns.pop(key, None)
                raise
            if not decision.allowed:
                self._refusals.note(key, decision, cost, asked)
            return decision

    async def _ask(self, key: str, limit: Limit, cost: int) -> Decision:
        values = {"wanted": key}

        async def work(tx: Transaction) -> Decision:
            # SQLite has locked out other writers by now.
            if self._database.postgresql:
                await tx.rows(_LOCK, {"slot": zlib.crc32(key.encode()) - 2**31})
            [row] = await tx.rows(_READ, values)
            decision, taken = decide(_unpacked(row.places), row.database_now, limit, cost)
            if decision.allowed:
                write = _WRITE_POSTGRESQL if self._database.postgresql else _WRITE_SQLITE
                end = taken[-1] + window_ms(limit)
                await tx.run(write, {**values, "taken": _packed(taken), "end": end})
            return decision

        return await self._database.write(work)

    def _now(self) -> float:
        # Turned along with the database's time, which a turned clock's monotonic one need not be.
        return self._clock.monotonic() + self._clock.offset_ms / 1000


def _packed(places: Sequence[int]) -> bytes:
    return struct.pack(f">{len(places)}q", *places)


def _unpacked(blob: bytes | None) -> tuple[int, ...]:
    return () if blob is None else struct.unpack(f">{len(blob) // 8}q", blob)
