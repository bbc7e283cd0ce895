"""Limits that hold over all processes together."""

from __future__ import annotations

from authward.core.limits import Decision, Limit
from authward.ports import RateLimiter
from authward.services.counts import Counts

_GENERAL = "general"


class Throttling:
    """Counts the requests of clients in `limiter`. A limit of None is off. `name` keeps apart the
    installations that share one limiter. Its keys begin with `server`: no other's may.
    """

    def __init__(
        self,
        limiter: RateLimiter,
        name: str,
        *,
        general: Limit | None,
        credential: Limit | None,
        counts: Counts | None = None,
    ) -> None:
        self._limiter = limiter
        self._counts = counts or Counts()
        self._name = name
        self._general = general
        self._credential = credential

    async def take(self, route: str, client: str) -> Decision | None:
        """Count a request to a credential route, each of which has a limit of its own. None if
        that is off. Raises Unavailable if the count is not to be had.
        """
        if self._credential is None:
            return None
        decision = await self._take(route, client, self._credential)
        self._counts.limited[decision.allowed] += 1
        return decision

    async def take_general(self, client: str) -> Decision | None:
        """Count a request to any route, where one limiter is shared by all processes."""
        if self._general is None:
            return None
        return await self._take(_GENERAL, client, self._general)

    async def _take(self, what: str, client: str, limit: Limit) -> Decision:
        return await self._limiter.take(f"server {self._name} {what} {client}", limit)
