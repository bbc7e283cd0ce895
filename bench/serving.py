"""The compared servers as processes on loopback, all on one core."""

from __future__ import annotations

import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from bench import environments
from bench.machine import cores, pinned
from bench.variants import VARIANTS, Variant

ROOT = Path(__file__).parents[1]
# The code of this checkout, whatever is installed.
IMPORTS = os.pathsep.join([str(ROOT), str(ROOT / "src")])
PATH = "/api/members/profile"
HOST = "api.example.com"
ORIGIN = "https://app.example.com"
START_S = 60
ADA = {"email": "ada@example.com", "password": "correct horse battery", "name": "Ada"}
# In production, so that nothing is left out; and counted, but not refused.
SETTINGS = {
    "ENV": "production",
    "SECRET": "Zk3v9Qw1xT7rB5nY2mC8pL4sD6fG0hJ1aE3uO9iK7tR=",
    "PUBLIC_URL": f"https://{HOST}",
    "ORIGINS": ORIGIN,
    "RATE_LIMIT": "100/1s",
    "ACCESS_TTL": "1h",
    # A server that waits for its turn is stopped, and reads its feed again when it goes on.
    "FEED_MAX_LAG": "10m",
}
_NOT_THEIRS = frozenset({"date", "server", "content-type", "content-length", "connection"})


class Broken(Exception):
    """A server that does not do what it is measured for."""


@dataclass(slots=True)
class Server:
    """A running server. `token` is the bearer that requests to it carry."""

    name: str
    port: int
    process: subprocess.Popen[bytes]
    log: Path
    token: str = ""

    @property
    def headers(self) -> dict[str, str]:
        return {"Host": HOST, "Origin": ORIGIN, "Authorization": f"Bearer {self.token}"}

    def ask(
        self, method: str, path: str, body: object = None
    ) -> tuple[int, list[tuple[str, str]], bytes]:
        """Status, headers, body."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        text = None if body is None else json.dumps(body)
        headers = {**self.headers, "Content-Type": "application/json"} if text else self.headers
        try:
            connection.request(method, path, text, headers)
            answer = connection.getresponse()
            return answer.status, answer.getheaders(), answer.read()
        finally:
            connection.close()

    def register(self) -> None:
        """Take a token of this server."""
        status, _, body = self.ask("POST", "/api/auth/register", ADA)
        if status not in (200, 201):
            raise Broken(f"{self.name}: register answered {status} {body[:300]!r}")
        self.token = json.loads(body)["data"]["accessToken"]

    def check(self) -> dict[str, Any]:
        """What the measured route sends: `headers` of its protections, and `data`."""
        status, headers, body = self.ask("GET", PATH)
        if status != 200:
            raise Broken(f"{self.name}: {PATH} answered {status} {body[:300]!r}")
        theirs = [[name, value] for name, value in headers if name.lower() not in _NOT_THEIRS]
        return {"headers": theirs, "data": json.loads(body)}

    def processor_time(self) -> float:
        """Seconds that all its threads have run so far; 0 where the system does not tell."""
        threads = Path(f"/proc/{self.process.pid}/task").glob("*/schedstat")
        return sum(int(one.read_text(encoding="ascii").split()[0]) for one in threads) / 1e9

    def stop(self) -> None:
        """Let it wait, so that it takes no time from another."""
        self.process.send_signal(signal.SIGSTOP)

    def go_on(self) -> None:
        self.process.send_signal(signal.SIGCONT)
        self.check()


@contextmanager
def serving(names: Sequence[str]) -> Iterator[dict[str, Server]]:
    """These variants, running but stopped."""
    wanted = dict.fromkeys(names)
    for name in names:
        like = VARIANTS[name].like
        if like is not None:
            wanted.setdefault(like)
    first = sorted(wanted, key=lambda name: VARIANTS[name].like is not None)
    with ExitStack() as stack:
        folder = Path(stack.enter_context(TemporaryDirectory(prefix="bench-")))
        running: dict[str, Server] = {}
        seen: dict[str, Any] = {}
        for name in first:
            variant = VARIANTS[name]
            model = running[variant.like] if variant.like else None
            shown = seen[variant.like] if variant.like else next(iter(seen.values()), None)
            server = _start(name, variant, folder, shown)
            stack.callback(_end, server)
            _await_start(server)
            if variant.registers:
                server.register()
            else:
                server.token = (
                    model.token
                    if model
                    else next((one.token for one in running.values() if one.token), "none")
                )
            seen[name] = server.check()
            if model and seen[name] != seen[model.name]:
                raise Broken(f"{name}: does not send what {model.name} does")
            running[name] = server
            server.stop()
        yield {name: running[name] for name in VARIANTS if name in running}


def _start(name: str, variant: Variant, folder: Path, shown: dict[str, Any] | None) -> Server:
    port = _free_port()
    own = folder / name
    own.mkdir()
    environment = {
        key: value for key, value in os.environ.items() if not key.startswith("AUTHWARD_")
    }
    environment |= {f"AUTHWARD_{key}": value for key, value in SETTINGS.items()}
    environment["AUTHWARD_DATABASE_URL"] = f"sqlite:///{own}/authward.db"
    environment |= {"PYTHONPATH": IMPORTS, "BENCH_FOLDER": str(own), "NODE_ENV": "production"}
    if shown is not None:
        headers = shown["headers"] if variant.like else []
        environment["BENCH_SEEN"] = json.dumps({"headers": headers, "data": shown["data"]})
    log = own / "log"
    with log.open("wb") as file:
        process = subprocess.Popen(
            _command(name, variant, port, environment),
            cwd=own,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=file,
            stderr=file,
            preexec_fn=pinned(cores()[0]),
        )
    return Server(name, port, process, log)


def _command(name: str, variant: Variant, port: int, environment: dict[str, str]) -> list[str]:
    if variant.app is None:
        node, app = environments.express()
        environment["BENCH_PLAIN"] = "0" if variant.registers else "1"
        return [node, str(app), str(port)]
    python = environments.python(variant.environment) if variant.environment else sys.executable
    return [
        *(str(python), "-m", "uvicorn", variant.app, "--port", str(port)),
        *("--loop", "uvloop", "--http", variant.http, "--interface", "asgi3"),
        *("--no-access-log", "--log-level", "warning"),
    ]


def _await_start(server: Server) -> None:
    end = time.monotonic() + START_S
    while time.monotonic() < end:
        if server.process.poll() is not None:
            break
        try:
            server.ask("GET", "/")
        except OSError:
            time.sleep(0.05)
        else:
            return
    raise Broken(f"{server.name} did not start: {server.log.read_text(errors='replace')[-2000:]}")


def _end(server: Server) -> None:
    process = server.process
    if process.poll() is None:
        process.send_signal(signal.SIGCONT)
        process.terminate()
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
