"""The audit log as those see it who may read it, and what keeps it provable: checkpoints, and
pruning what is old.
"""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from dataclasses import dataclass

from authward.core.audit import Client, Event, fields_of
from authward.core.chain import Checkpoint
from authward.core.chain_proof import HeldUp, Pruned
from authward.core.cursors import cursor_of, parse_numbered
from authward.core.times import iso_time
from authward.errors import Refusal, Unavailable
from authward.ports import AuditChains, AuditLog, AuditQuery, AuditRow, Clock, Erased

CHECKPOINT_EVERY = 300.0
"""Seconds between two checkpoints, and between two looks for rows that are too old."""
_EVER = 2**62
_STEP = 1000
_CLOCKS_APART = 3_600_000
"""Milliseconds by which the clocks of two processes may differ, and nobody has to hear of it."""

log = logging.getLogger("authward.audit")


@dataclass(frozen=True, slots=True)
class AuditPage:
    """Some rows, the latest first, and the cursor of the next page if there may be one."""

    rows: list[AuditRow]
    cursor: str | None


class Trail:
    """The audit log of any store. Checkpoints go to the log too: whoever keeps that elsewhere can
    tell later whether rows were taken away. `retention` in seconds; None keeps all.
    """

    def __init__(
        self, audit: AuditLog, chains: AuditChains, clock: Clock, *, retention: float | None
    ) -> None:
        self._audit = audit
        self._chains = chains
        self._clock = clock
        self._retention = retention
        self._task: asyncio.Task[None] | None = None
        self._looked = clock.now() * 1000 - clock.offset_ms, clock.monotonic() * 1000

    async def begin(self) -> None:
        """Write the first checkpoint if there is none: before anything is recorded. Raises
        Unavailable if that fails: rows from before it could never be proved.
        """
        try:
            await self.checkpoint(every=_EVER)
        except Exception as broken:
            if not await self._chains.begun():
                why = broken.reason if isinstance(broken, Refusal) else type(broken).__name__
                raise Unavailable(
                    f"the first checkpoint of the audit log cannot be written: {why}",
                    retry_after=1,
                ) from broken
            _tell_unwritten(broken)

    def start(self) -> None:
        """Write a checkpoint every few minutes from now on."""
        self._task = asyncio.create_task(self._keep(), name="authward-checkpoints")

    async def stop(self) -> None:
        """Write a last checkpoint, if this process recorded anything."""
        keeping = self._task is not None
        await self.leave()
        if keeping and self._chains.wrote:
            await self._try()

    async def leave(self) -> None:
        """Leave checkpoints to the servers, from now on: a command has no log that somebody keeps,
        and a checkpoint in none is no anchor.
        """
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
            self._task = None

    async def checkpoint(self, *, every: int = 0) -> Checkpoint | None:
        """Sign where every chain is; None if nothing moved, or the last is younger than `every`
        milliseconds.
        """
        made = await self._chains.checkpoint(every=every)
        if made is not None:
            log.info(self.anchor_line(made))
        return made

    def anchor_line(self, made: Checkpoint) -> str:
        """A checkpoint as one line of JSON, for the log: an anchor to verify by."""
        told = {"time": iso_time(made.at), "kind": "checkpoint"}
        return json.dumps(told | self._chains.anchor(made)._asdict())

    async def prune(
        self, before: int, on_rows: Callable[[int], None], client: Client | None = None
    ) -> Pruned:
        """Delete what is older than `before`, if it verifies. What was deleted is recorded,
        whatever ends it.
        """
        deleted = 0

        def count(rows: int) -> None:
            nonlocal deleted
            deleted = rows
            on_rows(rows)

        try:
            pruned = await self._chains.prune(before, count)
        except BaseException:
            if deleted:
                log.warning("pruning the audit log was cut off after %d rows", deleted)
            # What ended it goes on: a stop that is taken for a database away is none.
            with suppress(Exception):
                await self._record_pruned(deleted, before, client)
            raise
        await self._record_pruned(pruned.rows, before, client)
        return pruned

    async def _record_pruned(self, rows: int, before: int, client: Client | None) -> None:
        if rows:
            detail: dict[str, str | int] = {"rows": rows, "before": iso_time(before)}
            await self._audit.record([Event("audit.pruned", client or Client(), detail=detail)])

    async def erase(self, user_id: str, client: Client) -> Erased:
        """Erase what the rows tell of an account, as far as that can be signed for."""

        def told(rows: int) -> Event:
            # Not whose: that is what was to go.
            return Event("audit.erased", client, detail={"rows": rows})

        return await self._audit.erase(user_id, told)

    async def page(self, query: AuditQuery, *, limit: int, cursor: str | None) -> AuditPage:
        """Rows, the latest first. Raises ValidationError for a cursor that is none of ours."""
        before = None if cursor is None else parse_numbered(cursor)
        found = await self._audit.page(query, limit + 1, before=before)
        shown = found[:limit]
        return AuditPage(
            shown, cursor_of(shown[-1].at, shown[-1].id) if len(found) > limit else None
        )

    async def rows(self, query: AuditQuery, *, last: int | None = None) -> AsyncIterator[AuditRow]:
        """All rows, or those of a higher id than `last`, in the order of ids."""
        while some := await self._audit.after(query, _STEP, last=last):
            for row in some:
                yield row
            last = some[-1].id

    async def _keep(self) -> None:
        while True:
            await asyncio.sleep(CHECKPOINT_EVERY)
            # Of several processes one writes it.
            await self._try(every=int(CHECKPOINT_EVERY * 500))
            if self._retention is not None:
                await self._prune_old(self._retention)

    async def _try(self, *, every: int = 0) -> None:
        # Whatever somebody made of the tables: it is for verifying to say so, and no reason not to
        # serve.
        try:
            await self.checkpoint(every=every)
        except Exception as broken:
            _tell_unwritten(broken)

    async def _prune_old(self, retention: float) -> None:
        try:
            before = int(await self._time() - retention * 1000)
            pruned = await self.prune(before, lambda rows: None)
            held = None if pruned.problem else await self._chains.held_up(before - _CLOCKS_APART)
        except Refusal as away:
            log.warning("audit rows are not pruned: %s", away.reason)
        except Exception:
            log.exception("audit rows are not pruned")
        else:
            _tell_unpruned(pruned, held)

    async def _time(self) -> int:
        """The time to delete by, in milliseconds: what is gone does not come back when a clock that
        was ahead is put right. So the lesser of ours and the database's, and where both are of one
        machine, a jump counts from the next look on.
        """
        turned = self._clock.offset_ms
        now = self._clock.now() * 1000 - turned, self._clock.monotonic() * 1000
        before, self._looked = self._looked, now
        own = min(now[0], before[0] + now[1] - before[1])
        return min(int(own) + turned, await self._chains.time())


def _tell_unpruned(pruned: Pruned, held: HeldUp | None) -> None:
    if pruned.problem is not None:
        row, why = pruned.problem.row, pruned.problem.why
        told = why if row is None else f"row {row} {why}"
        log.error("audit rows are not pruned, as they do not verify: %s", told)
    elif held is not None:
        log.warning(
            "audit rows that are old enough are not pruned: %d. Row %d comes before some of them "
            "in its chain, and is dated later. Run authward audit verify",
            *held,
        )


def _tell_unwritten(broken: Exception) -> None:
    if isinstance(broken, Refusal):
        log.warning("no checkpoint written: %s", broken.reason)
    else:
        log.error("no checkpoint written", exc_info=broken)


def row_data(row: AuditRow) -> dict[str, object]:
    """A row as it is shown."""
    shown = fields_of(row.event, row.at)
    return {"id": row.id, **shown, "detail": dict(row.event.detail)}
