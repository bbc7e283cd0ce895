"""An app behind `install`, as uvicorn serves it with `--http authward.uvicorn:Http`."""

import asyncio
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import httpx2
import pytest
from websockets.asyncio.client import connect

from tests.serving import environment

APP = """
from collections.abc import AsyncIterator

from fastapi import FastAPI, WebSocket
from fastapi.responses import StreamingResponse

from authward import Authward

auth = Authward()
app = FastAPI()
auth.install(app)


@app.get("/plain")
async def plain() -> str:
    return "plain"


@app.get("/boom")
async def boom() -> None:
    raise RuntimeError("for the log")


@app.get("/stream")
async def stream() -> StreamingResponse:
    async def parts() -> AsyncIterator[bytes]:
        for number in range(3):
            yield b"%d " % number

    return StreamingResponse(parts())


@app.get("/big")
async def big() -> StreamingResponse:
    return StreamingResponse(iter([b"x" * 3_000_000]), headers={"content-length": "3000000"})


@app.websocket("/ws")
async def ws(websocket: WebSocket) -> None:
    await websocket.accept()
    await websocket.send_text(await websocket.receive_text())
"""


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[int, Path]]:
    """Its port, and its log."""
    folder = tmp_path_factory.mktemp("app")
    (folder / "served_app.py").write_text(APP)
    log = folder / "log"
    listener = socket.socket(proto=socket.IPPROTO_TCP)
    listener.bind(("127.0.0.1", 0))
    listener.listen(128)
    command = [sys.executable, "-m", "uvicorn", "served_app:app", "--no-access-log"]
    command += ["--http", "authward.uvicorn:Http", "--fd", str(listener.fileno())]
    with log.open("wb") as file:
        process = subprocess.Popen(
            [*command, "--app-dir", str(folder)],
            env=environment(f"sqlite:///{folder}/test.db"),
            cwd=folder,
            stdout=file,
            stderr=file,
            pass_fds=[listener.fileno()],
        )
    try:
        end = time.monotonic() + 60
        while "startup complete" not in log.read_text():
            assert process.poll() is None, log.read_text()
            assert time.monotonic() < end
            time.sleep(0.05)
        yield listener.getsockname()[1], log
    finally:
        process.terminate()
        process.wait(30)
        listener.close()


@pytest.fixture
def client(served: tuple[int, Path]) -> Iterator[httpx2.Client]:
    with httpx2.Client(base_url=f"http://127.0.0.1:{served[0]}", timeout=30) as client:
        yield client


def test_answers_of_all_kinds_on_one_connection(client: httpx2.Client) -> None:
    for _ in range(2):
        plain = client.get("/plain")
        assert plain.json() == "plain"
        assert plain.headers["x-content-type-options"] == "nosniff"
        assert client.head("/plain").content == b""
        assert client.get("/stream").text == "0 1 2 "
        assert len(client.get("/big").content) == 3_000_000
        assert client.get("/nowhere").json()["error"] == "not_found"


def test_an_error_is_answered_and_logged_once(
    client: httpx2.Client, served: tuple[int, Path]
) -> None:
    before = served[1].read_text().count("RuntimeError: for the log")
    answer = client.get("/boom")
    assert answer.status_code == 500
    assert answer.json()["error"] == "internal_error"
    assert answer.headers["x-content-type-options"] == "nosniff"
    # uvicorn ends the connection of an app that raised.
    again = httpx2.get(f"http://127.0.0.1:{served[0]}/plain", timeout=30)
    assert again.status_code == 200
    assert served[1].read_text().count("RuntimeError: for the log") == before + 1


async def test_pipelined(served: tuple[int, Path]) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", served[0])
    paths = ["/plain", "/stream", "/plain", "/big", "/plain"]
    lines = [f"GET {path} HTTP/1.1\r\nhost: localhost\r\n" for path in paths]
    lines[-1] += "connection: close\r\n"
    writer.write("".join(line + "\r\n" for line in lines).encode())
    answered = await reader.read()
    writer.close()
    await writer.wait_closed()
    assert answered.count(b"HTTP/1.1 200 OK\r\n") == len(paths)
    assert answered.count(b'"plain"') == 3
    assert answered.endswith(b'"plain"')


async def test_websocket(served: tuple[int, Path]) -> None:
    async with connect(f"ws://localhost:{served[0]}/ws", proxy=None) as websocket:
        await websocket.send("hello")
        assert await websocket.recv() == "hello"
