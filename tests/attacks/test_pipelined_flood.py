"""Requests by the thousand in one packet (CWE-770): if all are parsed at once, twenty connections
with a quarter of a megabyte each take three hundred megabytes, and nobody is answered for seconds.
"""

import asyncio
from typing import Any

import pytest
from starlette.types import Receive, Scope, Send

from authward.uvicorn import MOST_WAITING, PIECE, Http
from tests.middleware.listening import converse, listening

SMALLEST = b"GET / HTTP/1.1\r\n\r\n"
LAST = b"GET /last HTTP/1.0\r\n\r\n"
COUNT = 14_000


class Recorded(Http):
    """Remembers how many requests waited at most, over all connections, and tells when it holds
    back, and when a connection is lost.
    """

    most: int
    held: asyncio.Event
    lost: asyncio.Event

    def on_headers_complete(self) -> None:
        super().on_headers_complete()
        type(self).most = max(self.most, len(self.pipeline))

    def _hold(self) -> None:
        super()._hold()
        self.held.set()

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        assert self._rest == b""
        self.lost.set()


class Gate:
    """An app that answers nobody until it is opened; but for /other."""

    def __init__(self) -> None:
        self.opened = asyncio.Event()
        self.asked = asyncio.Event()
        self.begun = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.begun += 1
        self.asked.set()
        if scope["path"] != "/other":
            await self.opened.wait()
        body = b""
        while (message := await receive())["type"] == "http.request":
            body += message["body"]
            if not message["more_body"]:
                break
        said = body or scope["path"].encode()
        length = (b"content-length", b"%d" % len(said))
        await send({"type": "http.response.start", "status": 200, "headers": [length]})
        await send({"type": "http.response.body", "body": said})


@pytest.fixture
def recorded() -> type[Recorded]:
    class Mine(Recorded):
        most = 0
        held = asyncio.Event()
        lost = asyncio.Event()

    return Mine


@pytest.mark.parametrize("cut", [1 << 30, 60_000, PIECE])
@pytest.mark.parametrize("loop", ["asyncio", "uvloop"])
def test_few_of_them_wait(recorded: type[Recorded], cut: int, loop: str) -> None:
    """All are answered, in the end, and others meanwhile."""

    async def flood() -> bytes:
        gate = Gate()
        async with listening(gate, recorded) as port:
            sent = SMALLEST * COUNT + LAST
            parts = [sent[at : at + cut] for at in range(0, len(sent), cut)]
            flooding = asyncio.create_task(converse(port, *parts))
            await gate.asked.wait()
            for _ in range(5):
                told = await converse(port, b"GET /other HTTP/1.0\r\n\r\n")
                assert told.endswith(b"/other")
            # Only the first has begun.
            assert gate.begun == 1 + 5
            assert MOST_WAITING <= recorded.most <= MOST_WAITING + PIECE // len(SMALLEST)
            gate.opened.set()
            told = await flooding
        assert recorded.most <= MOST_WAITING + PIECE // len(SMALLEST)
        assert gate.begun == COUNT + 1 + 5
        return told

    with asyncio.Runner(loop_factory=_factory(loop)) as runner:
        told = runner.run(flood())
    assert told.count(b"HTTP/1.1 200 OK") == COUNT + 1
    assert told.endswith(b"/last")


def _factory(loop: str) -> Any:
    return pytest.importorskip("uvloop").new_event_loop if loop == "uvloop" else None


@pytest.mark.parametrize("size", [10, 3000, 90_000])
@pytest.mark.parametrize("loop", ["asyncio", "uvloop"])
def test_bodies_are_whole(size: int, loop: str) -> None:
    """Whatever of them was held back: its request begins before it is there."""
    count = 3_000_000 // (size + 20_000)
    bodies = [b"<%d %b>" % (number, b"x" * (size - 8)) for number in range(count)]
    requests = [
        b"POST / HTTP/1.1\r\ncontent-length: %d\r\n\r\n%b" % (len(body), body) for body in bodies
    ]

    async def pipeline() -> bytes:
        gate = Gate()
        gate.opened.set()
        async with listening(gate, Http) as port:
            return await converse(port, b"".join(requests) + SMALLEST * 1000 + LAST)

    with asyncio.Runner(loop_factory=_factory(loop)) as runner:
        told = runner.run(pipeline())
    found = [part.partition(b"\r\n\r\n")[2] for part in told.split(b"HTTP/1.1 200 OK")[1:]]
    assert found == [*bodies, *[b"/"] * 1000, b"/last"]


async def test_a_client_that_leaves(recorded: type[Recorded]) -> None:
    """What it left behind is not parsed any more."""
    gate = Gate()
    async with listening(gate, recorded) as port:
        _, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(SMALLEST * COUNT)
        await recorded.held.wait()
        writer.transport.abort()
        gate.opened.set()
        await recorded.lost.wait()
    assert gate.begun <= MOST_WAITING + PIECE // len(SMALLEST) + 1
