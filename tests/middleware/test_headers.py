"""Security headers around any ASGI app, called as a server would."""

import asyncio
import socket
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from typing import Any

import pytest
from starlette.applications import Starlette
from starlette.exceptions import WebSocketException
from starlette.responses import PlainTextResponse, StreamingResponse
from starlette.routing import Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from uvicorn import Config, Server

from authward.core.csp import NONCE, ContentSecurityPolicy
from authward.core.headers import DEFAULT_POLICY, Header, SecurityPolicy
from authward.errors import ConfigurationError
from authward.middleware.headers import CSP_NONCE, SecurityHeaders, csp_nonce

DEFAULT = DEFAULT_POLICY.headers(https=True)
NONCED = SecurityPolicy(
    content_security_policy=ContentSecurityPolicy({"script-src": ("'self'", NONCE)})
)


def scope_of(kind: str = "http", path: str = "/") -> dict[str, Any]:
    return {
        "type": kind,
        # From 2.4 on a server's `send` tells that the client is gone, and nobody listens for it.
        "asgi": {"version": "3.0", "spec_version": "2.4"},
        "method": "GET",
        "path": path,
        "headers": [],
        "query_string": b"",
    }


async def call(
    app: ASGIApp, scope: Scope | None = None, sent: list[Message] | None = None
) -> list[Message]:
    """Everything the app sends in answer to one request."""
    sent = [] if sent is None else sent

    async def receive() -> Message:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: Message) -> None:
        sent.append(message)

    await app(scope_of() if scope is None else scope, receive, send)
    return sent


def answering(headers: Iterable[Header] | None = (), kind: str = "http.response") -> ASGIApp:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        start: Message = {"type": f"{kind}.start", "status": 200}
        await send(start if headers is None else {**start, "headers": headers})
        await send({"type": f"{kind}.body", "body": b"hello"})

    return app


def csp_of(message: Message) -> str:
    return dict(message["headers"])[b"content-security-policy"].decode()


async def test_every_answer_carries_them_after_its_own():
    start, body = await call(SecurityHeaders(answering([(b"content-type", b"text/plain")])))
    assert start["headers"] == [(b"content-type", b"text/plain"), *DEFAULT]
    assert start["status"] == 200
    assert body == {"type": "http.response.body", "body": b"hello"}


async def test_an_answer_without_headers_gets_them():
    start, _ = await call(SecurityHeaders(answering(None)))
    assert start["headers"] == [*DEFAULT]


async def test_plain_http_has_neither_hsts_nor_an_upgrade():
    start, _ = await call(SecurityHeaders(answering(), https=False))
    assert b"strict-transport-security" not in dict(start["headers"])
    assert "upgrade-insecure-requests" not in csp_of(start)


@pytest.mark.parametrize("path", ["/here", "/stream", "/nowhere", "/broken"])
async def test_a_framework_behind_it_is_covered_whole(path: str):
    async def here(request: object) -> PlainTextResponse:
        return PlainTextResponse("hello")

    async def stream(request: object) -> StreamingResponse:
        return StreamingResponse(iter(["a", "b"]))

    async def broken(request: object) -> PlainTextResponse:
        raise RuntimeError("broken")

    app = Starlette(
        routes=[Route("/here", here), Route("/stream", stream), Route("/broken", broken)]
    )
    sent: list[Message] = []
    try:
        await call(SecurityHeaders(app), scope_of(path=path), sent)
    except RuntimeError:
        assert path == "/broken"
    assert sent[0]["status"] == {"/nowhere": 404, "/broken": 500}.get(path, 200)
    assert set(DEFAULT) <= set(sent[0]["headers"])
    assert [one["type"] for one in sent].count("http.response.start") == 1


async def test_the_apps_own_headers_win():
    own = [(b"x-frame-options", b"DENY"), (b"cache-control", b"no-store")]
    start, _ = await call(SecurityHeaders(answering(own)))
    assert start["headers"][:2] == own
    names = [name for name, _ in start["headers"]]
    assert len(names) == len(set(names)) == len(DEFAULT) + 1


async def test_what_powers_the_app_is_not_told():
    start, _ = await call(SecurityHeaders(answering([(b"x-powered-by", b"Express")])))
    assert start["headers"] == [*DEFAULT]


async def test_a_message_that_is_sent_twice_does_not_grow():
    headers: list[Header] = [(b"content-type", b"text/plain")]
    constant: Message = {"type": "http.response.start", "status": 200, "headers": headers}

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await send(constant)

    protected = SecurityHeaders(app)
    first, second = await call(protected), await call(protected)
    assert first == second
    assert constant["headers"] is headers
    assert len(headers) == 1


async def test_a_refused_handshake_carries_them():
    app = SecurityHeaders(answering(kind="websocket.http.response"))
    start, body = await call(app, scope_of("websocket"))
    assert start["headers"] == [*DEFAULT]
    assert body["body"] == b"hello"


async def test_an_accepted_handshake_is_left_alone():
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "websocket.accept", "headers": []})

    assert await call(SecurityHeaders(app), scope_of("websocket")) == [
        {"type": "websocket.accept", "headers": []}
    ]


