"""An app on a real socket, in the test's own event loop, behind nothing that reads its headers."""

import asyncio
import socket
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager, suppress
from typing import Any

from starlette.types import ASGIApp
from uvicorn import Config, Server


@asynccontextmanager
async def listening(app: ASGIApp, http: Any = "auto", **options: Any) -> AsyncIterator[int]:
    """The port at which uvicorn serves `app`, by its own protocol class or another. It must not
    believe X-Forwarded-For itself, as it does by default when it comes from this machine.
    """
    with socket.socket(proto=socket.IPPROTO_TCP) as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(128)
        options = {"ws": "websockets-sansio", "proxy_headers": False, **options}
        config = Config(app, http=http, lifespan="off", log_config=None, **options)
        server = Server(config)
        task = asyncio.create_task(server.serve([listener]))
        try:
            while not server.started:
                assert not task.done(), "the server did not start"
                await asyncio.sleep(0.001)
            yield listener.getsockname()[1]
        finally:
            server.should_exit = True
            await task


async def converse(port: int, *parts: bytes) -> bytes:
    """All that comes back for these parts, each sent on its own, until the server closes."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    told = bytearray()

    async def listen() -> None:
        with suppress(ConnectionError):
            while more := await reader.read(1 << 16):
                told.extend(more)

    listening = asyncio.create_task(listen())
    with suppress(ConnectionError):
        for part in parts:
            writer.write(part)
            await writer.drain()
            # Nothing tells when the other side has read: a few turns of the loop that both share.
            for _ in range(5):
                await asyncio.sleep(0.0005)
    await listening
    writer.close()
    with suppress(ConnectionError):
        await writer.wait_closed()
    return bytes(told)


async def request(port: int, *lines: str, method: str = "GET") -> tuple[int, str]:
    """Status and head of the answer to a request with these lines, on a connection of its own."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    head = [f"{method} / HTTP/1.1", "Host: a.example", *lines, "", ""]
    writer.write("\r\n".join(head).encode("latin-1"))
    answer = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").lower()
    writer.close()
    await writer.wait_closed()
    return int(answer.split(" ", 2)[1]), answer


async def statuses(port: int, heads: Iterable[tuple[str, ...]]) -> list[int]:
    """The statuses of requests one after the other."""
    return [(await request(port, *lines))[0] for lines in heads]
