"""A TCP relay to PostgreSQL that can fail like a network and a server do."""

import asyncio
import contextlib
from urllib.parse import urlsplit

from tests.postgres import free_port


class Gate:
    """`url` leads through it. It starts open."""

    def __init__(self, url: str) -> None:
        self._target = urlsplit(url)
        self._server: asyncio.Server | None = None
        self._port = free_port()
        self._flowing = asyncio.Event()
        self._flowing.set()
        self._lose: bytes | None = None
        self._freeze: bytes | None = None
        self._links: set[asyncio.Task] = set()
        self.lost = 0

    @property
    def url(self) -> str:
        user = self._target.netloc.rpartition("@")[0]
        return self._target._replace(netloc=f"{user}@127.0.0.1:{self._port}").geturl()

    async def open(self) -> None:
        """Let connections in, at the same address as before."""
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", self._port)

    async def shut(self) -> None:
        """Cut every connection and refuse new ones."""
        if self._server is not None:
            self._server.close()
            self._server = None
        for link in self._links:
            link.cancel()
        await asyncio.gather(*self._links, return_exceptions=True)

    def freeze(self) -> None:
        """Keep connections and accept new ones, but pass nothing on."""
        self._flowing.clear()

    def freeze_at(self, text: bytes) -> None:
        """Freeze when a client sends `text`."""
        self._freeze = text

    def thaw(self) -> None:
        self._freeze = None
        self._flowing.set()

    def lose_answer_to(self, text: bytes) -> None:
        """Cut the connection that next sends `text` once the server has answered it."""
        self._lose = text

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._links.add(task)
        ends = [writer]
        try:
            there = await asyncio.open_connection(self._target.hostname, self._target.port)
            ends.append(there[1])
            answer_lost = asyncio.Event()
            async with asyncio.TaskGroup() as both:
                both.create_task(self._ask(reader, there[1], answer_lost))
                both.create_task(self._answer(there[0], writer, answer_lost))
        except* (OSError, EOFError, asyncio.CancelledError):
            pass
        finally:
            for end in ends:
                end.transport.abort()
            self._links.discard(task)

    async def _ask(self, reader, writer, answer_lost: asyncio.Event) -> None:
        while data := await reader.read(65536):
            if self._freeze is not None and self._freeze in data:
                self.freeze()
            await self._flowing.wait()
            if self._lose is not None and self._lose in data:
                self._lose = None
                answer_lost.set()
            writer.write(data)
            await writer.drain()
        raise EOFError

    async def _answer(self, reader, writer, answer_lost: asyncio.Event) -> None:
        while data := await reader.read(65536):
            await self._flowing.wait()
            if answer_lost.is_set():
                self.lost += 1
                break
            writer.write(data)
            await writer.drain()
        raise EOFError


@contextlib.asynccontextmanager
async def gate_to(url: str):
    gate = Gate(url)
    await gate.open()
    try:
        yield gate
    finally:
        gate.thaw()
        await gate.shut()
