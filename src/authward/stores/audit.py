"""Audit rows in SQL."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any

from sqlalchemy import (
    BigInteger,
    ColumnElement,
    Row,
    Select,
    Text,
    bindparam,
    literal,
    or_,
    select,
    tuple_,
    union,
    update,
)
from sqlalchemy.exc import DBAPIError

from authward.core.audit import Event
from authward.core.audit_rows import StoredRow, bare, erasure_of, may_be_erased
from authward.core.chain import AuditKeys, Head, signed_by_us
from authward.ports import AuditQuery, AuditRow, Erased
from authward.stores.chains import LOCK
from authward.stores.database import Database
from authward.stores.engines import away
from authward.stores.heads import SIGNED_HEADS
from authward.stores.readable import COLUMNS, STORED, readable
from authward.stores.schema import audit_events, audit_writers
from authward.stores.transactions import Transaction

ERASED_AT_ONCE = 500
_LOWEST, _HIGHEST = -(2**63), 2**63 - 1
_WIDTH = len(STORED)

_at, _id = audit_events.c.at, audit_events.c.id
# Nothing comes after a row without an id, as there may be where somebody took the key off the
# table: whoever reads on from there begins anew.
_THERE = _id.is_not(None)
_WANTED = bindparam("wanted", type_=Text())
_OF = (
    select(_id)
    .where(
        _id >= bindparam("from", type_=BigInteger()),
        _id.in_(
            union(
                select(_id).where(audit_events.c.subject == _WANTED),
                select(_id).where(audit_events.c.actor == _WANTED),
            )
        ),
    )
    .order_by(_id)
    .limit(ERASED_AT_ONCE)
)
_WITH_HEADS = (
    select(*STORED, *SIGNED_HEADS.selected_columns)
    .outerjoin(audit_writers, audit_writers.c.writer == audit_events.c.writer)
    .where(_id.in_(bindparam("ids", type_=BigInteger(), expanding=True)))
)


class SqlAudit:
    """`AuditLog` over SQLite and PostgreSQL."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def use(self, keys: AuditKeys) -> None:
        self._database.chains.keys = keys

    async def record(self, events: Sequence[Event]) -> None:
        async def work(tx: Transaction) -> None:
            for event in events:
                await tx.record(event)

        await self._database.write(work)

    async def latest(self, limit: int) -> list[AuditRow]:
        return await self._rows(select(*COLUMNS).where(_THERE).order_by(_id.desc()).limit(limit))

    async def page(
        self, query: AuditQuery, limit: int, *, before: tuple[int, int] | None
    ) -> list[AuditRow]:
        return await self._rows(_page(query, limit, before))

    async def after(self, query: AuditQuery, limit: int, *, last: int | None) -> list[AuditRow]:
        found = select(*COLUMNS).where(*_conditions(query, by_id=True))
        found = found.where(_THERE if last is None else _id > last)
        if query.user is not None:
            found = found.where(
                or_(audit_events.c.subject == query.user, audit_events.c.actor == query.user)
            )
        return await self._rows(found.order_by(_id).limit(limit))

    async def erase(self, user_id: str, told: Callable[[int], Event] | None = None) -> Erased:
        done, start = Erased(0, ()), _LOWEST
        while True:
            ids, left = await self._database.write(partial(self._erase, user_id, start, told))
            done = Erased(done.rows + len(ids) - len(left), done.left + left)
            if len(ids) < ERASED_AT_ONCE or ids[-1] == _HIGHEST:
                return done
            start = ids[-1] + 1

    async def _erase(
        self, user_id: str, start: int, told: Callable[[int], Event] | None, tx: Transaction
    ) -> tuple[list[int], tuple[int, ...]]:
        """Some rows from `start` on, by id; and which of them are left."""
        keys = self._database.chains.signing
        if self._database.postgresql:
            # Of one row somebody else may erase who did it, while we erase to whom.
            await tx.rows(LOCK)
        ids = [row.id for row in await tx.rows(_OF, {"wanted": user_id, "from": start})]
        left = set(ids)
        for found in await self._with_heads(ids, tx):
            row, [*head, mac, _] = StoredRow(*found[:_WIDTH]), found[_WIDTH:]
            secret = _secret_of(keys, row, Head(*head), mac)
            if secret is not None:
                values = _erased(row, user_id, secret)
                await tx.run(update(audit_events).where(_id == row.id).values(values))
                left.remove(row.id)
        if told is not None and len(left) < len(ids):
            await tx.record(told(len(ids) - len(left)))
        return ids, tuple(sorted(left))

    async def _with_heads(self, ids: Sequence[int], tx: Transaction) -> Sequence[Row[Any]]:
        """Those of the rows that can be read. On SQLite one may hold text that is none."""
        try:
            return await tx.rows(_WITH_HEADS, {"ids": ids})
        except DBAPIError as error:
            if self._database.postgresql or away(error):
                raise
            if len(ids) == 1:
                return ()
        return [row for one in ids for row in await self._with_heads([one], tx)]

    async def _rows(self, statement: Select[Any]) -> list[AuditRow]:
        return [readable(row) for row in await self._database.read(statement)]


