"""A request head without end (CWE-770). The bound is the same however TCP cuts it, and who is
refused is told so in turn: out of turn, a client takes the answer for that of an earlier request.
"""

import asyncio

import pytest
from starlette.types import Receive, Scope, Send

from authward.uvicorn import MAX_HEAD, PIECE, Http
from tests.middleware.listening import converse, listening

START = b"GET /last HTTP/1.1\r\n"


def head(size: int, lines: int) -> bytes:
    """A head whose target and fields make `size` bytes, the latter of so many lines."""
    rest = size - len("/last") - len(b"connection: close\r\n")
    each = rest // lines
    fields = [b"x: " + b"a" * (each - 5)] * (lines - 1)
    fields.append(b"x: " + b"a" * (rest - each * (lines - 1) - 5))
    return START + b"\r\n".join([*fields, b"connection: close", b"", b""])


def cut(data: bytes, size: int) -> list[bytes]:
    return [data[at : at + size] for at in range(0, len(data), size)]


async def app(scope: Scope, receive: Receive, send: Send) -> None:
    said = scope["path"].encode()
    length = (b"content-length", b"%d" % len(said))
    await asyncio.sleep(0.002)  # so that others wait for their turn
    await send({"type": "http.response.start", "status": 200, "headers": [length]})
    await send({"type": "http.response.body", "body": said})


@pytest.fixture(autouse=True)
def hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("authward.uvicorn.LINGER_S", 0.1)


@pytest.mark.parametrize("lines", [1, 9000])
@pytest.mark.parametrize("size", [PIECE - 1, 7001, 1 << 20])
@pytest.mark.parametrize("before", [0, 3])
async def test_the_same_however_it_is_cut(lines: int, size: int, before: int) -> None:
    pipelined = b"GET /before HTTP/1.1\r\n\r\n" * before
    async with listening(app, Http) as port:
        fits = await converse(port, *cut(pipelined + head(MAX_HEAD, lines), size))
        exceeds = await converse(port, *cut(pipelined + head(MAX_HEAD + 1, lines), size))
        never_ends = await converse(port, *cut(pipelined + head(MAX_HEAD * 4, lines)[:-2], size))
    for told in (fits, exceeds, never_ends):
        assert told.count(b"HTTP/1.1 200 OK") == before + (told is fits)
    assert fits.endswith(b"/last")
    for told in (exceeds, never_ends):
        *earlier, last = told.split(b"HTTP/1.1 ")
        assert len(earlier) == 1 + before
        assert last.startswith(b"400 ")
        assert last.endswith(b"Request head too large.")


async def test_a_target_without_end() -> None:
    async with listening(app, Http) as port:
        told = await converse(port, b"GET /" + b"a" * MAX_HEAD + b" HTTP/1.1\r\n\r\n")
        assert told.endswith(b"Request head too large.")
        told = await converse(port, b"GET /" + b"a" * (MAX_HEAD - 2) + b" HTTP/1.0\r\n\r\n")
        assert told.endswith(b"aaa")


async def test_a_large_head_leaves_room_beside_its_body() -> None:
    """What travels beside the body is counted from the end of the head."""
    chunks = b"1\r\nx\r\n" * 5000 + b"0\r\n\r\n"
    large = head(MAX_HEAD - 30, 10).replace(b"\r\n", b"\r\ntransfer-encoding: chunked\r\n", 1)
    async with listening(app, Http) as port:
        assert (await converse(port, large + chunks)).endswith(b"/last")
