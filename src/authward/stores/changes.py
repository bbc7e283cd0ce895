"""The change feed in SQL.

SQLite commits in order, so a row's id is the cursor. PostgreSQL does not: a row there carries its
transaction's number, a reader applies every visible row at or above its cursor, and moves the
cursor only to the oldest transaction still running.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import BigInteger, Select, bindparam, or_, select
from sqlalchemy.sql.expression import ColumnElement

from authward.ports import Change, ChangeBatch
from authward.stores.database import Database
from authward.stores.expressions import FEED_HEAD, NOW
from authward.stores.schema import changes, role_permissions, roles
from authward.stores.transactions import Transaction

_CURSOR = bindparam("cursor", type_=BigInteger())
_FRESH = changes.c.at >= NOW - bindparam("horizon", type_=BigInteger())
_ROLES = select(roles.c.name, role_permissions.c.permission).select_from(
    roles.outerjoin(role_permissions, role_permissions.c.role == roles.c.name)
)


def _since(unseen: ColumnElement[bool]) -> Select[Any]:
    # One statement, so the rows and the next cursor come from one snapshot.
    head = select(FEED_HEAD.label("head")).subquery()
    found = head.outerjoin(changes, unseen & or_(_CURSOR > 0, _FRESH))
    return select(head.c.head, *changes.c).select_from(found).order_by(changes.c.id)


_SQLITE = _since(changes.c.id > _CURSOR)
_POSTGRESQL = _since(changes.c.xid >= _CURSOR)


class SqlChanges:
    """`ChangeFeed` over SQLite and PostgreSQL."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def since(self, cursor: int, *, horizon: int) -> ChangeBatch:
        statement = _POSTGRESQL if self._database.postgresql else _SQLITE
        rows = await self._database.read(statement, {"cursor": cursor, "horizon": horizon})
        head = rows[0].head
        if head < cursor:
            # Another database stands here now: a restored backup, or a replica that counts anew.
            return await self.since(0, horizon=horizon)
        found = [
            Change(row.kind, row.subject, row.ver, row.keep_session, row.at)
            for row in rows
            if row.id is not None
        ]
        return ChangeBatch(found, head)

    async def roles(self) -> Mapping[str, frozenset[str]]:
        granted: dict[str, set[str]] = defaultdict(set)
        for row in await self._database.read(_ROLES):
            granted[row.name].update(() if row.permission is None else (row.permission,))
        return {name: frozenset(permissions) for name, permissions in granted.items()}

    async def announce(self, changes: Sequence[Change]) -> None:
        async def work(tx: Transaction) -> None:
            for change in changes:
                await tx.announce(change)

        await self._database.write(work)
