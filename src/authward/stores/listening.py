"""PostgreSQL's LISTEN: each transaction that writes a change notifies, in the same statement."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import Any

from authward.stores.engines import said

CHANNEL = "authward_changes"
"""One a database. A needless wake-up is one needless read."""
PATIENCE_S = 10.0
FIRST_PAUSE_S = 0.1
LONGEST_PAUSE_S = 5.0
SIGN_OF_LIFE_S = 30.0

log = logging.getLogger("authward.feed")


class PostgresWakes:
    """`Wakes` on the database of `url`: one connection of its own, made anew when it is lost.

    A server that is silent is noticed after `sign_of_life` seconds; until then the feed is read at
    its interval, as it always is.
    """

    def __init__(
        self, url: str, *, patience: float = PATIENCE_S, sign_of_life: float = SIGN_OF_LIFE_S
    ) -> None:
        self._url = url
        self._patience = patience
        self._sign_of_life = sign_of_life
        self._task: asyncio.Task[None] | None = None
        self._pause = FIRST_PAUSE_S
        self._lost = False

    async def start(self, wake: Callable[[], None]) -> None:
        self._task = asyncio.create_task(self._keep(wake), name="authward-listen")

    def tell(self) -> None:
        """Nothing: the transaction itself has told."""

    async def stop(self) -> None:
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
            self._task = None

    async def _keep(self, wake: Callable[[], None]) -> None:
        while True:
            try:
                await self._listen(wake)
            except Exception as error:
                # Whatever it is, the feed goes on at its interval, and so do we.
                if not self._lost:
                    log.warning("changes are not pushed by PostgreSQL: %s", said(error))
                self._lost = True
            await asyncio.sleep(self._pause)
            self._pause = min(2 * self._pause, LONGEST_PAUSE_S)

    async def _listen(self, wake: Callable[[], None]) -> None:
        import asyncpg

        connection: Any = await asyncpg.connect(self._url, timeout=self._patience)
        try:
            ended = asyncio.Event()
            connection.add_termination_listener(lambda _: ended.set())
            # Not wait_for, which on Python 3.11 loses a cancellation that comes together with what
            # it waits for: `stop` would wait for ever.
            async with asyncio.timeout(self._patience):
                await connection.add_listener(CHANNEL, lambda *_: wake())
            if self._lost:
                log.warning("changes are pushed by PostgreSQL again")
            self._lost, self._pause = False, FIRST_PAUSE_S
            wake()  # for what was told while nobody listened
            while not ended.is_set():
                try:
                    async with asyncio.timeout(self._sign_of_life):
                        await ended.wait()
                except TimeoutError:
                    await connection.execute("SELECT 1", timeout=self._patience)
        finally:
            connection.terminate()
        raise ConnectionError("the connection ended")
