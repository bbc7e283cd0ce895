"""Response splitting (CWE-113) through what a server remembers: a header field that was once found
legal vouches for no other, and an app that never says the same twice fills no memory (CWE-770).
"""

import asyncio
from typing import Any

import httpx2
import pytest
from starlette.types import Receive, Scope, Send
from uvicorn import Config, Server

from authward.uvicorn import Http, answers
from tests.middleware.listening import request

FINE = (b"x-fine", b"value")
FORBIDDEN = [
    (b"x-fine", b"value\r\nset-cookie: session=evil"),
    (b"x-fine", b"value\n"),
    (b"x-fine", b"val\x00ue"),
    (b"x-fine\r\nset-cookie", b"value"),
    (b"x-fine: x\r\nset-cookie", b"value"),
    (b"x fine", b"value"),
    (b"set-cookie", b"a=b\r\n\r\n<script>"),
    (b"SET-COOKIE", b"a=b\r\nx: y"),
    (b"set-cookie\r\nx", b"a=b"),
    (b"location", b"/\r\nset-cookie: session=evil"),
    (b"x-request-id", b"\r\n"),
    (b"content-length", b"2\r\nset-cookie: session=evil"),
]


class Served:
    """An app on a real socket that answers with the headers it is told."""

    def __init__(self) -> None:
        self.headers: Any = []
        self.server: Any = None
        self.port = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        given = [*self.headers, (b"content-length", b"2")]
        await send({"type": "http.response.start", "status": 200, "headers": given})
        await send({"type": "http.response.body", "body": b"ok"})

    @property
    def remembered(self) -> Any:
        return answers.lines_of[self.server.server_state]


@pytest.fixture
async def served(monkeypatch: pytest.MonkeyPatch) -> Any:
    # Where a test's log is caught, uvicorn believes that somebody reads its access log too.
    made = Http.__init__

    def without_log(self: Http, *given: Any, **more: Any) -> None:
        made(self, *given, **more)
        self.access_log = False

    monkeypatch.setattr(Http, "__init__", without_log)
    app = Served()
    config = Config(app, http=Http, port=0, lifespan="off", log_config=None, proxy_headers=False)
    app.server = Server(config)
    task = asyncio.create_task(app.server.serve())
    while not app.server.started:
        assert not task.done(), "the server did not start"
        await asyncio.sleep(0.001)
    app.port = app.server.servers[0].sockets[0].getsockname()[1]
    yield app
    app.server.should_exit = True
    await task


@pytest.mark.parametrize("header", FORBIDDEN)
async def test_nothing_vouches_for_it(served: Served, header: Any) -> None:
    served.headers = [FINE, (b"set-cookie", b"a=b"), (b"location", b"/")]
    assert (await request(served.port))[0] == 200
    assert FINE in served.remembered
    served.headers = [FINE, header]
    for _ in range(2):
        reader, writer = await asyncio.open_connection("127.0.0.1", served.port)
        writer.write(b"GET / HTTP/1.1\r\nhost: a.example\r\n\r\n")
        assert await reader.read() == b""
        writer.close()
        await writer.wait_closed()
    assert header not in served.remembered
    assert not any(b"evil" in line for line in served.remembered.values())


async def test_memory_is_bounded(served: Served) -> None:
    async with httpx2.AsyncClient(base_url=f"http://127.0.0.1:{served.port}") as client:
        for number in range(30):
            served.headers = [(b"x-%d-%d" % (number, one), b"v") for one in range(50)]
            assert (await client.get("/")).headers[f"x-{number}-49"] == "v"
            assert 0 < len(served.remembered) <= answers.MOST_LINES
        kept = len(served.remembered)
        served.headers = [(b"x-long", b"v" * answers.LONGEST_LINE)]
        assert len((await client.get("/")).headers["x-long"]) == answers.LONGEST_LINE
        assert len(served.remembered) <= kept + 1
    assert all(len(line) <= answers.LONGEST_LINE for line in served.remembered.values())


async def test_secrets_are_not_kept(served: Served) -> None:
    served.headers = [(b"Set-Cookie", b"session=secret"), FINE]
    assert "secret" in (await request(served.port))[1]
    assert FINE in served.remembered
    assert not any(b"secret" in line for line in served.remembered.values())


async def test_a_view_keeps_no_buffer(served: Served) -> None:
    """A memoryview of few bytes holds on to all of what it looks at."""
    view = memoryview(b"v" * 1_000_000)[:1]
    served.headers = [(b"x-view", view)]
    assert "x-view: v" in (await request(served.port))[1]
    assert all(type(value) is bytes for _, value in served.remembered)
