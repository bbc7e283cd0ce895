"""Request smuggling (CWE-444) by Upgrade: a parser that takes the head for the whole message,
because it asks for another protocol, takes the body for the next request. A proxy in front of it
that frames the body sends somebody else's request behind it, on the same connection.
"""

from typing import Any

import pytest
from starlette.types import Receive, Scope, Send
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from authward.middleware.body import BodyLimit
from authward.uvicorn import Http
from tests.here import Here
from tests.middleware.listening import converse, listening

SMUGGLED = b"GET /smuggled HTTP/1.1\r\nhost: localhost\r\n\r\n"
NEXT = b"GET /next HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n"
LENGTH = (b"content-length: %d\r\n" % len(SMUGGLED), SMUGGLED)
CHUNKED = (
    b"transfer-encoding: chunked\r\n",
    b"%x\r\n%b\r\n0\r\n\r\n" % (len(SMUGGLED), SMUGGLED),
)
ASKED = [
    b"connection: upgrade\r\nupgrade: h2c\r\n",
    b"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABk\r\n",
    b"connection: upgrade\r\nupgrade: websocket, h2c\r\n",
    b"upgrade: x\r\nconnection: keep-alive\r\nconnection: upgrade\r\n",
    b"upgrade: websocket\r\nconnection: upgrade\r\nconnection: keep-alive\r\n",
    b"connection: upgrade\r\nupgrade:\r\n",
    b"connection: upgrade\r\nupgrade: h2c\r\nupgrade: h3c\r\nx: \xff  y \r\n",
]
framed = pytest.mark.parametrize("frame", [LENGTH, CHUNKED], ids=["length", "chunked"])
asked = pytest.mark.parametrize("asks", ASKED)


@pytest.fixture(autouse=True)
def hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("authward.uvicorn.LINGER_S", 0.2)
    monkeypatch.setattr("authward.middleware.body.LINGER_S", 0.2)


class Echo:
    """Answers with the path and the body, and remembers whom it was asked for."""

    def __init__(self) -> None:
        self.scopes: list[Any] = []

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.scopes.append(scope)
        body, more = b"", True
        while more:
            message = await receive()
            if message["type"] == "http.disconnect":
                return
            body += message["body"]
            more = message["more_body"]
        said = b"<%b %b>" % (scope["path"].encode(), body)
        length = (b"content-length", b"%d" % len(said))
        await send({"type": "http.response.start", "status": 200, "headers": [length]})
        await send({"type": "http.response.body", "body": said})

    @property
    def paths(self) -> list[str]:
        return [scope["path"] for scope in self.scopes]


def post(asks: bytes, frame: tuple[bytes, bytes]) -> tuple[bytes, bytes]:
    return b"POST /a HTTP/1.1\r\nhost: localhost\r\n" + asks + frame[0] + b"\r\n", frame[1]


@asked
@framed
@pytest.mark.parametrize("ws", ["none", "websockets-sansio"])
async def test_the_body_is_a_body(asks: bytes, frame: tuple[bytes, bytes], ws: str) -> None:
    """However it comes; and what comes behind it is answered, too. An honest client, such as
    `curl --http2 -d`, has its body heard.
    """
    head, body = post(asks, frame)
    whole = head + body + NEXT
    echo = Echo()
    async with listening(echo, Http, ws=ws) as port:
        for parts in ([head, body, NEXT], [whole], [whole[:30], whole[30:]], [head + body, NEXT]):
            told = await converse(port, *parts)
            assert told.count(b"HTTP/1.1 200 OK") == 2
            assert b"</a %b>" % SMUGGLED in told
            assert told.endswith(b"</next >")
    assert echo.paths == ["/a", "/next"] * 4


async def test_what_comes_behind_a_head_without_body() -> None:
    """Many of them at once: each stands for itself."""
    echo = Echo()
    async with listening(echo, Http, ws="none") as port:
        for asks in ASKED:
            head = b"GET /a HTTP/1.1\r\nhost: localhost\r\n" + asks + b"\r\n"
            told = await converse(port, head * 200 + NEXT)
            assert told.count(b"</a >") == 200
            assert told.endswith(b"</next >")


