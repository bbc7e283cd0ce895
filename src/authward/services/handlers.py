"""Telling an app's handlers what happened: after the commit, in the background, and never at the
cost of a request.
"""

from __future__ import annotations

import asyncio
import inspect
import logging
import threading
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from contextvars import Context
from dataclasses import dataclass
from queue import SimpleQueue

from authward.core.audit import Event
from authward.core.events import EVERY, AuthEvent
from authward.ports import Clock

Handler = Callable[[AuthEvent], Awaitable[object] | object]

MOST_WAITING = 1000
DRAIN_S = 3.0

log = logging.getLogger("authward.events")


@dataclass(frozen=True, slots=True)
class Wanted:
    """A handler, and the kind it wants to hear of."""

    kind: str
    handler: Handler

    @property
    def name(self) -> str:
        """What the log calls it."""
        try:
            found = getattr(self.handler, "__qualname__", None) or type(self.handler).__qualname__
            return f"{getattr(self.handler, '__module__', '?')}.{found}"
        except BaseException:  # an object that answers no question
            return type(self.handler).__name__


class _Thread:
    """Runs the calls of one handler, one after another. It keeps no process from ending."""

    def __init__(self, name: str) -> None:
        self._work: SimpleQueue[Callable[[], None] | None] = SimpleQueue()
        threading.Thread(target=self._run, name=name, daemon=True).start()

    async def call(self, handler: Handler, event: AuthEvent) -> object:
        loop = asyncio.get_running_loop()
        done: asyncio.Future[object] = loop.create_future()

        def tell(result: object, error: BaseException | None) -> None:
            if done.cancelled():
                return
            if error is None:
                done.set_result(result)
            else:
                done.set_exception(error)

        def work() -> None:
            result: object = None
            raised: BaseException | None = None
            try:
                result = handler(event)
            except StopIteration as error:  # which no future takes
                raised = RuntimeError(f"StopIteration: {error}")
            except BaseException as error:
                raised = error
            with suppress(RuntimeError):  # the loop has closed: nobody waits any more
                loop.call_soon_threadsafe(tell, result, raised)

        self._work.put(work)
        return await done

    def end(self) -> None:
        """No more after what it does now."""
        self._work.put(None)

    def _run(self) -> None:
        while (work := self._work.get()) is not None:
            work()


class _Told:
    """One handler at work: events in order, one at a time. A slow one keeps up nobody else."""

    def __init__(self, wanted: Wanted) -> None:
        self.wanted = wanted
        self.dropped = 0
        self.waiting: deque[AuthEvent] = deque()
        self._news = asyncio.Event()
        self._ending = self._stopped = False
        handler = wanted.handler
        called = getattr(handler, "func", handler)  # a partial's
        asks = inspect.iscoroutinefunction(called) or inspect.iscoroutinefunction(
            getattr(called, "__call__", None)  # noqa: B004 - an object with an async __call__
        )
        self._thread = None if asks else _Thread(f"authward-on-{wanted.kind}")
        # In a context of its own: the request that came first is not what it works for.
        self.task = asyncio.create_task(
            self._run(), name=f"authward-on-{wanted.kind}", context=Context()
        )

    def tell(self, event: AuthEvent) -> None:
        if len(self.waiting) >= MOST_WAITING:
            self.dropped += 1
            if self.dropped == 1:
                log.error("%s is too slow: events are kept from it", self.wanted.name)
            return
        self.waiting.append(event)
        self._news.set()

    def end(self) -> None:
        """Take no more, and end when all that waits is told."""
        self._ending = True
        self._news.set()

    async def _run(self) -> None:
        try:
            while self.waiting or not self._ending:
                if not self.waiting:
                    self._news.clear()
                    await self._news.wait()
                    continue
                await self._call(self.waiting[0])
                self.waiting.popleft()
                await asyncio.sleep(0)  # many at once must not keep the loop
        finally:
            if not self._ending:
                log.error("%s is told no more: its task was cancelled", self.wanted.name)
            if self._thread is not None:
                self._thread.end()

    async def _call(self, event: AuthEvent) -> None:
        # In a task of its own: one that cancels itself must not cancel us. The end of the loop, or
        # ours, does.
        call = asyncio.create_task(self._called(event), name=self.task.get_name())
        try:
            await asyncio.wait({call})
        finally:
            call.cancel()

    async def _called(self, event: AuthEvent) -> None:
        handler = self.wanted.handler
        try:
            result = (
                handler(event) if self._thread is None else await self._thread.call(handler, event)
            )
            if inspect.isawaitable(result):
                await result
        except BaseException:
            if not self._stopped:
                log.exception("%s failed on %s", self.wanted.name, event.kind)

    def stop(self) -> None:
        """End now, whatever waits."""
        self._stopped = True
        self.task.cancel()


class Handling:
    """Tells each of `wanted` what it wants to hear, from `start` until `stop`. A handler registered
    later is told what happens from then on.
    """

    def __init__(self, wanted: Sequence[Wanted], clock: Clock) -> None:
        self._wanted = wanted
        self._clock = clock
        self._told: list[_Told] = []
        self._taken = 0
        self._running = False

    @property
    def dropped(self) -> int:
        """How many events were kept from a handler that was too slow, ever."""
        return sum(one.dropped for one in self._told)

    def start(self) -> None:
        self._running = True

    def tell(self, events: Sequence[Event]) -> None:
        """What was committed. Waits for nobody, raises nothing."""
        if not self._wanted or not self._running:
            return
        for wanted in self._wanted[self._taken :]:
            self._take(wanted)
        now = self._clock.now()
        for event in events:
            told = AuthEvent.of(event, now)
            for one in self._told:
                if one.wanted.kind in (EVERY, event.kind):
                    one.tell(told)

    def _take(self, wanted: Wanted) -> None:
        self._taken += 1
        try:
            self._told.append(_Told(wanted))
        except BaseException:
            # It may answer our questions with anything, and threads may be out. Whoever was just
            # served must not pay for it: what they asked for is done.
            log.exception("%s is told nothing", wanted.name)

    async def stop(self, within: float = DRAIN_S) -> None:
        """Tell what waits, for `within` seconds at most."""
        self._running = False
        for one in self._told:
            one.end()
        tasks = {one.task: one for one in self._told}
        if not tasks:
            return
        _, late = await asyncio.wait(tasks, timeout=within)
        for task in late:
            tasks[task].stop()
        for one in self._told:
            if one.waiting:
                log.error("%s was not told %d events", one.wanted.name, len(one.waiting))
        await asyncio.gather(*late, return_exceptions=True)
