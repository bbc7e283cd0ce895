"""Protected requests at a steady rate on four worker processes, and what all see meanwhile."""

import asyncio
import json
import time
from collections.abc import AsyncIterator, Iterable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from typing import NamedTuple
from urllib.parse import urlsplit

from tests.fleets import WORKERS, Fleet
from tests.serving import START_S, Account

RATE = 500
"""Requests a second, over all workers: what two cores carry beside all else that a run of the tests
does. `make bench` asks 2,000 times.
"""
CONNECTIONS = 16


@dataclass
class Load:
    """What was asked so far: how long each request took, how many each connection had, and how many
    statements they had the database run, all together.
    """

    took: list[float] = field(default_factory=list)
    answered: list[int] = field(default_factory=lambda: [0] * CONNECTIONS)
    statuses: set[int] = field(default_factory=set)
    statements: int = 0
    began: float = field(default_factory=time.monotonic)

    def percentile(self, part: float) -> float:
        return sorted(self.took)[int(len(self.took) * part)]

    def rate(self) -> float:
        return len(self.took) / (time.monotonic() - self.began)


class Answer(NamedTuple):
    """`head` is in small letters."""

    status: int
    head: bytes
    body: bytes


class Connection:
    """One connection that stays, and so one worker process. It costs a tenth of a whole client, for
    the processor that the workers need too.
    """

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader, self._writer = reader, writer

    async def ask(self, request: bytes) -> Answer:
        self._writer.write(request)
        head = (await self._reader.readuntil(b"\r\n\r\n")).lower()
        length = int(header(head, b"content-length"))
        return Answer(int(head[9:12]), head, await self._reader.readexactly(length))


def header(head: bytes, name: bytes) -> bytes:
    [found] = [line for line in head.split(b"\r\n") if line.startswith(name + b":")]
    return found.partition(b":")[2].strip()


@asynccontextmanager
async def connected(fleet: Fleet) -> AsyncIterator[Connection]:
    port = urlsplit(fleet.server.url).port
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        yield Connection(reader, writer)
    finally:
        writer.close()


@asynccontextmanager
async def each_worker(fleet: Fleet) -> AsyncIterator[list[Connection]]:
    """A connection to each."""
    async with AsyncExitStack() as stack:
        found: dict[bytes, Connection] = {}
        async with asyncio.timeout(START_S):
            while len(found) < WORKERS:
                connection = await stack.enter_async_context(connected(fleet))
                answer = await connection.ask(request("GET", "/healthz"))
                found.setdefault(header(answer.head, b"x-test-pid"), connection)
        yield list(found.values())


def request(
    method: str, path: str, headers: dict[str, str] | None = None, body: object = None
) -> bytes:
    text = b"" if body is None else json.dumps(body).encode()
    lines = {"host": "localhost", "content-length": str(len(text)), **(headers or {})}
    if body is not None:
        lines["content-type"] = "application/json"
    head = "".join(f"{name}: {value}\r\n" for name, value in lines.items())
    return f"{method} {path} HTTP/1.1\r\n{head}\r\n".encode() + text


@asynccontextmanager
async def loaded(fleet: Fleet, caller: Account, rate: int = RATE) -> AsyncIterator[Load]:
    """A protected route of an app behind Authward is asked `rate` times a second."""
    asked, load = request("GET", "/members", caller.bearer), Load()
    every = CONNECTIONS / rate

    async def ask(number: int) -> None:
        async with connected(fleet) as connection:
            due = time.monotonic()
            while True:
                began = time.monotonic()
                answer = await connection.ask(asked)
                load.statuses.add(answer.status)
                load.took.append(time.monotonic() - began)
                load.answered[number] += 1
                load.statements += int(header(answer.head, b"x-test-statements"))
                # What cannot be reached is not made up for: a backlog would only measure itself.
                due = max(due + every, time.monotonic() - every)
                await asyncio.sleep(due - time.monotonic())

    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(ask(number)) for number in range(CONNECTIONS)]
        await asyncio.sleep(0.5)
        yield load
        for task in tasks:
            task.cancel()


async def everywhere(
    workers: Iterable[Connection], path: str, account: Account, expected: tuple[int, str]
) -> None:
    """Wait until each of these gives this status and error; a success has an empty error. Raises
    TimeoutError after 30 seconds.
    """
    asked = request("GET", path, account.bearer)

    async def seen(worker: Connection) -> None:
        while True:
            answer = await worker.ask(asked)
            if (answer.status, json.loads(answer.body).get("error", "")) == expected:
                return
            await asyncio.sleep(0.01)

    async with asyncio.timeout(30):
        await asyncio.gather(*map(seen, workers))
