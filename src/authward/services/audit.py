"""Audit of what has no transaction of its own: refusals, folded so that an attacker does not buy us a write each."""

from __future__ import annotations

import asyncio
import logging
from dataclasses import replace

from authward.core.audit import Client, Event
from authward.core.text import printable
from authward.errors import Refusal
from authward.ports import AuditLog, Clock

MOST_PENDING = 1000
FLUSH_EVERY = 1.0

log = logging.getLogger("authward.audit")

_Fold = tuple[str, str, str | None, int]


class Refusals:
    """Refused requests, one counted row per kind, client, account and minute. What overflows is counted and told."""

    def __init__(self, store: AuditLog, clock: Clock) -> None:
        self._store = store
        self._clock = clock
        self._pending: dict[_Fold, Event] = {}
        self._dropped = 0
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        self._task = asyncio.create_task(self._keep_flushing(), name="authward-audit")

    async def stop(self) -> None:
        """Write what is pending."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
            self._task = None
        await self.flush()

    def note(
        self, kind: str, client: Client, *, subject: str | None = None, reason: str = ""
    ) -> None:
        """Remember one refusal; it is written within a second."""
        fold = (kind, client.ip, subject, int(self._clock.now() // 60))
        known = self._pending.get(fold)
        if known is not None:
            count = known.detail["count"]
            self._pending[fold] = replace(known, detail={**known.detail, "count": int(count) + 1})
        elif len(self._pending) < MOST_PENDING:
            self._pending[fold] = Event(
                kind,
                client,
                "refused",
                subject=subject,
                detail={"reason": printable(reason), "count": 1},
            )
        else:
            self._dropped += 1

    async def flush(self) -> None:
        """Write all pending rows, and one for those that found no place."""
        events = list(self._pending.values())
        dropped, self._dropped = self._dropped, 0
        self._pending.clear()
        if dropped:
            events.append(Event("audit.dropped", Client(), "refused", detail={"count": dropped}))
        if not events:
            return
        try:
            await self._store.record(events)
        except Refusal as away:
            # Kept as a number: the database is away, and memory is bounded.
            self._dropped += dropped + sum(
                int(event.detail["count"]) for event in events if event.kind != "audit.dropped"
            )
            log.error("audit rows not written: %s", away.reason)

    async def _keep_flushing(self) -> None:
        while True:
            await asyncio.sleep(FLUSH_EVERY)
            try:
                await self.flush()
            except Exception:
                log.exception("audit rows not written")
