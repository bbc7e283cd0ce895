"""Litestar CVE-2026-25478: an allowed origin became a regular expression, where a dot is any
character. sanic-cors CVE-2026-37737, Starlette #800: a pattern without an end.
"""

import pytest
from starlette.types import Message, Receive, Scope, Send

from authward.middleware.cors import CORS
from tests.middleware.driving import drive, http_scope

APP = "https://app.example.com"
# Every dot replaced by what somebody could register, or a parser could take for one.
DOTS = [
    APP[:at] + other + APP[at + 1 :]
    for at in (found for found, one in enumerate(APP) if one == ".")
    for other in ("x", "-", "0", "", "..", "%2e", "\u3002".encode().decode("latin-1"), "\\.", " ")
]
# What a pattern that is not anchored, or that is searched for, would find.
UNANCHORED = [
    APP + ".evil.example",
    APP + ":8443",
    APP + "@evil.example",
    APP + ".",
    APP + "\n",
    f"https://evil.example/{APP}",
    f"https://evil.example?{APP}",
    "https://evil" + APP.removeprefix("https://"),
]
FAMILY = [
    "https://appXexample.com",
    "https://a.appXexample.com",
    "https://evilapp.example.com",
    "https://a.app.exampleXcom",
    "https://a.app.example.com.evil.example",
    "https://a.app.example.com@evil.example",
]


async def secret(scope: Scope, receive: Receive, send: Send) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b"secret"})


LISTED = CORS(secret, origins=[APP])
BELOW = CORS(secret, subdomains_of=[APP])


async def refused(app: CORS, origin: str) -> None:
    """No header on what may be read, none on a preflight, 403 for the rest, and no WebSocket."""
    headers = [(b"origin", origin.encode("latin-1"))]
    asks = [*headers, (b"access-control-request-method", b"POST")]
    for scope in (http_scope("GET", headers=headers), http_scope("OPTIONS", headers=asks)):
        answer = await drive(app, scope)
        assert not [name for name, _ in answer.headers if name.startswith(b"access-control-")]
    answer = await drive(app, http_scope("POST", headers=headers))
    assert (answer.status, answer.error) == (403, "origin_not_allowed")
    sent: list[Message] = []

    async def receive() -> Message:
        return {"type": "websocket.connect"}

    async def send(message: Message) -> None:
        sent.append(message)

    await app({"type": "websocket", "path": "/", "headers": headers}, receive, send)
    assert sent == [{"type": "websocket.close", "code": 1008}]


@pytest.mark.parametrize("origin", [*DOTS, *UNANCHORED], ids=repr)
async def test_a_dot_is_a_dot_and_the_end_is_the_end(origin: str):
    await refused(LISTED, origin)


@pytest.mark.parametrize("origin", [*DOTS, *UNANCHORED[:5], *FAMILY], ids=repr)
async def test_so_it_is_below_an_origin(origin: str):
    await refused(BELOW, origin)


async def test_the_control_both_let_in_their_own():
    for app, origin in ((LISTED, APP), (BELOW, "https://a.b.app.example.com")):
        answer = await drive(app, http_scope("POST", headers=[(b"origin", origin.encode())]))
        assert answer.body == b"secret"
        assert answer.header(b"access-control-allow-origin") == [origin.encode()]
