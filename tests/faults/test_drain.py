"""A server that is told to end finishes what is under way, writes what is pending, and turns new
work away: over real sockets, with one process and with four.
"""

import asyncio
import json
import os
import signal
import socket
import sqlite3
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from authward.stores.sql import SqlStore
from authward.testing import TurnableClock
from tests.serving import PASSWORD, Server, register, serving

pytestmark = pytest.mark.timeout(300)
WORKERS = [1, 4]
GRACEFUL = 600
"""Seconds for what is under way: a busy machine must not be done with it before the test is."""


class Wire:
    """One connection: what is sent in parts, and what comes back."""

    def __init__(self, server: Server) -> None:
        port = urlsplit(server.url).port
        assert port is not None
        self._socket = socket.create_connection(("127.0.0.1", port), timeout=60)

    def send(self, data: bytes) -> None:
        self._socket.sendall(data)

    def begin(self, data: bytes) -> None:
        """Send all of a request but its last byte, and wait until the server asks for that: the
        request is under way then, however busy the machine is.
        """
        head, body = data.split(b"\r\n\r\n")
        self.send(head + b"\r\nExpect: 100-continue\r\n\r\n" + body[:-1])
        asked = b""
        while not asked.endswith(b"\r\n\r\n"):
            asked += self._more()
        assert asked.startswith(b"HTTP/1.1 100 ")

    def answer(self) -> tuple[int, dict[str, str], bytes]:
        """One whole answer: status, headers, body."""
        received = b""
        while b"\r\n\r\n" not in received:
            received += self._more()
        head, _, body = received.partition(b"\r\n\r\n")
        first, *lines = head.decode("latin-1").split("\r\n")
        headers = {n.lower(): v for n, _, v in (line.partition(": ") for line in lines)}
        while len(body) < int(headers["content-length"]):
            body += self._more()
        return int(first.split()[1]), headers, body

    def ended(self) -> bool:
        """Whether the server closes it, sending no more."""
        try:
            return self._socket.recv(1) == b""
        except ConnectionResetError:
            return True

    def close(self) -> None:
        self._socket.close()

    def _more(self) -> bytes:
        chunk = self._socket.recv(65536)
        assert chunk, "closed in the middle of an answer"
        return chunk


def request(method: str, path: str, body: dict[str, Any] | None = None) -> bytes:
    text = b"" if body is None else json.dumps(body).encode()
    kind = "" if body is None else "Content-Type: application/json\r\n"
    head = f"{method} {path} HTTP/1.1\r\nHost: localhost\r\n{kind}Content-Length: {len(text)}\r\n"
    return head.encode() + b"\r\n" + text


@contextmanager
def wires(server: Server) -> Iterator[Any]:
    with ExitStack() as stack:

        def wire() -> Wire:
            made = Wire(server)
            stack.callback(made.close)
            return made

        yield wire


async def denials(database_url: str) -> int:
    store = SqlStore(database_url, TurnableClock())
    rows = await store.audit.latest(1000)
    await store.close()
    return sum(row.event.kind == "access.denied" for row in rows)


def told_if_ready(wire: Any) -> tuple[int, dict[str, str], bytes] | None:
    """What a new connection is told by /readyz; None where nobody listens any more. One that meets
    a worker which is just going is closed without a word, and tried again.
    """
    while True:
        try:
            probe = wire()
            probe.send(request("GET", "/readyz"))
            answer: tuple[int, dict[str, str], bytes] = probe.answer()
        except ConnectionRefusedError:
            return None
        except (ConnectionError, AssertionError):
            continue
        return answer


def told_to_go(wire: Any) -> tuple[int, dict[str, str], bytes]:
    """The first answer of /readyz that is not 200."""
    until = time.monotonic() + 60
    while (told := told_if_ready(wire)) is not None and told[0] == 200:
        assert time.monotonic() < until, "it still says it is ready"
    assert told is not None
    return told


@pytest.mark.parametrize("workers", WORKERS)
def test_an_end_in_order(sqlite_database: str, tmp_path: Path, workers: int) -> None:
    with (
        serving(sqlite_database, tmp_path, workers=workers, test_graceful=GRACEFUL) as server,
        wires(server) as wire,
    ):
        with server.client() as client:
            account = register(client)
        idle, busy = wire(), wire()
        idle.send(request("GET", "/healthz"))
        status, headers, _ = idle.answer()
        assert (status, headers.get("connection")) == (200, None)
        login = request("POST", "/api/auth/login", {"email": account.email, "password": PASSWORD})
        busy.begin(login)
        refused = wire()
        refused.send(request("GET", "/api/profile"))
        assert refused.answer()[0] == 401
        server.process.send_signal(signal.SIGTERM)

        # Idle connections end, and who asks is told to go elsewhere, while one is still served.
        assert idle.ended()
        status, headers, body = told_to_go(wire)
        assert (status, headers["connection"]) == (503, "close")
        assert "shutting down" in json.loads(body)["message"]

        busy.send(login[-1:])
        status, headers, body = busy.answer()
        assert (status, headers["connection"]) == (200, "close")
        assert json.loads(body)["data"]["accessToken"]
        assert busy.ended()
        assert server.process.wait(60) == 0
        assert "Traceback" not in server.log
    assert asyncio.run(denials(sqlite_database)) == 1


@pytest.mark.parametrize("workers", WORKERS)
def test_it_listens_on_for_as_long_as_is_set(
    sqlite_database: str, tmp_path: Path, workers: int
) -> None:
    """What a load balancer needs to notice, with nothing under way."""
    with (
        serving(sqlite_database, tmp_path, workers=workers, drain="5s") as server,
        wires(server) as wire,
    ):
        began = time.monotonic()
        server.process.send_signal(signal.SIGTERM)
        seen = set()
        while (told := told_if_ready(wire)) is not None:
            seen.add(told[0])
        assert seen in ({503}, {200, 503})
        assert server.process.wait(60) == 0
        assert time.monotonic() - began >= 5


@pytest.mark.parametrize("workers", WORKERS)
def test_a_second_signal_ends_it_at_once(
    sqlite_database: str, tmp_path: Path, workers: int
) -> None:
    with (
        serving(sqlite_database, tmp_path, workers=workers, test_graceful=GRACEFUL) as server,
        wires(server) as wire,
    ):
        busy = wire()
        busy.begin(request("POST", "/api/auth/login", {"email": "a@example.com"}))
        server.process.send_signal(signal.SIGTERM)
        told_to_go(wire)
        server.process.send_signal(signal.SIGTERM)
        # Long before what is under way would have been given up.
        assert server.process.wait(GRACEFUL / 10) != 0
        assert busy.ended()


def test_nothing_half_written_is_left(sqlite_database: str, tmp_path: Path) -> None:
    """Ended in order, the database needs no recovery."""
    with serving(sqlite_database, tmp_path) as server:
        with server.client() as client:
            register(client)
        server.process.send_signal(signal.SIGTERM)
        assert server.process.wait(60) == 0
    path = urlsplit(sqlite_database).path.removeprefix("/")
    assert not os.path.exists(f"{path}-wal") or os.path.getsize(f"{path}-wal") == 0
    with sqlite3.connect(path) as database:
        assert database.execute("PRAGMA integrity_check").fetchone() == ("ok",)
