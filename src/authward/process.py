"""One process's services: composed, started and stopped in order."""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import Awaitable, Callable, Coroutine, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import msgspec

from authward.core.audit import Event, fields_of
from authward.core.chain import AuditKeys
from authward.core.keys import Key, MasterSecret
from authward.core.passwords import HashParameters
from authward.core.rotation import Lives
from authward.core.tokens import TokenPolicy
from authward.errors import ConfigurationError, Refusal
from authward.ports import Chance, Change, Clock, Store, Wakes
from authward.services import Services
from authward.services.access import Access
from authward.services.accounts import Accounts
from authward.services.audit import Refusals
from authward.services.counts import Counts
from authward.services.feed import Feed
from authward.services.handlers import Handling, Wanted
from authward.services.hashing import HashLane
from authward.services.keys import PUBLISHED_S, KeyPolicy, Keys
from authward.services.limits import FallbackLimiter
from authward.services.metrics import Metrics
from authward.services.passwords import Passwords
from authward.services.readiness import Readiness
from authward.services.rings import Rings, Seals
from authward.services.roles import Roles
from authward.services.sessions import Sessions, SessionTimes
from authward.services.throttling import Throttling
from authward.services.tokens import Tokens
from authward.services.trail import Trail
from authward.services.users import Users
from authward.settings import MAX_FEED_LAG, MAX_GRACE, MAX_TTL, Settings

if TYPE_CHECKING:
    from authward.stores.redis import RedisLimiter

LONGEST_ACCESS_TTL = 3600.0
SWEEP_EVERY = 3600.0
ROTATE_EVERY = 60.0

log = logging.getLogger("authward")
audit_log = logging.getLogger("authward.audit")


