"""The hashing lane: password hashing in a bounded pool off the event loop, behind a bounded
queue.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import Protocol, TypeVar

import bcrypt

from authward.core.passwords import (
    ARGON2,
    MAX_SHARED_COST,
    SALT_BYTES,
    HashParameters,
    Verdict,
    bcrypt_cost,
    bcrypt_scheme,
    hash_password,
    scheme_of,
    verify_password,
)
from authward.errors import Overloaded
from authward.ports import Chance, Clock
from authward.services.counts import Counts

T = TypeVar("T")
FLOOR_MARGIN = 1.5
FLOOR_RISES = 8
LEARN_AGAIN = 1.0  # seconds, after the queue was full
_BCRYPT_REST = "." * 53  # salt and digest


class Hasher(Protocol):
    """Password hashing as the services need it."""

    async def hash(self, password: str) -> str: ...

    async def verify(self, hashed: str | None, password: str) -> Verdict:
        """Check a password; None stands for an unknown account and costs the same."""
        ...

    async def release_failure(self, began: float) -> None:
        """Wait until failures of attempts begun at `began` (monotonic) may be told."""
        ...


class HashLane:
    """`threads` hashes at once, `queue` more may wait; past that `Overloaded`."""

    def __init__(
        self,
        parameters: HashParameters,
        chance: Chance,
        clock: Clock,
        *,
        threads: int,
        queue: int,
        counts: Counts | None = None,
    ) -> None:
        self._parameters = parameters
        self._chance = chance
        self._clock = clock
        self._counts = counts or Counts()
        self._threads = threads
        self._most = threads + queue
        self._pending = 0
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="authward-hash")
        self._floor = self._cost = 0.0
        # One hash that matches nothing for each scheme present.
        self._dummies: dict[str, str] = {}
        self._timing = asyncio.Lock()
        self._learning: set[asyncio.Task[None]] = set()

    @property
    def running(self) -> int:
        """How many hashes are being made."""
        return min(self._pending, self._threads)

    @property
    def waiting(self) -> int:
        """How many wait for a thread."""
        return max(0, self._pending - self._threads)

    async def start(self, schemes: Iterable[str]) -> None:
        """Time today's parameters and each old scheme present (prefixes of bcrypt hashes, like
        `$2b$10$`), for the floor of failures.
        """
        began = self._clock.monotonic()
        self._dummies[ARGON2] = await self._run(self._hash, self._chance(SALT_BYTES).hex())
        self._took(began)
        for prefix in schemes:
            await self._time(bcrypt_cost(prefix + _BCRYPT_REST))

    def learn(self, schemes: Iterable[str]) -> None:
        """Time schemes that came while we run, in the background: before anybody fails to sign in
        to an account that has one.
        """
        for prefix in schemes:
            task = asyncio.create_task(self._learn(prefix), name="authward-learn")
            self._learning.add(task)
            task.add_done_callback(self._learning.discard)

    def stop(self) -> None:
        """Let running hashes end, drop the waiting ones."""
        for task in self._learning:
            task.cancel()
        self._pool.shutdown(wait=False, cancel_futures=True)

    async def hash(self, password: str) -> str:
        """Hash with today's parameters. Raises Overloaded."""
        return await self._run(self._hash, password)

    async def verify(self, hashed: str | None, password: str) -> Verdict:
        """Check a password. A failure costs one hash of each scheme present, whatever the account's
        own, and whether there is one: in a crowded lane no floor would hide the difference. Past
        `MAX_SHARED_COST` the account pays for its hash alone. Raises Overloaded.
        """
        if hashed is not None:
            await self._time(bcrypt_cost(hashed))
        return await self._run(self._verify, hashed, password)

    async def release_failure(self, began: float) -> None:
        """Every failure is told at one floor above the schemes present, so its time says
        nothing. One that outran it raises it: it was set on a quieter machine.
        """
        took = self._clock.monotonic() - began
        if took < self._floor:
            return await asyncio.sleep(self._floor - took)
        self._floor = min(took * FLOOR_MARGIN, max(self._floor, self._cost * FLOOR_RISES))

    def _verify(self, hashed: str | None, password: str) -> Verdict:
        verdict = Verdict(False)
        if hashed is not None:
            verdict = verify_password(hashed, password, self._parameters)
        if not verdict.ok:
            own = None if hashed is None else scheme_of(hashed)
            for scheme, dummy in list(self._dummies.items()):
                if scheme != own:
                    verify_password(dummy, password, self._parameters)
        return verdict

    def _hash(self, password: str) -> str:
        return hash_password(password, self._chance(SALT_BYTES), self._parameters)

    async def _learn(self, prefix: str) -> None:
        while True:
            try:
                return await self._time(bcrypt_cost(prefix + _BCRYPT_REST))
            except Overloaded:
                await asyncio.sleep(LEARN_AGAIN)

    async def _time(self, cost: int | None) -> None:
        # What no password can match costs nothing to verify, and needs no floor.
        if cost is None or cost > MAX_SHARED_COST:
            return
        scheme = bcrypt_scheme(cost)
        if scheme in self._dummies:
            return
        async with self._timing:
            if scheme not in self._dummies:
                began = self._clock.monotonic()
                nobody = self._chance(SALT_BYTES).hex().encode()
                made = await self._run(bcrypt.hashpw, nobody, bcrypt.gensalt(cost))
                self._dummies[scheme] = made.decode()
                self._took(began)

    def _took(self, began: float) -> None:
        self._cost += self._clock.monotonic() - began
        self._floor = max(self._floor, self._cost * FLOOR_MARGIN)

    async def _run(self, work: Callable[..., T], *arguments: object) -> T:
        if self._pending >= self._most:
            self._counts.hashing_refused += 1
            raise Overloaded("hashing queue full", retry_after=1)
        self._pending += 1
        took: list[float] = []
        try:
            future = self._pool.submit(self._timed, took, work, *arguments)
        except RuntimeError as error:
            self._pending -= 1
            raise Overloaded("hashing lane stopped", retry_after=1) from error
        loop = asyncio.get_running_loop()
        # Counted until the thread is free again, also if whoever waited has gone.
        future.add_done_callback(lambda done: self._done(loop, took))
        return await asyncio.wrap_future(future)

    def _timed(self, took: list[float], work: Callable[..., T], *arguments: object) -> T:
        began = self._clock.monotonic()
        try:
            return work(*arguments)
        finally:
            took.append(self._clock.monotonic() - began)

    def _done(self, loop: asyncio.AbstractEventLoop, took: list[float]) -> None:
        try:
            loop.call_soon_threadsafe(self._free, took)
        except RuntimeError:
            self._free(took)  # the loop has closed

    def _free(self, took: list[float]) -> None:
        self._pending -= 1
        for seconds in took:  # none, if it never had its turn
            self._counts.hashing.note(seconds)
