"""Which process runs, and in which event loop."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from authward.errors import ConfigurationError, Unavailable
from authward.process import Process
from authward.services import Services


class Running:
    """One process at a time, in the event loop that started it. It ends with that loop, should
    nobody call `stop`.
    """

    def __init__(self, make: Callable[[], Process]) -> None:
        self.current: Services | None = None
        """The services, once started."""
        self.home: asyncio.AbstractEventLoop | None = None
        """The loop they run in. Where no lifespan runs (mounted apps, test transports) each request
        compares it with its own.
        """
        self._make = make
        self._process: Process | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._changing = asyncio.Lock()
        self._keeper: asyncio.Task[None] | None = None

    @property
    def services(self) -> Services:
        """Raises Unavailable before `start`."""
        if self.current is None:
            raise Unavailable("not started", retry_after=1)
        return self.current

    async def start(self) -> None:
        """Make a process and start it. Calling it again does nothing. Raises ConfigurationError."""
        loop = asyncio.get_running_loop()
        if self._loop is not loop:
            if self.current is not None and self._loop and not self._loop.is_closed():
                raise ConfigurationError(
                    "Authward runs in another event loop already. In tests keep to one client: "
                    "with TestClient(app) as client"
                )
            # What a closed loop left behind cannot be stopped any more.
            self._loop, self._process, self.current, self.home = loop, None, None, None
            self._changing = asyncio.Lock()
        async with self._changing:
            if self.current is None:
                process = self._make()
                try:
                    self.current = await process.start()
                except BaseException:
                    await process.stop()
                    raise
                self._process, self.home = process, loop
                self._keeper = asyncio.create_task(self._end_with_loop(), name="authward-end")

    async def stop(self) -> None:
        """Stop the process. Calling it again does nothing."""
        async with self._changing:
            process, self._process = self._process, None
            self.current = self.home = None
            keeper, self._keeper = self._keeper, None
            if keeper is not None and keeper is not asyncio.current_task():
                keeper.cancel()
            if process is not None:
                await process.stop()

    async def _end_with_loop(self) -> None:
        # A loop cancels its tasks before it closes.
        try:
            await asyncio.get_running_loop().create_future()
        except asyncio.CancelledError:
            if self._keeper is not None:
                await self.stop()
            raise
