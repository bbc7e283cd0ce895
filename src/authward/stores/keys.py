"""Sealed keys in SQL."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import insert, select, text

from authward.ports import StoredKey
from authward.stores.database import Database
from authward.stores.expressions import NOW
from authward.stores.schema import keys
from authward.stores.transactions import Transaction

_ALL = select(keys).order_by(keys.c.created_at, keys.c.kid)
_ADD = insert(keys).values(created_at=NOW)
# Any constant serves, so long as it is ours alone.
_KEY_LOCK = text("SELECT pg_advisory_xact_lock(4711746108701)")


class SqlKeys:
    """`KeyStore` over SQLite and PostgreSQL."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def add_first(self, new: Sequence[StoredKey]) -> list[StoredKey]:
        async def work(tx: Transaction) -> list[StoredKey]:
            if self._database.postgresql:
                await tx.rows(_KEY_LOCK)
            there = {row.ring for row in await tx.rows(_ALL)}
            for key in new:
                if key.ring not in there:
                    await tx.run(
                        _ADD,
                        {
                            "kid": key.kid,
                            "ring": key.ring,
                            "algorithm": key.algorithm,
                            "state": key.state,
                            "sealed": key.sealed,
                        },
                    )
            return [StoredKey(**row._mapping) for row in await tx.rows(_ALL)]

        return await self._database.write(work)
