"""The command line in process and in processes of its own, each in an empty folder."""

import json
import logging
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx2
import pytest
from click.testing import CliRunner, Result

from authward.cli import main
from tests.unlimited import UNLIMITED

PASSWORD = "correct horse battery"
SECRET = "Zk3v9Qw1xT7rB5nY2mC8pL4sD6fG0hJ1aE3uO9iK7tR="

# One worker runs all of these, so that there is one such server; and machines may be busy.
SHARED = [pytest.mark.xdist_group("cli-shared"), pytest.mark.timeout(300)]

Run = Callable[..., Result]
Serve = Callable[..., "Served"]


def clean_environment() -> dict[str, str]:
    """Ours without settings: those of the developer's shell are none of a test's business."""
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith("AUTHWARD_") or name.startswith("AUTHWARD_TEST_")
    }
    return {**kept, **UNLIMITED}


def be_in(folder: Path, patch: pytest.MonkeyPatch) -> None:
    """Be in a folder, and have no settings but those it has."""
    patch.chdir(folder)
    for name in os.environ.keys() - clean_environment().keys():
        patch.delenv(name)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder to be in, and no settings."""
    be_in(tmp_path, monkeypatch)
    return tmp_path


@pytest.fixture
def logs_as_before() -> Iterator[None]:
    """A server that began in this process takes over its logging: put back what was there."""
    names = ("", "authward", "uvicorn", "uvicorn.error", "uvicorn.access")
    loggers = [logging.getLogger(name) for name in names]
    before = [(one.handlers, one.level, one.filters, one.propagate) for one in loggers]
    for one in loggers[2:]:
        # uvicorn silences what it was told not to tell, for the rest of the process.
        one.handlers, one.filters, one.propagate = [], [], True
        one.setLevel(logging.NOTSET)
    yield
    for one, (handlers, level, filters, propagate) in zip(loggers, before, strict=True):
        one.handlers, one.filters, one.propagate = handlers, filters, propagate
        one.setLevel(level)


@pytest.fixture(scope="session")
def migrated(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a new database and its secret, made once: alembic takes a second."""
    made = tmp_path_factory.mktemp("migrated")
    create = ["users", "create", "--email", "root@example.com", "--role", "admin"]
    subprocess.run(
        [sys.executable, "-m", "authward", *create, "--name", "Root", "--password-stdin"],
        cwd=made,
        env=clean_environment(),
        input=PASSWORD.encode(),
        check=True,
        capture_output=True,
    )
    return made


@pytest.fixture(scope="session")
def shared_folder(migrated: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the server that tests share."""
    folder = tmp_path_factory.mktemp("shared")
    for file in migrated.iterdir():
        shutil.copy(file, folder)
    return folder


@pytest.fixture(scope="session")
def shared(shared_folder: Path) -> Iterator["Served"]:
    """One server for all tests marked SHARED: a start costs seconds of processor time."""
    with serving(shared_folder) as served:
        yield served


@pytest.fixture
def beside(folder: Path, shared_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Be in the folder of the shared server, so that commands use its database."""
    monkeypatch.chdir(shared_folder)


@pytest.fixture
def database(folder: Path, migrated: Path) -> Path:
    """The folder, with a database whose one account is the admin root@example.com."""
    for file in migrated.iterdir():
        shutil.copy(file, folder)
    return folder


@pytest.fixture
def run(folder: Path) -> Run:
    """Run a command in process: run("users list", input=…)."""
    return invoke


def invoke(line: str, *words: str, code: int = 0, input: Any = None) -> Result:
    """What a command answers that runs in this process."""
    result = CliRunner().invoke(main, [*line.split(), *words], input=input)
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    assert result.exit_code == code, result.output
    assert "Traceback" not in result.output
    return result


def said(result: Result) -> Any:
    """The JSON object a command answered with."""
    return json.loads(result.stdout)


@dataclass
class Served:
    """A server in a process of its own."""

    process: subprocess.Popen[str]
    facts: dict[str, Any]
    log: Path

    @property
    def url(self) -> str:
        return str(self.facts["listening"])

    def client(self) -> httpx2.Client:
        return httpx2.Client(base_url=self.url, timeout=120)

    def stop(self, number: int = signal.SIGTERM) -> int:
        """Ask it to end, and wait: the exit code."""
        self.process.send_signal(number)
        return self.process.wait(120)

    def logged(self) -> str:
        return self.log.read_text(encoding="utf-8")


@contextmanager
def serving(folder: Path, *words: str, **settings: str) -> Iterator[Served]:
    log = folder / f"log-{len(list(folder.glob('log-*')))}"
    with log.open("w", encoding="utf-8") as stderr:
        process = subprocess.Popen(
            [sys.executable, "-m", "authward", "serve", "--json", "--port", "0", *words],
            cwd=folder,
            env={**clean_environment(), **{f"AUTHWARD_{k}": v for k, v in settings.items()}},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=stderr,
            text=True,
        )
    with process:
        try:
            assert process.stdout is not None
            line = process.stdout.readline()
            assert line, f"no server: {log.read_text(encoding='utf-8')}"
            yield Served(process, json.loads(line), log)
        finally:
            if process.poll() is None:
                process.terminate()
                try:
                    process.wait(60)
                except subprocess.TimeoutExpired:
                    process.kill()


@pytest.fixture
def serve(folder: Path) -> Iterator[Serve]:
    """Start servers in the folder: serve("--workers", "2", ENV="production")."""
    with ExitStack() as stack:
        yield lambda *words, **settings: stack.enter_context(serving(folder, *words, **settings))


def register(client: httpx2.Client, email: str) -> dict[str, Any]:
    """A new account, signed in: the answer's data. The client keeps the cookie."""
    body = {"email": email, "password": PASSWORD, "name": "Ada"}
    answer = client.post("/api/auth/register", json=body)
    assert answer.status_code == 201, answer.text
    data: dict[str, Any] = answer.json()["data"]
    return data


def bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}
