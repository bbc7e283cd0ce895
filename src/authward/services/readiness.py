"""Whether this process can serve: what it needs, each by name, asked no more often than it pays to
know.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping
from contextvars import Context
from dataclasses import dataclass

from authward.errors import Refusal
from authward.ports import Clock, Store
from authward.services.feed import Feed
from authward.services.limits import FallbackLimiter

ASK_EVERY = 0.25
"""Seconds. Who asks whether we are ready is under no limit, and must not buy a query each."""
PATIENCE_S = 2.0
"""How long anybody waits for the database, which may take far longer to fail."""
OK = "ok"
LATE = "no answer in time"

log = logging.getLogger("authward")


@dataclass(frozen=True, slots=True)
class Checked:
    """What was found: by name `ok`, or what is wrong. `failing` are those we cannot serve without;
    none, if we can.
    """

    checks: Mapping[str, str]
    failing: tuple[str, ...]

    def __str__(self) -> str:
        return ", ".join(f"{name}: {self.checks[name]}" for name in self.failing)


class Readiness:
    """Asks the database, one question at a time for all who want to know. `keys` says whether the
    key rings are loaded, `limiter` is the one that can be degraded, or None.
    """

    def __init__(
        self,
        store: Store,
        clock: Clock,
        feed: Feed,
        keys: Callable[[], bool],
        limiter: FallbackLimiter | None,
    ) -> None:
        self._store = store
        self._clock = clock
        self._feed = feed
        self._keys = keys
        self._limiter = limiter
        self._database = LATE
        self._answered = self._asked = float("-inf")
        self._asking: asyncio.Task[None] | None = None
        self._was = self._why = ""

    async def check(self, *, draining: bool = False) -> Checked:
        """What we need, each by name. `draining`: the server takes leave, and wants no more."""
        checks = {
            "database": await self._of_database(),
            "feed": OK if self._feed.healthy else "not read in time",
            "keys": OK if self._keys() else "not loaded",
        }
        if draining:
            checks["server"] = "shutting down"
        failing = tuple(name for name, found in checks.items() if found != OK)
        if self._limiter is not None:
            # It limits all the same, so this turns nobody away.
            checks["limiter"] = "degraded" if self._limiter.degraded else OK
        found = Checked(checks, failing)
        self._tell(str(found))
        return found

    def _tell(self, failing: str) -> None:
        """Into the log, once for each change: who asks, asks often."""
        if failing == self._was:
            return
        self._was = failing
        if failing:
            log.error("not ready: %s%s", failing, self._why)
        else:
            log.warning("ready again")

    async def _of_database(self) -> str:
        now = self._clock.monotonic()
        if self._asking is None:
            if now - self._answered < ASK_EVERY:
                return self._database
            self._asked = now
            # Nobody's own: who goes away takes no answer from the others.
            self._asking = asyncio.create_task(
                self._ask(), name="authward-ready", context=Context()
            )
        # A database that hangs is asked once, until its own bounds end that, and no more.
        patience = max(0.0, self._asked + PATIENCE_S - now)
        done, _ = await asyncio.wait({self._asking}, timeout=patience)
        return self._database if done else LATE

    async def _ask(self) -> None:
        try:
            await self._store.ping()
            self._database, self._why = OK, ""
        except Refusal as refusal:
            self._database, self._why = "away", f" ({refusal.reason})"
        except Exception as error:
            self._database, self._why = "broken", f" ({type(error).__name__}: {error})"
        finally:
            self._answered = self._clock.monotonic()
            self._asking = None
