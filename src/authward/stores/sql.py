"""The SQL store: every port over one database, SQLite or PostgreSQL."""

from __future__ import annotations

from sqlalchemy import BigInteger, bindparam, delete, text

from authward.ports import Clock
from authward.stores.audit import SqlAudit
from authward.stores.changes import SqlChanges
from authward.stores.database import NOW, Database
from authward.stores.keys import SqlKeys
from authward.stores.migrate import migrate
from authward.stores.schema import changes, sessions
from authward.stores.sessions import SqlSessions
from authward.stores.users import SqlUsers

CHANGES_KEPT_MS = 7 * 86_400_000
"""Far beyond the life of any access token, dangerously long ones included up to a week."""

_BEFORE = NOW - bindparam("age", type_=BigInteger())


class SqlStore:
    """`Store` over the database of `url` (`sqlite:///path` or `postgresql://…`)."""

    def __init__(self, url: str, clock: Clock) -> None:
        self.database = Database(url, clock)
        self.users = SqlUsers(self.database)
        self.sessions = SqlSessions(self.database)
        self.keys = SqlKeys(self.database)
        self.changes = SqlChanges(self.database)
        self.audit = SqlAudit(self.database)

    async def open(self) -> None:
        await migrate(self.database)

    async def ping(self) -> None:
        async with self.database.read() as tx:
            await tx.rows(text("SELECT 1"))

    async def sweep(self) -> None:
        async with self.database.write() as tx:
            await tx.run(delete(sessions).where(sessions.c.expires_at < _BEFORE), {"age": 0})
            await tx.run(delete(changes).where(changes.c.at < _BEFORE), {"age": CHANGES_KEPT_MS})

    async def close(self) -> None:
        await self.database.close()
