"""Desynchronised by `Expect` (CWE-444): answered without being asked for its body, a client may
send the body or leave it. If the connection went on, a proxy's next request, somebody else's, would
be taken for that body (RFC 9110 section 10.1.1).
"""

import pytest
from starlette.types import Receive, Scope, Send

from authward.uvicorn import Http
from tests.middleware.listening import converse, listening

EXPECTS = b"POST /early HTTP/1.1\r\nhost: a\r\nexpect: 100-continue\r\n"
OTHERS = b"GET /of-another HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n"


@pytest.mark.parametrize("frame", [b"content-length: 5000\r\n", b"transfer-encoding: chunked\r\n"])
@pytest.mark.parametrize("length", [b"2", None], ids=["in one write", "chunked"])
async def test_an_early_answer_is_the_last(frame: bytes, length: bytes | None) -> None:
    asked: list[str] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        asked.append(scope["path"])
        headers = [] if length is None else [(b"content-length", length)]
        await send({"type": "http.response.start", "status": 401, "headers": headers})
        await send({"type": "http.response.body", "body": b"no"})

    async with listening(app, Http) as port:
        told = await converse(port, EXPECTS + frame + b"\r\n", OTHERS)
    assert told.count(b"HTTP/1.1") == 1
    assert told.startswith(b"HTTP/1.1 401 ")
    assert b"\r\nconnection: close\r\n" in told
    assert asked == ["/early"]
