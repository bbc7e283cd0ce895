"""The SQL store: every port over one database, SQLite or PostgreSQL."""

from __future__ import annotations

from sqlalchemy import BigInteger, ColumnElement, Table, bindparam, delete, select, text

from authward.ports import Clock
from authward.stores.audit import SqlAudit
from authward.stores.changes import SqlChanges
from authward.stores.checkpoints import SqlChains
from authward.stores.database import PATIENCE_S, Database
from authward.stores.expressions import NOW
from authward.stores.keys import SqlKeys
from authward.stores.limits import SqlLimiter
from authward.stores.migrate import migrate
from authward.stores.roles import SqlRoles
from authward.stores.schema import changes, rate_limits, sessions
from authward.stores.sessions import SqlSessions
from authward.stores.users import SqlUsers

CHANGES_KEPT_MS = 7 * 86_400_000
"""Far beyond the life of any access token, dangerously long ones included up to a week."""

SWEEP_BATCH = 1000
"""Rows deleted in one transaction: others must get their turn between."""

_BEFORE = NOW - bindparam("age", type_=BigInteger())


class SqlStore:
    """`Store` over the database of `url` (`sqlite:///path` or `postgresql://…`). `patience`: see
    `Database`.
    """

    def __init__(self, url: str, clock: Clock, *, patience: float = PATIENCE_S) -> None:
        self.database = Database(url, clock, patience=patience)
        self.users = SqlUsers(self.database)
        self.roles = SqlRoles(self.database)
        self.sessions = SqlSessions(self.database)
        self.keys = SqlKeys(self.database)
        self.changes = SqlChanges(self.database)
        self.audit = SqlAudit(self.database)
        self.chains = SqlChains(self.database)
        self.limits = SqlLimiter(self.database, clock)

    async def open(self) -> None:
        await migrate(self.database)

    async def ping(self) -> None:
        # Of our own table: a database that lost its schema is as good as away.
        await self.database.read(text("SELECT version_num FROM alembic_version"))

    async def sweep(self) -> None:
        await self._delete(sessions, sessions.c.expires_at < _BEFORE, age=0)
        await self._delete(changes, changes.c.at < _BEFORE, age=CHANGES_KEPT_MS)
        await self._delete(rate_limits, rate_limits.c.expires_at < _BEFORE, age=0)

    async def _delete(self, table: Table, where: ColumnElement[bool], *, age: int) -> None:
        some = select(table.c.id).where(where).limit(SWEEP_BATCH)
        # Said twice: a row that waited for its lock is judged anew, and what others wrote stays.
        statement = delete(table).where(table.c.id.in_(some), where)
        while await self.database.write(lambda tx: tx.run(statement, {"age": age})) == SWEEP_BATCH:
            pass

    async def close(self) -> None:
        await self.database.close()