async def test_the_other_fields_arrive_as_they_came() -> None:
    echo = Echo()
    async with listening(echo, Http, ws="none") as port:
        head = (
            b"PUT /a%20b?c=d HTTP/1.0\r\nHost: localhost\r\nX:  one\r\nConnection: Upgrade\r\n"
            b"Upgrade: h2c\r\nx: two\r\nUpgrades: y\r\ncontent-length: 3\r\n\r\nabc"
        )
        assert (await converse(port, head)).endswith(b"</a b abc>")
    [scope] = echo.scopes
    assert scope["headers"] == [
        *((b"host", b"localhost"), (b"x", b"one"), (b"connection", b"Upgrade"), (b"x", b"two")),
        *((b"upgrades", b"y"), (b"content-length", b"3")),
    ]
    told = [scope[one] for one in ("method", "raw_path", "query_string", "http_version")]
    assert told == ["PUT", b"/a%20b", b"c=d", "1.0"]


@framed
async def test_the_last_request_of_a_connection(frame: tuple[bytes, bytes]) -> None:
    """What comes behind it is not answered, though it is a body to somebody else."""
    echo = Echo()
    head, body = post(b"connection: close, upgrade\r\nupgrade: h2c\r\n", frame)
    async with listening(echo, Http, ws="none") as port:
        for parts in ([head, body + SMUGGLED], [head + body + SMUGGLED]):
            assert (await converse(port, *parts)).endswith(b"</a %b>" % SMUGGLED)
    assert echo.paths == ["/a", "/a"]


@framed
async def test_a_websocket_with_a_body_is_none(frame: tuple[bytes, bytes]) -> None:
    echo = Echo()
    head, body = post(b"connection: upgrade\r\nupgrade: websocket\r\n", frame)
    async with listening(echo, Http) as port:
        for parts in ([head, body, NEXT], [head + body + NEXT]):
            told = await converse(port, *parts)
            assert told.count(b"HTTP/1.1") == 1
            assert told.startswith(b"HTTP/1.1 400 ")
            assert b"connection: close" in told
    assert echo.scopes == []


@pytest.mark.parametrize("target", [b"localhost:80", b"localhost"])
async def test_connect_is_no_way_through(target: bytes) -> None:
    echo = Echo()
    head = b"CONNECT %b HTTP/1.1\r\nhost: localhost\r\n%b\r\n" % (target, LENGTH[0])
    async with listening(echo, Http) as port:
        told = await converse(port, head, SMUGGLED)
    assert told.count(b"HTTP/1.1") == 1
    assert told.startswith(b"HTTP/1.1 400 ")
    assert echo.scopes == []


@asked
@framed
async def test_behind_a_server_that_does_not_know_better(
    asks: bytes, frame: tuple[bytes, bytes]
) -> None:
    """uvicorn's own class loses the body. Nobody may answer as if there had been none, and what it
    takes for the next request is not answered.
    """
    echo = Echo()
    head, body = post(asks, frame)
    async with listening(BodyLimit(echo), HttpToolsProtocol, ws="none") as port:
        told = await converse(port, head, body, NEXT)
    refused_alone(told)
    assert echo.scopes == []


def refused_alone(told: bytes) -> None:
    """And the connection is over; uvicorn may say the same of what follows, of a chunk's length."""
    first, *others = told.split(b"HTTP/1.1 ")[1:]
    assert first.startswith(b"400 ")
    assert b"connection: close" in first
    assert b"malformed_request" in first
    assert all(b"Invalid HTTP request received." in other for other in others)


@framed
@pytest.mark.parametrize("http", [HttpToolsProtocol, Http])
async def test_the_whole_shield(here: Here, http: Any, frame: tuple[bytes, bytes]) -> None:
    """On our own class it is a request like any other: of a type that no route of ours takes."""
    head, body = post(ASKED[0], frame)
    head = head.replace(b"/a", b"/api/auth/login")
    async with listening(here.auth.asgi(), http, ws="none") as port:
        told = await converse(port, head, body, NEXT)
    if http is HttpToolsProtocol:
        refused_alone(told)
    else:
        assert told.startswith(b"HTTP/1.1 415 ")
        assert told.count(b"HTTP/1.1 ") == 2
    assert b"/smuggled" not in told