def _secret_of(keys: AuditKeys, row: StoredRow, head: Head, mac: Any) -> bytes | None:
    """What to sign an erasure with: nothing of a row in no chain. None if it is to be left: what
    was edited is evidence, and to sign for it would be to say that it was not.
    """
    if row.writer is None:
        return b"" if bare(row) else None
    if not signed_by_us(keys, head, mac):
        return None
    secret = keys.secrets[head.kid]
    return secret if may_be_erased(secret, row) else None


def _erased(row: StoredRow, user_id: str, secret: bytes) -> dict[str, Any]:
    """The columns of a row without what they tell of an account."""
    what = row.subject == user_id
    # An address beside no actor is that of whom the row is about; no address is an operator's, on
    # this machine.
    who = row.actor == user_id or (row.actor is None and what and row.ip != "")
    values: dict[str, Any] = {}
    if who:
        values |= {"actor": None, "ip": "", "user_agent": "", "request_id": "", "who_salt": None}
    if what:
        values |= {"subject": None, "session": None, "detail": {}, "what_salt": None}
    if row.writer is not None:
        values["erased"] = erasure_of(
            secret, row, who=who or row.who_salt is None, what=what or row.what_salt is None
        )
    return values


def _page(query: AuditQuery, limit: int, before: tuple[int, int] | None) -> Select[Any]:
    conditions = list(_conditions(query))
    if before is not None:
        conditions.append(tuple_(_at, _id) < tuple_(*map(literal, before)))
    latest = (_at.desc(), _id.desc())
    if query.user is None:
        return select(*COLUMNS).where(*conditions).order_by(*latest).limit(limit)
    # An index for each: of `a OR b` neither database makes two ordered walks.
    arms = [
        select(
            select(_id)
            .where(column == query.user, *conditions)
            .order_by(*latest)
            .limit(limit)
            .subquery()
            .c.id
        )
        for column in (audit_events.c.subject, audit_events.c.actor)
    ]
    ids = union(*arms).subquery()
    return select(*COLUMNS).join(ids, ids.c.id == _id).order_by(*latest).limit(limit)


def _conditions(query: AuditQuery, *, by_id: bool = False) -> Iterator[ColumnElement[bool]]:
    """All but the user. Of what an index could find, the rarest is left to it, the rest is said so
    that no other index fits: without statistics SQLite would take any. `by_id` leaves none.
    """
    taken = by_id or query.user is not None
    for column, wanted in ((audit_events.c.ip, query.ip), (audit_events.c.kind, query.kind)):
        if wanted is not None:
            said: ColumnElement[Any] = column.concat("") if taken else column
            yield said == wanted
            taken = True
    at: ColumnElement[Any] = _at + 0 if by_id else _at
    if query.since is not None:
        yield at >= query.since
    if query.until is not None:
        yield at < query.until
