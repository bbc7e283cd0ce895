"""A limiter that goes on alone when the one shared by all processes is away."""

from __future__ import annotations

import logging

from authward.core.limits import Decision, Limit, SlidingWindows
from authward.errors import Unavailable
from authward.ports import Clock, RateLimiter

PAUSE_S = 1.0

log = logging.getLogger("authward.limits")


class FallbackLimiter:
    """`RateLimiter` that is never Unavailable. While `primary` is, this process counts by itself,
    at most `most_keys` under each limit, and once in `pause` seconds a single request asks
    `primary` again.

    What was counted alone is kept until it is over: a primary that comes and goes gives a client
    one more full window in each process, not one each time.
    """

    def __init__(
        self,
        primary: RateLimiter,
        clock: Clock,
        *,
        most_keys: int = 100_000,
        pause: float = PAUSE_S,
    ) -> None:
        self._primary = primary
        self._clock = clock
        self._most_keys = most_keys
        self._pause = pause
        self._windows: dict[Limit, SlidingWindows] = {}
        self._again: float | None = None
        self._alone = 0

    @property
    def degraded(self) -> bool:
        """Whether this process counts by itself, at present."""
        return self._again is not None

    @property
    def decided_alone(self) -> int:
        """How many decisions this process took by itself, ever."""
        return self._alone

    async def take(self, key: str, limit: Limit, cost: int = 1) -> Decision:
        if self._again is not None:
            now = self._clock.monotonic()
            if now < self._again:
                return self._take_here(key, limit, cost)
            self._again = now + self._pause  # before it is asked, so that others do not wait too
            probing = True
        else:
            probing = False
        try:
            decision = await self._primary.take(key, limit, cost)
        except Unavailable as error:
            self._lost(error)
            return self._take_here(key, limit, cost)
        # Not by an answer that was under way when another failed.
        if probing and self._again is not None:
            self._again = None
            log.warning("rate limits: all processes count together again")
        return decision

    def _lost(self, error: Unavailable) -> None:
        if self._again is None:
            log.error("rate limits: this process counts by itself: %s", error.reason)
        self._again = self._clock.monotonic() + self._pause

    def _take_here(self, key: str, limit: Limit, cost: int) -> Decision:
        windows = self._windows.get(limit)
        if windows is None:
            windows = self._windows[limit] = SlidingWindows(limit, most_keys=self._most_keys)
        self._alone += 1
        return windows.take(key, self._clock.monotonic(), cost)
