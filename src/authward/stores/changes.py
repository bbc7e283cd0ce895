"""The change feed in SQL.

SQLite commits in order, so a row's id is the cursor. PostgreSQL does not: a row there carries its transaction's id, a reader
applies every visible row at or above its cursor, and moves the cursor only to the oldest transaction still running.
"""

from __future__ import annotations

from collections.abc import Mapping

from sqlalchemy import BigInteger, bindparam, or_, select, true
from sqlalchemy.sql.expression import literal_column

from authward.ports import Change, ChangeBatch
from authward.stores.database import NOW, Database
from authward.stores.schema import changes, role_permissions, roles

_FRESH = changes.c.at >= NOW - bindparam("horizon", type_=BigInteger())
_CURSOR = bindparam("cursor", type_=BigInteger())
_SQLITE = (
    select(changes).where(changes.c.id > _CURSOR, or_(_CURSOR > 0, _FRESH)).order_by(changes.c.id)
)
_RUNNING = select(
    literal_column(
        "CAST(CAST(pg_snapshot_xmin(pg_current_snapshot()) AS TEXT) AS BIGINT)", BigInteger
    ).label("xmin")
).subquery()
# One statement, so rows and xmin come from one snapshot.
_POSTGRESQL = select(_RUNNING.c.xmin, changes).select_from(
    _RUNNING.outerjoin(changes, (changes.c.xid >= _CURSOR) & or_(_CURSOR > 0, _FRESH) & true())
)
_ROLES = select(roles.c.name, role_permissions.c.permission).select_from(
    roles.outerjoin(role_permissions, role_permissions.c.role == roles.c.name)
)


class SqlChanges:
    """`ChangeFeed` over SQLite and PostgreSQL."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def since(self, cursor: int, *, horizon: int) -> ChangeBatch:
        statement = _POSTGRESQL if self._database.postgresql else _SQLITE
        async with self._database.read() as tx:
            rows = await tx.rows(statement, {"cursor": cursor, "horizon": horizon})
        found = [
            Change(row.kind, row.subject, row.ver, row.keep_session, row.at)
            for row in rows
            if row.id is not None
        ]
        if self._database.postgresql:
            return ChangeBatch(found, rows[0].xmin)
        return ChangeBatch(found, rows[-1].id if rows else cursor)

    async def roles(self) -> Mapping[str, frozenset[str]]:
        async with self._database.read() as tx:
            rows = await tx.rows(_ROLES)
        names = {row.name for row in rows}
        return {
            name: frozenset(
                row.permission for row in rows if row.name == name and row.permission is not None
            )
            for name in names
        }
