"""Counting over all processes."""

from __future__ import annotations

from typing import Protocol

from authward.core.limits import Decision, Limit


class RateLimiter(Protocol):
    """Counts over all processes that share it."""

    async def take(self, key: str, limit: Limit, cost: int = 1) -> Decision:
        """Take `cost` places under `key`, all or none: no window of `limit.window` seconds holds
        more than `limit.most` of them, however many ask at once. A request that is refused takes
        none. Keys are apart, whatever they are made of, and each limit of a key has places of its
        own. Raises ValueError for a cost that can never fit.

        If it raises Unavailable, or the caller is cancelled, places may have been taken all the
        same.
        """
        ...
