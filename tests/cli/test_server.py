"""The server as a process: signals, workers, restarts, production."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import httpx2
import pytest

from .conftest import PASSWORD, Run, Serve, Served, bearer, clean_environment, register

# A start costs seconds of processor time, and the machine may be busy.
pytestmark = pytest.mark.timeout(300)


def until(holds: Callable[[], bool], *, seconds: float = 120) -> float:
    """Wait for something to hold; how long it took."""
    began = time.monotonic()
    while not holds():
        assert time.monotonic() - began < seconds, "it never held"
        time.sleep(0.02)
    return time.monotonic() - began


def ready(client: httpx2.Client) -> Any:
    """What it says once it is ready: on a busy machine the feed may be late for a moment."""
    answers: list[httpx2.Response] = []

    def is_ready() -> bool:
        answers.append(client.get("/readyz"))
        return answers[-1].status_code == 200

    until(is_ready)
    return answers[-1].json()["data"]


def raw(served: Served, request: bytes) -> bytes:
    """Send bytes; all that comes back until the server closes."""
    host, _, port = served.url.removeprefix("http://").rpartition(":")
    with socket.create_connection((host, int(port)), timeout=120) as connection:
        connection.sendall(request)
        received = b""
        try:
            while chunk := connection.recv(65536):
                received += chunk
        except ConnectionResetError:
            pass
        return received


def children(pid: int) -> set[int]:
    """The worker processes of a server: those that run multiprocessing's spawn_main."""
    found = set()
    for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split():
        with suppress(FileNotFoundError, ProcessLookupError):  # it has just ended
            if b"spawn_main" in Path(f"/proc/{child}/cmdline").read_bytes():
                found.add(int(child))
    return found


proc = pytest.mark.skipif(
    not Path("/proc/self/task").is_dir(), reason="/proc is missing; it comes with: Linux"
)


def on_wire(served: Served) -> tuple[str, int]:
    host, _, port = served.url.removeprefix("http://").rpartition(":")
    return host, int(port)


def login_request(*, whole: bool = True, agent: bytes = b"", **body: str) -> tuple[bytes, bytes]:
    """The bytes of a login, and its body apart."""
    content = json.dumps(body).encode()
    head = (
        b"POST /api/auth/login HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
        + agent
        + b"Connection: close\r\nContent-Length: %d\r\n\r\n" % len(content)
    )
    return head, content


def test_from_an_empty_folder_and_on(run: Run, folder: Path, serve: Serve) -> None:
    first = serve()
    assert first.facts == {
        "url": first.url,
        "listening": first.url,
        "docs": f"{first.url}/docs",
        "database": str(folder / "authward.db"),
        "secretFile": str(folder / "authward.db.secret"),
        "env": "development",
        "workers": 1,
        "needsAdmin": True,
    }
    for name in ("authward.db", "authward.db.secret"):
        assert (folder / name).stat().st_mode & 0o077 == 0
    run("users create --email root@example.com --role admin --password-stdin", input=PASSWORD)
    with first.client() as client:
        data = register(client, "ada@example.com")
        cookies = dict(client.cookies)

        # A request under way is finished; a connection that only waits holds nothing up.
        head, body = login_request(email="root@example.com", password=PASSWORD)
        with socket.create_connection(on_wire(first), timeout=120) as connection:
            # All but the last byte, and until the server asks for that: it is under way then.
            connection.sendall(head[:-2] + b"Expect: 100-continue\r\n\r\n" + body[:-1])
            assert connection.recv(65536).startswith(b"HTTP/1.1 100 ")
            first.process.send_signal(signal.SIGTERM)
            connection.sendall(body[-1:])
            assert connection.recv(65536).startswith(b"HTTP/1.1 200 ")
        assert first.process.wait(120) == 0
    assert "Traceback" not in first.logged()

    # A restart keeps every session.
    second = serve()
    assert second.facts["needsAdmin"] is False
    with second.client() as client:
        client.cookies.update(cookies)
        profile = client.get("/api/profile", headers=bearer(data["accessToken"]))
        assert profile.status_code == 200
        refreshed = client.post(
            "/api/auth/refresh-token", headers={"X-CSRF-Token": data["csrfToken"]}
        )
        token = refreshed.json()["data"]["accessToken"]
        assert client.get("/api/profile", headers=bearer(token)).status_code == 200
    assert second.stop(signal.SIGINT) == 0
    assert "Traceback" not in second.logged()


@proc
def test_workers_are_one_server(run: Run, folder: Path, serve: Serve) -> None:
    served = serve("--workers", "2")
    pid = served.process.pid
    with served.client() as client:
        token = register(client, "ada@example.com")["accessToken"]

    def statuses() -> set[int]:
        # A new connection each: the kernel spreads them over the workers.
        found = set()
        for _ in range(12):
            with served.client() as client:
                found.add(client.get("/api/profile", headers=bearer(token)).status_code)
        return found

    until(lambda: len(children(pid)) == 2)
    assert statuses() == {200}
    run("users revoke --email ada@example.com")
    until(lambda: statuses() == {401})

    # A worker that dies is replaced, and its replacement knows what was revoked.
    victim = min(children(pid))
    os.kill(victim, signal.SIGKILL)
    until(lambda: len(children(pid) - {victim}) == 2)
    assert statuses() == {401}
    assert f"Child process [{victim}] died" in served.logged()

    # Workers end with their parent, however it ended.
    workers = children(pid)
    served.process.kill()
    served.process.wait(60)
    until(lambda: not any(Path(f"/proc/{worker}").exists() for worker in workers))


@pytest.mark.postgres
def test_workers_on_postgresql(folder: Path, serve: Serve, postgres_url: str) -> None:
    served = serve("--workers", "2", DATABASE_URL=postgres_url)
    assert served.facts["secretFile"] == str(folder / "authward.secret")
    with served.client() as client:
        ready(client)
    assert served.stop() == 0
    assert "Traceback" not in served.logged()


def test_production(database: Path) -> None:
    """The text for people, JSON logs without requests, no docs, no detail."""
    settings = {
        "AUTHWARD_ENV": "production",
        "AUTHWARD_SECRET_FILE": "authward.db.secret",
        "AUTHWARD_PUBLIC_URL": "https://api.example.com",
    }
    with subprocess.Popen(
        [sys.executable, "-m", "authward", "serve", "--port", "0"],
        env={**clean_environment(), **settings},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        lines = [process.stdout.readline() for _ in range(7)]
        assert lines[:2] == [
            "Authward 0.1.0 (production)\n",
            "  API       https://api.example.com\n",
        ]
        assert lines[-1] == "Ctrl+C stops the server.\n"
        url = lines[2].split()[1]
        with httpx2.Client(base_url=url, headers={"Host": "api.example.com"}) as client:
            body = {"email": "root@example.com", "password": PASSWORD}
            assert client.post("/api/auth/login", json=body).status_code == 200
            assert client.get("/docs").status_code == 404
            assert "checks" not in ready(client)
        process.terminate()
        logged = process.stderr.read()
        assert process.wait(120) == 0
    entries = [json.loads(line) for line in logged.splitlines()]
    told = [entry["message"] for entry in entries]
    # A busy machine may be told that it is not ready for a moment.
    told = [one for one in told if not one.startswith(("not ready: ", "ready again"))]
    # The end of the log is signed as the server ends.
    assert told == ["login.succeeded", "checkpoint"]
    assert PASSWORD not in logged
