"""Redis' publish and subscribe: what a process has committed, told to all others."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import Any

from authward.stores.redis import PATIENCE_S

PREFIX = "authward:changes:"
FIRST_PAUSE_S = 0.1
LONGEST_PAUSE_S = 5.0
SIGN_OF_LIFE_S = 30.0

log = logging.getLogger("authward.feed")


class RedisWakes:
    """`Wakes` on the Redis or Valkey of `url`, for the installation of that name.

    Two connections, made anew when they are lost. Nobody waits for the server: what cannot be told
    within `patience` seconds is not told, and the others read at their interval.
    """

    def __init__(
        self,
        url: str,
        installation: str,
        *,
        patience: float = PATIENCE_S,
        sign_of_life: float = SIGN_OF_LIFE_S,
    ) -> None:
        self._url = url
        self._channel = PREFIX + installation
        self._patience = patience
        self._sign_of_life = sign_of_life
        self._news = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []
        self._lost = False

    async def start(self, wake: Callable[[], None]) -> None:
        self._tasks = [
            asyncio.create_task(self._subscribe(wake), name="authward-subscribe"),
            asyncio.create_task(self._publish(), name="authward-publish"),
        ]

    def tell(self) -> None:
        self._news.set()

    async def stop(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._tasks = []

    async def _publish(self) -> None:
        client = self._client()
        try:
            while True:
                await self._news.wait()
                self._news.clear()  # what is told from now on is told once more
                try:
                    async with asyncio.timeout(2 * self._patience):
                        await client.publish(self._channel, b"")
                except Exception as error:
                    self._failed(error)
        finally:
            await client.aclose()

    async def _subscribe(self, wake: Callable[[], None]) -> None:
        pause = FIRST_PAUSE_S
        while True:
            client = self._client()
            try:
                async with client.pubsub() as subscription:
                    async with asyncio.timeout(2 * self._patience):
                        await subscription.subscribe(self._channel)
                        await subscription.get_message(timeout=self._patience)
                    self._works()
                    pause = FIRST_PAUSE_S
                    wake()  # for what was told while nobody listened
                    await self._hear(subscription, wake)
            except Exception as error:
                # Whatever it is, the feed goes on at its interval, and so do we.
                self._failed(error)
            finally:
                await client.aclose()
            await asyncio.sleep(pause)
            pause = min(2 * pause, LONGEST_PAUSE_S)

    async def _hear(self, subscription: Any, wake: Callable[[], None]) -> None:
        asked = False
        while True:
            message = await subscription.get_message(timeout=self._sign_of_life)
            if message is not None:
                asked = False
                if message["type"] == "message":
                    wake()
            elif asked:
                raise ConnectionError("no sign of life")
            else:
                asked = True
                await subscription.ping()

    def _client(self) -> Any:
        from redis.asyncio import Redis
        from redis.asyncio.retry import Retry
        from redis.backoff import NoBackoff

        return Redis.from_url(
            self._url,
            socket_connect_timeout=self._patience,
            socket_timeout=self._patience,
            retry=Retry(NoBackoff(), 0),
            protocol=2,
            driver_info=None,
        )

    def _failed(self, error: Exception) -> None:
        if not self._lost:
            log.warning("changes are not pushed by Redis: %s: %s", type(error).__name__, error)
        self._lost = True

    def _works(self) -> None:
        if self._lost:
            log.warning("changes are pushed by Redis again")
        self._lost = False
