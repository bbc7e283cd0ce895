"""Audit of what has no transaction of its own: refusals, folded so that an attacker does not buy us
a write each.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from dataclasses import replace

from authward.core.audit import Client, Event
from authward.core.text import printable
from authward.errors import Refusal
from authward.ports import AuditLog, Clock

MOST_PENDING = 1000
MOST_A_MINUTE = 5000
BATCH = 100  # rows in one transaction: sign-ins must get their turn between
FLUSH_EVERY = 1.0

log = logging.getLogger("authward.audit")

_Fold = tuple[int, str, str, str, str | None]


class Refusals:
    """Refused requests, folded by kind, error, client, account and minute: one counted row within a
    second of the first, one at the end of the minute for those that followed. What finds no place
    is counted, and told.
    """

    def __init__(self, store: AuditLog, clock: Clock) -> None:
        self._store = store
        self._clock = clock
        self._pending: dict[_Fold, Event] = {}
        self._told: set[_Fold] = set()
        self._dropped = 0
        self._flushing = asyncio.Lock()
        self._ending = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        self._task = asyncio.create_task(self._keep_flushing(), name="authward-audit")

    async def stop(self) -> None:
        """Write what is pending."""
        self._ending.set()
        if self._task is not None:
            await self._task
            self._task = None
        await self.flush(all_of_it=True)

    def note(
        self,
        kind: str,
        client: Client,
        *,
        subject: str | None = None,
        error: str = "",
        reason: str = "",
    ) -> None:
        """Remember one refusal. Of those that fold into one, the first one's reason is told."""
        fold = (self._minute(), kind, error, client.ip, subject)
        known = self._pending.get(fold)
        if known is not None:
            count = int(known.detail["count"]) + 1
            self._pending[fold] = replace(known, detail={**known.detail, "count": count})
        elif len(self._pending) < MOST_PENDING and len(self._told) < MOST_A_MINUTE:
            said: dict[str, str | int] = {"error": error} if error else {}
            said |= {"reason": printable(reason), "count": 1}
            self._pending[fold] = Event(kind, client, "refused", subject=subject, detail=said)
        else:
            self._dropped += 1

    async def flush(self, *, all_of_it: bool = False) -> None:
        """Write the rows that are due, and one for those that found no place. What another call has
        taken in hand is written, too, once this returns.
        """
        async with self._flushing:
            await self._flush(all_of_it=all_of_it)

    async def _flush(self, *, all_of_it: bool) -> None:
        minute = self._minute()
        due = [fold for fold in self._pending if all_of_it or self._is_due(fold, minute)]
        events = [self._pending.pop(fold) for fold in due]
        self._told = {fold for fold in (*self._told, *due) if fold[0] == minute}
        dropped, self._dropped = self._dropped, 0
        if dropped:
            events.append(Event("audit.dropped", Client(), "refused", detail={"count": dropped}))
        for first in range(0, len(events), BATCH):
            await self._write(events[first : first + BATCH])

    def _is_due(self, fold: _Fold, minute: int) -> bool:
        return fold[0] != minute or fold not in self._told

    def _minute(self) -> int:
        return int(self._clock.now() // 60)

    async def _write(self, events: Sequence[Event]) -> None:
        try:
            await self._store.record(events)
        except Exception as broken:
            # Kept as a number: the database may be away for long, and memory is bounded.
            self._dropped += sum(int(event.detail["count"]) for event in events)
            if isinstance(broken, Refusal):
                log.error("audit rows not written: %s", broken.reason)
            else:
                log.exception("audit rows not written")

    async def _keep_flushing(self) -> None:
        ended = False
        while not ended:
            ended = await self._ended(within=FLUSH_EVERY)
            await self.flush()

    async def _ended(self, *, within: float) -> bool:
        # Not cancelled from outside: rows that are just being written would be lost.
        try:
            async with asyncio.timeout(within):
                return await self._ending.wait()
        except TimeoutError:
            return False
