"""An origin that may read answers without cookies acts with them (CWE-346, CWE-1385).

What CORS lets anybody read is no word on whose pages may use a visitor's session: the WebSocket
handshake carries cookies and has no preflight.
"""

from typing import Any

import pytest
from starlette.types import Message, Receive, Scope, Send

from authward.core.cors import CorsPolicy
from authward.middleware.cors import CORS
from tests.middleware.driving import drive, http_scope

PARTNER, OWN = "https://shop.partner.example", "https://api.example.com"
CLOSED: Message = {"type": "websocket.close", "code": 1008}
WITHOUT: list[dict[str, Any]] = [
    {"origins": [PARTNER]},
    {"subdomains_of": ["https://partner.example"]},
    {"allow": lambda origin: True},
    {"origins": ["*"], "dangerously_allow_any_origin": True},
]


async def app(scope: Scope, receive: Receive, send: Send) -> None:
    if scope["type"] == "websocket":
        return await send({"type": "websocket.accept"})
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body"})


async def handshake(options: dict[str, Any], origin: str) -> list[Message]:
    sent: list[Message] = []

    async def receive() -> Message:
        return {"type": "websocket.connect"}

    async def send(message: Message) -> None:
        sent.append(message)

    scope = {"type": "websocket", "path": "/", "headers": [(b"origin", origin.encode())]}
    await CORS(app, own=[OWN], **options)(scope, receive, send)
    return sent


@pytest.mark.parametrize("options", WITHOUT)
async def test_it_opens_no_websocket(options: dict[str, Any]):
    assert await handshake({**options, "credentials": False}, PARTNER) == [CLOSED]
    assert await handshake({**options, "credentials": False}, OWN) == [{"type": "websocket.accept"}]


@pytest.mark.parametrize("options", WITHOUT)
def test_it_is_not_trusted(options: dict[str, Any]):
    policy = CorsPolicy(**options, credentials=False)
    assert policy.allows(PARTNER)
    assert not policy.trusts(PARTNER)


@pytest.mark.parametrize("options", WITHOUT)
async def test_it_may_send_without_them(options: dict[str, Any]):
    scope = http_scope("POST", headers=[(b"origin", PARTNER.encode())])
    answer = await drive(CORS(app, **options, credentials=False), scope)
    assert answer.status == 200
    assert answer.header(b"access-control-allow-credentials") == []


async def test_with_them_it_opens_one():
    assert await handshake({"origins": [PARTNER]}, PARTNER) == [{"type": "websocket.accept"}]
