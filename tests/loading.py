"""Protected requests at a steady rate on four worker processes, and what all see meanwhile."""

import asyncio
import time
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from urllib.parse import urlsplit

import httpx2

from tests.fleets import Fleet
from tests.serving import Account, error_of

RATE = 2000
"""Requests a second, over all workers."""
CONNECTIONS = 16


@dataclass
class Load:
    """What was asked so far: how long each request took, and how many each connection had."""

    took: list[float] = field(default_factory=list)
    answered: list[int] = field(default_factory=lambda: [0] * CONNECTIONS)
    statuses: set[bytes] = field(default_factory=set)
    began: float = field(default_factory=time.monotonic)

    def percentile(self, part: float) -> float:
        return sorted(self.took)[int(len(self.took) * part)]

    def rate(self) -> float:
        return len(self.took) / (time.monotonic() - self.began)


async def _ask(load: Load, number: int, port: int, request: bytes, every: float) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        due = time.monotonic()
        while True:
            began = time.monotonic()
            writer.write(request)
            head = await reader.readuntil(b"\r\n\r\n")
            [length] = [
                int(line.partition(b":")[2])
                for line in head.lower().split(b"\r\n")
                if line.startswith(b"content-length:")
            ]
            await reader.readexactly(length)
            load.statuses.add(head[9:12])
            load.took.append(time.monotonic() - began)
            load.answered[number] += 1
            # What cannot be reached is not made up for: a backlog would only measure itself.
            due = max(due + every, time.monotonic() - every)
            await asyncio.sleep(due - time.monotonic())
    finally:
        writer.close()


@asynccontextmanager
async def loaded(fleet: Fleet, account: Account) -> AsyncIterator[Load]:
    """A protected route that reads memory only is asked RATE times a second, by an admin."""
    request = (
        "GET /metrics HTTP/1.1\r\nhost: localhost\r\n"
        f"authorization: {account.bearer['authorization']}\r\n\r\n"
    ).encode()
    load, port = Load(), urlsplit(fleet.server.url).port or 0
    every = CONNECTIONS / RATE
    async with asyncio.TaskGroup() as group:
        tasks = [
            group.create_task(_ask(load, number, port, request, every))
            for number in range(CONNECTIONS)
        ]
        await asyncio.sleep(0.5)
        yield load
        for task in tasks:
            task.cancel()


async def everywhere(
    clients: Iterable[httpx2.AsyncClient], path: str, account: Account, expected: tuple[int, str]
) -> None:
    """Wait until each of these gets this status and error; a success has an empty error. Raises
    TimeoutError after 30 seconds.
    """

    async def seen(client: httpx2.AsyncClient) -> None:
        while error_of(await client.get(path, headers=account.bearer)) != expected:  # noqa: ASYNC110
            await asyncio.sleep(0.01)

    async with asyncio.timeout(30):
        await asyncio.gather(*map(seen, clients))
