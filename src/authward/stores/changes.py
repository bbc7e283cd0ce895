"""The change feed in SQL.

SQLite commits in order, so a row's id is the cursor. PostgreSQL does not: a row there carries its
transaction's number, and a reader keeps what its snapshot was: the first number that it could not
show, and which below that still ran. What these write, and what lies above, is new.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from sqlalchemy import ARRAY, BigInteger, Row, Select, bindparam, func, null, or_, select, union_all
from sqlalchemy.sql.expression import ColumnElement

from authward.core.permissions import Role
from authward.ports import Change, ChangeBatch, Cursor
from authward.stores.database import Database
from authward.stores.expressions import FEED_HEAD, FEED_NEXT, NOW, RUNNING
from authward.stores.schema import changes, role_includes, role_permissions, roles
from authward.stores.transactions import Transaction

_CURSOR = bindparam("cursor", type_=BigInteger())
_RUNNING = bindparam("running", type_=ARRAY(BigInteger()))
_FRESH = changes.c.at >= NOW - bindparam("horizon", type_=BigInteger())
# What roles grant and include, in one statement, so from one snapshot.
ROLES = union_all(
    select(roles.c.name, null().label("permission"), null().label("included")),
    select(role_permissions.c.role, role_permissions.c.permission, null()),
    select(role_includes.c.role, null(), role_includes.c.included),
)


def _since(
    unseen: ColumnElement[bool], head: ColumnElement[int], running: ColumnElement[Any]
) -> Select[Any]:
    # One statement, so the rows and the next cursor come from one snapshot.
    now = select(head.label("head"), running.label("running")).subquery()
    found = now.outerjoin(changes, unseen & or_(_CURSOR > 0, _FRESH))
    return select(now.c.head, now.c.running, *changes.c).select_from(found).order_by(changes.c.id)


_SQLITE = _since(changes.c.id > _CURSOR, FEED_HEAD, null())
_POSTGRESQL = _since(
    or_(changes.c.xid >= _CURSOR, changes.c.xid == func.any(_RUNNING)), FEED_NEXT, RUNNING
)


def roles_of(rows: Iterable[Row[Any]]) -> dict[str, Role]:
    """The roles that the rows of `ROLES` tell of."""
    granted: dict[str, set[str]] = defaultdict(set)
    included: dict[str, set[str]] = defaultdict(set)
    for row in rows:
        granted[row.name].update(() if row.permission is None else (row.permission,))
        included[row.name].update(() if row.included is None else (row.included,))
    return {name: Role(frozenset(granted[name]), frozenset(included[name])) for name in granted}


class SqlChanges:
    """`ChangeFeed` over SQLite and PostgreSQL."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def since(self, cursor: Cursor, *, horizon: int) -> ChangeBatch:
        values: dict[str, Any] = {"cursor": cursor.head, "horizon": horizon}
        if self._database.postgresql:
            values["running"] = list(cursor.running)
            rows = await self._database.read(_POSTGRESQL, values)
        else:
            rows = await self._database.read(_SQLITE, values)
        head = rows[0].head
        if head < cursor.head:
            # Another database stands here now: a restored backup, or a replica that counts anew.
            return replace(await self.since(Cursor(), horizon=horizon), anew=True)
        found = [
            Change(row.kind, row.subject, row.ver, row.keep_session, row.at, row.before)
            for row in rows
            if row.id is not None
        ]
        return ChangeBatch(found, Cursor(head, tuple(rows[0].running or ())))

    async def roles(self) -> Mapping[str, Role]:
        return roles_of(await self._database.read(ROLES))

    async def announce(self, changes: Sequence[Change]) -> None:
        async def work(tx: Transaction) -> None:
            for change in changes:
                await tx.announce(change)

        await self._database.write(work)
