"""Audit rows in SQL."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import select

from authward.core.audit import Client, Event
from authward.ports import AuditRow
from authward.stores.database import Database
from authward.stores.schema import audit_events
from authward.stores.transactions import Transaction


class SqlAudit:
    """`AuditLog` over SQLite and PostgreSQL."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def record(self, events: Sequence[Event]) -> None:
        async def work(tx: Transaction) -> None:
            for event in events:
                await tx.record(event)

        await self._database.write(work)

    async def latest(self, limit: int) -> list[AuditRow]:
        statement = select(audit_events).order_by(audit_events.c.id.desc()).limit(limit)
        return [
            AuditRow(
                row.id,
                row.at,
                Event(
                    row.kind,
                    Client(row.ip, row.user_agent, row.request_id),
                    row.outcome,
                    row.actor,
                    row.subject,
                    row.session,
                    row.detail,
                ),
            )
            for row in await self._database.read(statement)
        ]
