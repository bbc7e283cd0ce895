"""Whether the database answers, asked no more often than it pays to know."""

from __future__ import annotations

import asyncio

from authward.ports import Clock, Store

ASK_EVERY = 0.25
"""Seconds. Who asks whether we are ready is under no limit, and must not buy a query each."""


class Readiness:
    """The store's answer, and for a moment after it what it said."""

    def __init__(self, store: Store, clock: Clock) -> None:
        self._store = store
        self._clock = clock
        self._answered = float("-inf")
        self._asking = asyncio.Lock()

    async def check(self) -> None:
        """Raises Unavailable if the database is away."""
        async with self._asking:
            await self._ask_if_due()

    async def _ask_if_due(self) -> None:
        if self._clock.monotonic() - self._answered < ASK_EVERY:
            return
        await self._store.ping()
        self._answered = self._clock.monotonic()
