"""Bodies without measure, sent to an app that reads them whole: too long, too deep, too slow.

CWE-400, CWE-674, R-U-Dead-Yet; Starlette CVE-2024-47874 (multipart bombs). The caps are walked in
test_body_bombs.py and test_slow_body.py;
here the app is FastAPI behind `install`, and the server our own.
"""

import asyncio
import functools
import tracemalloc
from collections.abc import AsyncIterator, Iterator
from typing import Annotated, Any

import httpx2
import pytest
from fastapi import Body, FastAPI, Request

from authward import Authward
from authward.core.bodies import BodyCaps
from tests.here import Here
from tests.middleware.listening import listening
from tests.serving import SECRET, error_of

JSON = {"content-type": "application/json"}
MEGABYTE = 1024 * 1024


@pytest.fixture
async def app(
    sqlite_database: str, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[tuple[int, list[int]]]:
    """Where it listens, and how long the bodies were that it read."""
    monkeypatch.setattr("authward.front.BodyCaps", functools.partial(BodyCaps, seconds=0.2))
    monkeypatch.setattr("authward.middleware.body.LINGER_S", 0.05)
    app = FastAPI()
    read: list[int] = []

    @app.post("/raw")
    async def raw(request: Request) -> int:
        read.append(len(await request.body()))
        return read[-1]

    @app.post("/json")
    async def parsed(body: Annotated[Any, Body()]) -> int:
        read.append(len(str(body)))
        return read[-1]

    @app.post("/form")
    async def form(request: Request) -> int:
        async with request.form() as found:
            read.append(len(found.multi_items()))
        return read[-1]

    auth = Authward(database_url=sqlite_database, secret=SECRET)
    auth.install(app)
    async with listening(app) as port:
        yield port, read
    await auth.shutdown()


def chunks(size: int) -> Iterator[bytes]:
    for _ in range(size // 65_536):
        yield b"x" * 65_536


async def pieces(size: int) -> AsyncIterator[bytes]:
    for chunk in chunks(size):
        yield chunk


async def test_too_long(app: tuple[int, list[int]]) -> None:
    port, read = app
    async with httpx2.AsyncClient(base_url=f"http://localhost:{port}") as client:
        assert (await client.post("/raw", content=b"x" * MEGABYTE)).json() == MEGABYTE
        for content in (b"x" * (MEGABYTE + 1), pieces(2 * MEGABYTE)):
            answer = await client.post("/raw", content=content)
            assert error_of(answer) == (413, "payload_too_large")
    assert read == [MEGABYTE]


async def test_too_deep_or_too_wide(app: tuple[int, list[int]]) -> None:
    port, read = app
    deep, wide = b"[" * 65 + b"]" * 65, b"[" + b"1," * 10_001 + b"1]"
    async with httpx2.AsyncClient(base_url=f"http://localhost:{port}") as client:
        for path in ("/json", "/raw"):
            answer = await client.post(path, content=deep, headers=JSON)
            assert error_of(answer) == (400, "malformed_request")
            answer = await client.post(path, content=wide, headers=JSON)
            assert error_of(answer) == (413, "payload_too_large")
    assert read == []


FORM = {"content-type": "multipart/form-data; boundary=b"}
FIELD = b'--b\r\nContent-Disposition: form-data; name="a"\r\n\r\n'
FILE = b'--b\r\nContent-Disposition: form-data; name="a"; filename="a"\r\n\r\n'


async def bomb(part: bytes, size: int) -> AsyncIterator[bytes]:
    yield part
    for chunk in chunks(size):
        yield chunk
    yield b"\r\n--b--\r\n"


@pytest.mark.parametrize("part", [FIELD, FILE], ids=["field", "file"])
async def test_a_part_of_a_form_without_end(app: tuple[int, list[int]], part: bytes) -> None:
    port, read = app
    async with httpx2.AsyncClient(base_url=f"http://localhost:{port}") as client:
        answer = await client.post("/form", content=bomb(part, 2 * MEGABYTE), headers=FORM)
        assert error_of(answer) == (413, "payload_too_large")
        answer = await client.post("/form", content=bomb(part, MEGABYTE // 2), headers=FORM)
        assert answer.status_code == 200
    assert read == [1]


@pytest.mark.parametrize("part", [FIELD, FILE], ids=["fields", "files"])
async def test_a_form_of_parts_without_number(app: tuple[int, list[int]], part: bytes) -> None:
    """Each costs more than its bytes. As many as Starlette takes are taken."""
    port, read = app
    async with httpx2.AsyncClient(base_url=f"http://localhost:{port}") as client:
        for parts, status in ((1000, 200), (1001, 400), (10_000, 400)):
            content = (part + b"x\r\n") * parts + b"--b--\r\n"
            assert len(content) < MEGABYTE
            answer = await client.post("/form", content=content, headers=FORM)
            assert answer.status_code == status, answer.text
    assert read == [1000]


async def test_too_slow(app: tuple[int, list[int]]) -> None:
    port, read = app
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    head = "POST /raw HTTP/1.1", "Host: localhost", "Content-Length: 1000", "", "x"
    writer.write("\r\n".join(head).encode())
    answer = await asyncio.wait_for(reader.read(), 10)
    writer.close()
    assert answer.startswith(b"HTTP/1.1 400 ")
    assert b"The body came too slowly" in answer
    assert read == []


@pytest.mark.parametrize("head", ["Authorization: Bearer ", "Cookie: refreshToken="])
async def test_a_token_of_a_hundred_megabytes_is_cut_off(here: Here, head: str) -> None:
    """As a header, where no cap on bodies sees it."""
    url = httpx2.URL(here.url)
    tracemalloc.start()
    try:
        reader, writer = await asyncio.open_connection(url.host, url.port)
        writer.write(f"GET /api/profile HTTP/1.1\r\nHost: localhost\r\n{head}".encode())
        answer = asyncio.create_task(reader.read())
        sent = 0
        for chunk in chunks(100 * MEGABYTE):
            if answer.done() or writer.is_closing():
                break
            writer.write(chunk)
            sent += len(chunk)
            try:
                await writer.drain()
            except ConnectionError:
                break
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    answer.cancel()
    await asyncio.gather(answer, return_exceptions=True)
    writer.close()
    assert sent < 16 * MEGABYTE
    assert peak < 8 * MEGABYTE
    assert (await here.send("GET", "/healthz")).status_code == 200
