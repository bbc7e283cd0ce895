"""Following the change feed: what other processes revoked, and what roles grant. Requests read
memory only.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress

from authward.core.permissions import Role, effective
from authward.core.revocations import Revocations
from authward.core.tokens import SKEW
from authward.errors import Refusal, Unavailable
from authward.ports import Change, ChangeBatch, ChangeFeed, Clock, Cursor
from authward.services.watching import Watching

PRUNE_EVERY = 240  # polls
WAKE_PAUSE_S = 0.02
"""Between two reads that were pushed: who may NOTIFY, or publish, must not keep us reading."""
KNOWN = 10_000

log = logging.getLogger("authward.feed")


class Pace:
    """Whoever comes first goes at once; the next not before `gap` seconds are over."""

    def __init__(self, gap: float) -> None:
        self._gap = gap
        self._next = float("-inf")

    def wait(self, now: float) -> float:
        """How long to wait, in seconds, for the turn that is given herewith."""
        turn = max(now, self._next)
        self._next = turn + self._gap
        return turn - now


class Feed:
    """This process's view of revocations and roles.

    `horizon` is the life of the longest access token, `max_lag` how stale the view may grow, both
    in seconds. `on_scheme` hears of kinds of password hashes that others brought in, not just once.
    `on_keys` reads the key rings anew; while it raises Unavailable, nothing counts as read.
    """

    def __init__(
        self,
        changes: ChangeFeed,
        clock: Clock,
        *,
        interval: float,
        max_lag: float,
        horizon: float,
        on_scheme: Callable[[str], None],
        on_keys: Callable[[], Awaitable[None]] | None = None,
    ) -> None:
        self.revocations = Revocations()
        self.watching = Watching()
        self.roles: Mapping[str, Role] = {}
        self.roles_version = 0
        self.version = 0
        """Counts what may change whom a verified token lets in."""
        self.horizon = horizon
        self._changes = changes
        self._on_scheme = on_scheme
        self._on_keys = on_keys
        self._clock = clock
        self._interval = interval
        self._max_lag = max_lag
        # Longer by what clocks may differ: a token is dated by one clock, its end by another.
        self._horizon_ms = int((horizon + 2 * SKEW) * 1000)
        self._cursor = Cursor()
        self._reading = asyncio.Lock()
        self._woken = Pace(min(WAKE_PAUSE_S, interval))
        # What was taken in since the last `prune`: our own comes again in the feed.
        self._known: set[tuple[str, str, int, str | None, int | None]] = set()
        self._read_at: float | None = None
        self.fresh_until = float("-inf")
        """Until when (monotonic) `require_fresh` lets pass."""
        self._polls = 0
        self._news = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Read once, then follow until `stop`."""
        await self.poll()
        self._task = asyncio.create_task(self._follow(), name="authward-feed")

    async def stop(self) -> None:
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
            self._task = None

    def wake(self) -> None:
        """Read soon, as there is news: at once, or if that was just done, `WAKE_PAUSE_S` later.
        However often it is called until then, it is one read.
        """
        self._news.set()

    async def poll(self) -> None:
        """Read what is new: all that was committed before the call. Raises Unavailable if the
        database is away.
        """
        # One at a time: an answer that is late must not undo a newer one.
        async with self._reading:
            await self._read()

    async def _read(self) -> None:
        began = self._clock.monotonic()
        batch = await self._changes.since(self._cursor, horizon=self._horizon_ms)
        roles_moved = any(change.kind == "roles.changed" for change in batch.changes)
        if self._read_at is None or batch.anew or roles_moved:
            self._set_roles(await self._changes.roles())
        self.apply(batch.changes)
        await self._follow_keys(batch)
        self._cursor = batch.cursor
        self._read_at = began
        self.fresh_until = began + self._max_lag
        self._polls += 1
        if self._polls % PRUNE_EVERY == 0:
            self.revocations.prune(int(self._clock.now() * 1000) - self._horizon_ms)
            self._known.clear()

    async def _follow_keys(self, batch: ChangeBatch) -> None:
        moved = {change.subject for change in batch.changes if change.kind == "keys.changed"}
        if self._on_keys is None or not (moved or batch.anew):
            return
        await self._on_keys()
        if "access" in moved or batch.anew:
            # What verified once may do so no longer.
            self.watching.tell_all()

    async def catch_up(self) -> None:
        """Read what is new; if the database is away, later."""
        try:
            await self.poll()
        except Refusal as away:
            log.warning("change feed not read: %s", away.reason)

    def apply(self, changes: Sequence[Change]) -> None:
        """Take changes in: those read, and our own before we answer. Taking one twice is
        harmless, and not news.
        """
        now = int(self._clock.now() * 1000)
        for change in changes:
            at = change.at or now
            if change.kind == "session.revoked":
                self.revocations.revoke_session(change.subject, at)
            elif change.kind == "user.revoked":
                self.revocations.revoke_user(change.subject, change.ver, change.keep_session, at)
            elif change.kind == "user.superseded":
                self.revocations.supersede_user(change.subject, change.ver, at)
            elif change.kind == "sessions.revoked":
                self.revocations.cut(change.subject, change.before or 0, at)
            elif change.kind == "scheme.added":
                self._on_scheme(change.subject)
            self._count(change)

    def _count(self, change: Change) -> None:
        what = (change.kind, change.subject, change.ver, change.keep_session, change.before)
        if what not in self._known:
            if len(self._known) >= KNOWN:
                self._known.clear()
            self._known.add(what)
            self.version += 1
            self.watching.tell(change)

    def require_fresh(self) -> None:
        """Refuse to answer from a view that was never read or is too old: fail closed. Raises
        Unavailable.
        """
        if self._read_at is None:
            raise Unavailable("feed never read", retry_after=1)
        if self._clock.monotonic() > self.fresh_until:
            raise Unavailable("feed too old", retry_after=1)

    @property
    def healthy(self) -> bool:
        """Whether the last poll worked, and lately."""
        return self.lag <= min(max(1.0, self._interval * 4), self._max_lag)

    @property
    def lag(self) -> float:
        """How far behind the view may be: seconds since the last read that worked began."""
        return float("inf") if self._read_at is None else self._clock.monotonic() - self._read_at

    def permissions(self, roles: Sequence[str], direct: Sequence[str]) -> frozenset[str]:
        """The effective permissions of roles and direct grants."""
        return effective(roles, direct, self.roles)

    def _set_roles(self, roles: Mapping[str, Role]) -> None:
        if roles != self.roles:
            self.roles = roles
            self.roles_version += 1
            self.version += 1
            self.watching.tell_all()

    async def _follow(self) -> None:
        while True:
            with suppress(TimeoutError):
                async with asyncio.timeout(self._interval):
                    await self._news.wait()
            if self._news.is_set():
                await asyncio.sleep(self._woken.wait(self._clock.monotonic()))
            self._news.clear()  # before the read, which may be too early for what comes now
            try:
                await self.catch_up()
            except Exception:
                # A follower that dies would leave revoked tokens alive; it tries on, and staleness
                # fails closed.
                log.exception("change feed not read")
