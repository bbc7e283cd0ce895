"""A body that never ends to come holds a connection, and what its handler holds, for ever.

R-U-Dead-Yet (slow POST), CWE-400, CAPEC-469; the bound of time is that of Apache's
mod_reqtimeout: a grace, and more time for what has come.
"""

import asyncio
import json
import re
import time
from collections.abc import Iterable
from contextlib import suppress

import httpx2
import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from authward.middleware.body import BodyLimit
from tests.http.serving import served


def reading() -> tuple[Starlette, list[str]]:
    """An app that reads a body whole, and how its reading ended, each time."""
    ends: list[str] = []

    async def read(request: Request) -> Response:
        try:
            body = await request.body()
        except Exception as error:
            ends.append(type(error).__name__)
            raise
        ends.append("whole")
        return Response(str(len(body)))

    return Starlette(routes=[Route("/", read, methods=["POST"])]), ends


@pytest.fixture(autouse=True)
def no_lingering(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("authward.middleware.body.LINGER_S", 0.2)


async def dribble(url: str, head: Iterable[str], pieces: Iterable[bytes], pause: float) -> bytes:
    """Send a request piece by piece until it is answered; the answer, after which the server must
    close.
    """
    address = httpx2.URL(url)
    reader, writer = await asyncio.open_connection(address.host, address.port)
    lines = ["POST / HTTP/1.1", "Host: localhost", "Content-Type: text/plain", *head, "", ""]
    writer.write("\r\n".join(lines).encode())
    answer = asyncio.create_task(whole_answer(reader))
    for piece in pieces:
        writer.write(piece)
        await asyncio.wait([answer], timeout=pause)
        if answer.done():
            break
    found = await asyncio.wait_for(answer, 60)
    with suppress(ConnectionError):  # what was sent too late is answered by a reset
        assert await asyncio.wait_for(reader.read(), 60) == b""
    writer.close()
    with suppress(ConnectionError):
        await writer.wait_closed()
    return found


async def whole_answer(reader: asyncio.StreamReader) -> bytes:
    head = await reader.readuntil(b"\r\n\r\n")
    length = re.search(rb"content-length: (\d+)", head)
    assert length, head
    return head + await reader.readexactly(int(length[1]))


DECLARED = ["Content-Length: 1000"]
CHUNKED = ["Transfer-Encoding: chunked"]


@pytest.mark.parametrize(
    ("head", "pieces"),
    [
        (DECLARED, []),
        (DECLARED, [b"x"] * 1000),
        (CHUNKED, []),
        (CHUNKED, [b"1\r\nx\r\n"] * 1000),
        # Neither are lengths of chunks a body.
        (CHUNKED, [b"0"] * 1000),
    ],
    ids=["silent", "a byte at a time", "silent, chunked", "a chunk at a time", "lengths alone"],
)
async def test_it_is_let_go_after_its_time(head: list[str], pieces: list[bytes]):
    app, ends = reading()
    with served(BodyLimit(app, seconds=0.1)) as url:
        began = time.monotonic()
        answer = await dribble(url, head, pieces, 0.01)
        took = time.monotonic() - began
    first, _, body = answer.partition(b"\r\n\r\n")
    assert first.startswith(b"HTTP/1.1 400 ")
    assert b"connection: close" in first
    assert json.loads(body)["error"] == "malformed_request"
    assert ends == ["MalformedRequest"]
    assert took >= 0.1


async def test_what_keeps_to_the_rate_gets_through():
    app, ends = reading()
    with served(BodyLimit(app, seconds=0.1, rate=10)) as url:
        slow = await dribble(
            url, ["Content-Length: 1000", "Connection: close"], [b"x" * 50] * 20, 0.008
        )
    assert slow.startswith(b"HTTP/1.1 200 ")
    assert slow.endswith(b"1000")
    assert ends == ["whole"]


async def test_a_hundred_of_them_keep_nobody_waiting():
    app, ends = reading()
    with served(BodyLimit(app, seconds=1)) as url:
        held = [asyncio.create_task(dribble(url, DECLARED, [], 0)) for _ in range(100)]
        async with httpx2.AsyncClient() as client:
            answer = await client.post(url, content=b"hello")
        assert answer.text == "5"
        answers = await asyncio.gather(*held)
    assert all(one.startswith(b"HTTP/1.1 400 ") for one in answers)
    assert ends.count("MalformedRequest") == 100
