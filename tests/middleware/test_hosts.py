"""Only the hosts that are served here."""

from typing import Any

import httpx2
import pytest
from starlette.types import Message, Receive, Scope, Send

from authward.errors import ConfigurationError
from authward.middleware.hosts import TrustedHost
from authward.testing import TurnableClock
from tests.http.serving import served
from tests.middleware.driving import drive, http_scope

HOSTS = ["api.example.com", "*.apps.example.com", "127.0.0.1"]


async def fine(scope: Scope, receive: Receive, send: Send) -> None:
    if scope["type"] == "lifespan":
        while (await receive())["type"] != "lifespan.shutdown":
            await send({"type": "lifespan.startup.complete"})
        return await send({"type": "lifespan.shutdown.complete"})
    if scope["type"] == "websocket":
        await receive()
        return await send({"type": "websocket.accept"})
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b"fine"})


app = TrustedHost(fine, hosts=HOSTS)

HEADERS = [
    ([b"api.example.com"], True),
    ([b"API.example.com.:443"], True),
    ([b"a.b.apps.example.com"], True),
    ([b"apps.example.com"], False),
    ([b"evil.example"], False),
    ([b"localhost"], False),
    ([b"api.example.com/x"], False),
    ([b"user@api.example.com"], False),
    ([b"api.example.com:port"], False),
    ([b"\xff"], False),
    ([b""], False),
    ([], False),
    ([b"api.example.com", b"api.example.com"], False),
    ([b"api.example.com", b"evil.example"], False),
]


@pytest.mark.parametrize(("hosts", "served_here"), HEADERS)
async def test_a_request_for_a_host(hosts: list[bytes], served_here: bool):
    answer = await drive(app, http_scope(headers=[(b"host", one) for one in hosts]))
    if served_here:
        assert answer.body == b"fine"
    else:
        assert (answer.status, answer.error) == (400, "malformed_request")


@pytest.mark.parametrize(("hosts", "served_here"), HEADERS)
async def test_a_websocket_for_a_host(hosts: list[bytes], served_here: bool):
    sent: list[Message] = []

    async def receive() -> Message:
        return {"type": "websocket.connect"}

    async def send(message: Message) -> None:
        sent.append(message)

    headers = [(b"host", one) for one in hosts]
    await app({"type": "websocket", "path": "/", "headers": headers}, receive, send)
    close = {"type": "websocket.close", "code": 1008}
    assert sent == [{"type": "websocket.accept"} if served_here else close]


async def test_what_was_sent_is_not_told_back():
    answer = await drive(app, http_scope(headers=[(b"host", b"<script>alert(1)</script>")]))
    assert b"script" not in answer.body


async def test_the_time_of_a_refusal_is_the_clocks():
    clock = TurnableClock()
    clock.turn(-clock.now())
    answer = await drive(TrustedHost(fine, hosts=HOSTS, clock=clock), http_scope())
    assert b'"timestamp":"1970-01-01T00:00:0' in answer.body


async def test_what_is_no_request_goes_straight_on():
    seen: list[Any] = []

    async def inner(scope: Scope, receive: Receive, send: Send) -> None:
        seen.append((scope, receive, send))

    scope, receive, send = {"type": "lifespan"}, object(), object()
    await TrustedHost(inner, hosts=HOSTS)(scope, receive, send)  # type: ignore[arg-type]
    assert seen == [(scope, receive, send)]


def test_a_list_that_means_something_else_does_not_start():
    with pytest.raises(ConfigurationError, match="hosts: there is none"):
        TrustedHost(fine, hosts=[])


def test_on_a_real_socket():
    with served(app) as url:
        assert httpx2.get(url).text == "fine"
        refused = httpx2.get(url, headers={"host": "evil.example"})
        assert (refused.status_code, refused.json()["error"]) == (400, "malformed_request")