async def test_other_scopes_pass_straight_on():
    seen: list[Any] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        seen.append((scope, receive, send))

    scope = {"type": "lifespan"}
    given: Any = (scope, object(), object())
    await SecurityHeaders(app, policy=NONCED)(*given)
    assert seen == [given]
    assert scope == {"type": "lifespan"}


async def test_an_exception_of_the_app_passes_through():
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        raise WebSocketException(1008)

    with pytest.raises(WebSocketException):
        await call(SecurityHeaders(app), scope_of("websocket"))


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"policy": {}}, r"policy: \{\} is no SecurityPolicy\. Make one"),
        ({"policy": None}, r"policy: None is no SecurityPolicy\. Make one"),
        ({"https": "no"}, r"https: 'no' is neither True nor False\. Did you mean False"),
        ({"https": "on"}, "Did you mean True"),
    ],
)
def test_options_that_cannot_be_honoured_start_nothing(options: dict[str, Any], text: str):
    with pytest.raises(ConfigurationError, match=text):
        SecurityHeaders(answering(), **options)


# --- a real server --------------------------------------------------------------------------


@asynccontextmanager
async def served(app: ASGIApp) -> AsyncIterator[int]:
    """The port of `app` while uvicorn serves it."""
    with socket.socket(proto=socket.IPPROTO_TCP) as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        config = Config(app, lifespan="off", log_config=None, ws="websockets-sansio")
        server = Server(config)
        task = asyncio.create_task(server.serve([listener]))
        try:
            while not server.started:
                assert not task.done(), "the server did not start"
                await asyncio.sleep(0.001)
            yield listener.getsockname()[1]
        finally:
            server.should_exit = True
            await task


async def head_of(port: int, *lines: str) -> list[str]:
    """The head of the answer to a raw request."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write("\r\n".join(["GET / HTTP/1.1", "Host: a.example", *lines, "", ""]).encode())
    head = await reader.readuntil(b"\r\n\r\n")
    writer.close()
    await writer.wait_closed()
    return head.decode("latin-1").splitlines()


HANDSHAKE = (
    "Connection: Upgrade",
    "Upgrade: websocket",
    "Sec-WebSocket-Version: 13",
    "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==",
)


@pytest.mark.parametrize("lines", [("Connection: close",), HANDSHAKE])
async def test_on_the_wire_each_is_there_once(lines: tuple[str, ...]):
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "websocket":
            await receive()
        kind = {"http": "http.response", "websocket": "websocket.http.response"}[scope["type"]]
        await send({"type": f"{kind}.start", "status": 403, "headers": []})
        await send({"type": f"{kind}.body", "body": b""})

    async with served(SecurityHeaders(app)) as port:
        status, *lines_back = await head_of(port, *lines)
    assert status.startswith("HTTP/1.1 403 ")
    for name, value in DEFAULT:
        line = f"{name.decode()}: {value.decode()}"
        assert [one.lower() for one in lines_back].count(line.lower()) == 1, line


# --- nonces ---------------------------------------------------------------------------------


def telling() -> tuple[ASGIApp, list[str]]:
    """An app, and the nonces it was given."""
    nonces: list[str] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        nonces.append(csp_nonce(scope))
        await send({"type": "http.response.start", "status": 200, "headers": []})

    return app, nonces


async def test_each_request_has_a_nonce_of_its_own_in_header_and_scope():
    app, nonces = telling()
    protected = SecurityHeaders(app, policy=NONCED)
    answers = [(await call(protected))[0] for _ in range(50)]
    assert len(set(nonces)) == 50
    for nonce, answer in zip(nonces, answers, strict=True):
        assert f";script-src 'self' 'nonce-{nonce}';" in csp_of(answer)


async def test_the_nonce_comes_from_chance():
    app, nonces = telling()
    scope = scope_of()
    await call(SecurityHeaders(app, policy=NONCED, chance=lambda size: b"\xff" * size), scope)
    assert nonces == ["_" * 24] == [scope[CSP_NONCE]]


async def test_nested_policies_share_the_nonce():
    app, nonces = telling()
    trial = SecurityPolicy(
        content_security_policy=ContentSecurityPolicy({"style-src": (NONCE,)}, report_only=True)
    )
    inner = SecurityHeaders(app, policy=trial)
    start, *_ = await call(SecurityHeaders(inner, policy=NONCED))
    headers = dict(start["headers"])
    assert nonces[0].encode() in headers[b"content-security-policy"]
    assert nonces[0].encode() in headers[b"content-security-policy-report-only"]


async def test_without_a_nonce_in_the_policy_there_is_no_work_for_one():
    def no_chance(size: int) -> bytes:
        raise AssertionError("chance was asked")

    scope = scope_of()
    await call(SecurityHeaders(answering(), chance=no_chance), scope)
    assert scope == scope_of()
    with pytest.raises(ConfigurationError, match=r"^csp_nonce: .* Put NONCE into"):
        csp_nonce(scope)


async def test_an_answer_keeps_the_policy_that_it_was_given():
    own = [(b"content-security-policy", b"default-src 'none'")]
    start, _ = await call(SecurityHeaders(answering(own), policy=NONCED))
    assert csp_of(start) == "default-src 'none'"
