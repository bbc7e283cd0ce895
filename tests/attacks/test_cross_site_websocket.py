"""A foreign page opens a WebSocket, and the browser sends what it has for us along (CSWSH).

CWE-1385; PortSwigger, "Cross-site WebSocket hijacking": no CORS and no preflight stand before it.
"""

from collections.abc import AsyncIterator
from typing import Any

import pytest
from fastapi import FastAPI, WebSocket
from websockets.asyncio.client import connect
from websockets.exceptions import InvalidStatus

from authward import Authward
from tests.middleware.listening import listening
from tests.serving import SECRET

PAGE = "https://app.example.com"
OWN = "https://api.example.com"
FOREIGN = [
    "https://evil.example",
    "https://app.example.com.evil.example",
    "https://evilapp.example.com",
    "https://app.example.com:8443",
    "http://app.example.com",
    "https://appxexample.com",
    "https://app.example.com/",
    "https://app.example.com@evil.example",
    "null",
    "",
]


@pytest.fixture
async def opened() -> list[str]:
    """Which handshakes reached the app."""
    return []


@pytest.fixture
async def port(sqlite_database: str, opened: list[str]) -> AsyncIterator[int]:
    """Where an app listens that asks nobody who it is."""
    app = FastAPI()

    @app.websocket("/chat")
    async def chat(socket: WebSocket) -> None:
        opened.append(socket.headers.get("origin", ""))
        await socket.accept()
        await socket.send_text("hello")
        await socket.close()

    auth = Authward(
        database_url=sqlite_database,
        secret=SECRET,
        env="production",
        public_url=OWN,
        origins=[PAGE],
        rate_limit="20/15m",
    )
    auth.install(app)
    async with listening(app) as found:
        yield found
    await auth.shutdown()


async def status(port: int, origin: str | None, host: str = "api.example.com") -> int:
    """101 where the handshake was accepted."""
    headers = {} if origin is None else {"Origin": origin}
    at: Any = {"host": "127.0.0.1", "port": port}
    try:
        async with connect(f"ws://{host}/chat", additional_headers=headers, **at) as socket:
            assert await socket.recv() == "hello"
            return 101
    except InvalidStatus as refused:
        return refused.response.status_code


@pytest.mark.parametrize("origin", FOREIGN)
async def test_a_foreign_page_opens_none(port: int, opened: list[str], origin: str) -> None:
    assert await status(port, origin) == 403
    assert opened == []


@pytest.mark.parametrize("origin", [PAGE, OWN, None], ids=["allowed", "own", "no browser"])
async def test_its_own_pages_do(port: int, opened: list[str], origin: str | None) -> None:
    assert await status(port, origin) == 101
    assert opened == [origin or ""]


async def test_nor_one_at_another_host(port: int, opened: list[str]) -> None:
    assert await status(port, OWN, host="evil.example") == 403
    assert opened == []


async def test_handshakes_are_counted(port: int) -> None:
    found = [await status(port, PAGE) for _ in range(22)]
    assert found == [101] * 20 + [403] * 2
