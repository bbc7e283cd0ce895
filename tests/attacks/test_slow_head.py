"""Slowloris (CWE-400): connections that say nothing, or half a head, or the rest of a body that
nobody reads any more, a byte at a time. Whoever is waited for is given up; whoever waits is not.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress
from typing import Any

import pytest
from starlette.types import Receive, Scope, Send
from websockets.asyncio.client import connect

from authward.uvicorn import Http, watch
from tests.middleware.listening import listening

GET = b"GET / HTTP/1.1\r\nhost: localhost\r\n\r\n"
POST = b"POST %b HTTP/1.1\r\nhost: localhost\r\ncontent-length: 100000\r\n\r\nx"
DRIP_S = 0.01


@pytest.fixture(autouse=True)
def hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    assert (watch.OWED_S, watch.LOOK_S) == (30, 5)
    monkeypatch.setattr(watch, "OWED_S", 0.3)
    monkeypatch.setattr(watch, "LOOK_S", 0.05)


class App:
    """Answers at once, but reads the body of /read first, and has /slow wait until it is told."""

    def __init__(self) -> None:
        self.go_on = asyncio.Event()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "websocket":
            await receive()
            await send({"type": "websocket.accept"})
            await self.go_on.wait()
            await send({"type": "websocket.send", "text": "hello"})
            return
        while scope["path"] == "/read" and (await receive()).get("more_body", False):
            pass
        if scope["path"] == "/slow":
            await self.go_on.wait()
        headers = [(b"content-length", b"2")]
        await send({"type": "http.response.start", "status": 404, "headers": headers})
        await send({"type": "http.response.body", "body": b"ok"})


@pytest.fixture
async def served() -> AsyncIterator[Any]:
    app = App()
    async with listening(app, Http, timeout_keep_alive=60) as port:
        yield app, port


async def given_up(port: int, begins: bytes, drips: bytes, answers: int = 0) -> float:
    """After how many seconds the server closes on who says `drips`, one byte after the other. With
    `answers`, only after so many.
    """
    loop = asyncio.get_running_loop()
    began = loop.time()
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(begins)
    for _ in range(answers):
        await reader.readuntil(b"ok")
    closed = asyncio.create_task(reader.read())
    with suppress(ConnectionError):
        for drip in drips:
            writer.write(bytes([drip]))
            await asyncio.wait([closed], timeout=DRIP_S)
            if closed.done():
                break
        assert not await closed
    writer.close()
    with suppress(ConnectionError):
        await writer.wait_closed()
    return loop.time() - began


@pytest.mark.parametrize(
    ("begins", "drips", "answers"),
    [
        (b"", b"", 0),
        (b"GET / HT", b"", 0),
        (b"GET / HTTP/1.1\r\nx: ", b"a" * 5000, 0),
        (b"", b"\r\n" * 5000, 0),
        (GET + b"GET / HTTP/1.1\r\nx: ", b"a" * 5000, 1),
        (GET * 3 + b"GET / HTTP/1.1\r\nx: ", b"a" * 5000, 3),
        (GET, GET.rstrip() + b"a" * 5000, 1),
        (POST % b"/", b"x" * 5000, 1),
    ],
    ids=[
        *("nothing", "half a line", "half a field", "empty lines", "after an answer"),
        *("pipelined", "begun later", "body of an answered request"),
    ],
)
async def test_it_is_given_up(served: Any, begins: bytes, drips: bytes, answers: int) -> None:
    async with asyncio.timeout(30):
        seconds = await given_up(served[1], begins, drips, answers)
    assert seconds >= watch.OWED_S * 0.9
    assert seconds < len(drips) * DRIP_S or not drips


async def test_many_at_once(served: Any) -> None:
    """One timer for all of them; and the server looks on after there was nobody."""
    for _ in range(2):
        async with asyncio.timeout(30):
            await asyncio.gather(*(given_up(served[1], b"GET", b"") for _ in range(100)))


async def test_who_waits_is_not(served: Any) -> None:
    """For an app that takes its time; between two requests; with a body that is being read; as a
    WebSocket: longer than anybody who owes has.
    """
    app, port = served
    idle_reader, idle = await asyncio.open_connection("127.0.0.1", port)
    idle.write(GET)
    await idle_reader.readuntil(b"ok")
    reading_reader, reading = await asyncio.open_connection("127.0.0.1", port)
    reading.write(POST % b"/read")
    slow_reader, slow = await asyncio.open_connection("127.0.0.1", port)
    slow.write(GET.replace(b"/", b"/slow", 1) + GET[:20])
    async with connect(f"ws://127.0.0.1:{port}/", proxy=None) as socket, asyncio.timeout(30):
        for _ in range(2):
            await given_up(port, b"", b"")
        reading.write(b"x" * 99_999)
        app.go_on.set()
        assert await socket.recv() == "hello"
        assert (await reading_reader.readuntil(b"ok")).startswith(b"HTTP/1.1 404")
        assert (await slow_reader.readuntil(b"ok")).startswith(b"HTTP/1.1 404")
        slow.write(GET[20:])
        assert (await slow_reader.readuntil(b"ok")).startswith(b"HTTP/1.1 404")
        idle.write(GET)
        assert (await idle_reader.readuntil(b"ok")).startswith(b"HTTP/1.1 404")
    for writer in (idle, reading, slow):
        writer.close()
        await writer.wait_closed()