class Process:
    """Builds the services over a store and keeps their background work. Use `start` and `stop` once
    each. One that does not serve, as a command, brings no changed algorithm in.
    """

    def __init__(
        self,
        settings: Settings,
        store: Store,
        master: MasterSecret,
        clock: Clock,
        chance: Chance,
        wanted: Sequence[Wanted],
        reported: Mapping[str, int],
        *,
        serves: bool = True,
    ) -> None:
        self._settings = settings
        self._store = store
        self._clock = clock
        self._chance = chance
        self._counts = Counts()
        self._handling = Handling(wanted, clock)
        self._reported = reported
        self._lane = HashLane(
            HashParameters(),
            chance,
            clock,
            threads=settings.hashing_threads,
            queue=settings.hashing_queue,
            counts=self._counts,
        )
        seals = Seals(master, chance, _previous(settings))
        self._keys = Keys(store, seals, _key_policy(settings, serves=serves), clock, chance)
        self._feed = Feed(
            store.changes,
            clock,
            interval=settings.feed_interval,
            max_lag=settings.feed_max_lag,
            horizon=max(settings.access_ttl, LONGEST_ACCESS_TTL),
            on_scheme=lambda prefix: self._lane.learn([prefix]),
            on_keys=self._keys.reload,
        )
        self._refusals = Refusals(store.audit, clock)
        self._trail = Trail(store.audit, store.chains, clock, retention=settings.audit_retention)
        self._redis = self._shared_limiter()
        self._wakes = self._pushed_by()
        self._serves = serves
        self._background: list[asyncio.Task[None]] = []

    def committed(self, events: Sequence[Event], changes: Sequence[Change]) -> None:
        """What a transaction of this process did: into our own view before we answer, into the
        log and the metrics, and to the app.
        """
        self._feed.apply(changes)
        if changes:
            for wakes in self._wakes:
                wakes.tell()
        for event in events:
            audit_log.info(audit_line(event, self._clock))
        self._counts.happened(events)
        self._handling.tell(events)

    async def start(self) -> Services:
        """Open the store, load the keys, read the feed. Raises ConfigurationError."""
        store, settings, clock = self._store, self._settings, self._clock
        await store.open()
        policy = TokenPolicy(
            settings.issuer,
            settings.audience,
            access_ttl=max(1, int(settings.access_ttl)),
            refresh_ttl=int(settings.refresh_ttl),
            token_email=settings.token_email,
        )
        tokens = Tokens(await self._load_rings(), policy, self._feed, clock, self._chance)
        self._keys.follow(tokens.use)
        await self._lane.start(await store.users.schemes())
        await self._feed.start()
        for wakes in self._wakes:
            await wakes.start(self._feed.wake)
        await self._refusals.start()
        self._trail.start()
        self._handling.start()
        self._background = [
            _task("sweep", self._every(SWEEP_EVERY, self._sweep, "old sessions not swept")),
        ]
        if self._serves:
            # Not a command, which may only want to read. There may be millions of sessions to end:
            # nobody waits for it.
            self._background += [
                _task("kills", self._keys.end_left()),
                _task("keys", self._every(ROTATE_EVERY, self._keys.tend, "keys not tended")),
            ]
        return self._services(tokens)

    def _services(self, tokens: Tokens) -> Services:
        store, settings, clock = self._store, self._settings, self._clock
        times = SessionTimes(settings.session_ttl, settings.refresh_grace)
        sessions = Sessions(
            store.sessions, store.users, tokens, times, self._refusals, clock, self._chance
        )
        least = settings.password_min_length
        shared = (
            None
            if self._redis is None
            else FallbackLimiter(self._redis, clock, most_keys=settings.rate_limit_clients)
        )
        return Services(
            access=Access(
                tokens,
                self._refusals,
                self._counts,
                explained_by=None if settings.production else self._feed,
            ),
            accounts=Accounts(
                store.users,
                sessions,
                self._lane,
                self._refusals,
                clock,
                self._chance,
                password_min_length=least,
            ),
            clock=clock,
            counts=self._counts,
            feed=self._feed,
            keys=self._keys,
            metrics=Metrics(
                self._feed,
                shared,
                self._counts,
                self._lane,
                self._handling,
                self._reported,
                pid=os.getpid() if settings.workers > 1 else None,
            ),
            passwords=Passwords(store.users, self._lane, self._refusals, clock, min_length=least),
            readiness=Readiness(store, clock, self._feed, lambda: self._keys.loaded, shared),
            refusals=self._refusals,
            roles=Roles(store.roles, self._feed),
            sessions=sessions,
            store=store,
            throttling=Throttling(
                store.limits if shared is None else shared,
                settings.issuer,
                general=settings.rate_limit,
                credential=settings.auth_rate_limit,
                counts=self._counts,
            ),
            tokens=tokens,
            trail=self._trail,
            users=Users(store.users, store.roles, self._feed, clock),
        )

    async def stop(self) -> None:
        """Stop background work, write what is pending, close the store."""
        for task in self._background:
            task.cancel()
        await asyncio.gather(*self._background, return_exceptions=True)
        try:
            for wakes in self._wakes:
                await wakes.stop()
            await self._feed.stop()
            await self._refusals.stop()
            await self._handling.stop()
        finally:
            await self._trail.stop()
            self._lane.stop()
            if self._redis is not None:
                await self._redis.close()
            await self._store.close()

    async def _load_rings(self) -> Rings:
        try:
            return await self._keys.start(self._begin_audit)
        except ConfigurationError as error:
            path = self._settings.secret_path
            if path is None or self._settings.secret_file is not None:
                raise
            raise ConfigurationError(f"{error}: it was looked for in {path}") from error

    async def _begin_audit(self, keys: Sequence[Key]) -> None:
        self._store.audit.use(AuditKeys.of(keys))
        await self._trail.begin()

    def _shared_limiter(self) -> RedisLimiter | None:
        if self._settings.redis_url is None:
            return None
        # Its client library is an extra.
        from authward.stores.redis import RedisLimiter

        return RedisLimiter(self._settings.redis_url, self._clock)

    def _pushed_by(self) -> list[Wakes]:
        wakes: list[Wakes] = []
        # Imported where they are used: each brings a client library.
        if self._settings.database_url.startswith("postgresql:"):
            from authward.stores.listening import PostgresWakes

            wakes.append(PostgresWakes(self._settings.database_url))
        if self._settings.redis_url is not None:
            from authward.stores.publishing import RedisWakes

            wakes.append(RedisWakes(self._settings.redis_url, self._settings.issuer))
        return wakes

    async def _sweep(self) -> None:
        await self._store.sweep()
        # Hashes that came in past the feed, as with a backup or by hand.
        self._lane.learn(await self._store.users.schemes())

    async def _every(
        self, seconds: float, work: Callable[[], Awaitable[None]], failed: str
    ) -> None:
        """Do `work` again and again; what goes wrong once must not end it."""
        while True:
            await asyncio.sleep(seconds)
            try:
                await work()
            except Refusal as away:
                log.warning("%s: %s", failed, away.reason)
            except Exception:
                log.exception(failed)


def _task(name: str, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
    return asyncio.create_task(work, name=f"authward-{name}")


def _previous(settings: Settings) -> MasterSecret | None:
    if settings.secret_previous is None:
        return None
    try:
        return MasterSecret(settings.secret_previous.get_secret_value())
    except ConfigurationError as error:
        raise ConfigurationError(f"secret_previous, as a {error}") from None


def _key_policy(settings: Settings, *, serves: bool) -> KeyPolicy:
    every = settings.key_rotation
    # A command goes by the most that the settings of a server could be.
    lag = settings.feed_max_lag if serves else MAX_FEED_LAG
    return KeyPolicy(
        settings.algorithm,
        Lives.of(
            notice=max(PUBLISHED_S, lag),
            access=max(settings.access_ttl, LONGEST_ACCESS_TTL),
            refresh=settings.refresh_ttl,
            session=settings.session_ttl,
        ),
        unused=int((settings.refresh_ttl if serves else MAX_TTL) * 1000),
        grace=int((settings.refresh_grace if serves else MAX_GRACE) * 1000),
        every=int(every * 1000) if every is not None and serves else None,
        serves=serves,
    )


def audit_line(event: Event, clock: Clock) -> str:
    """An audit event as one line of JSON, UTC; msgspec escapes every control character."""
    fields = {**fields_of(event, int(clock.now() * 1000)), **event.detail}
    return msgspec.json.encode(
        {name: value for name, value in fields.items() if value not in (None, "")}
    ).decode()
