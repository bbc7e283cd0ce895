"""`authward serve`: what it says, and what it refuses."""

import pickle
import socket
import stat
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from uvicorn.config import STARTUP_FAILURE, Config

from authward.cli import common
from authward.cli.serve import _create_admin, _facts, _text
from authward.errors import Unavailable
from authward.settings import Settings

from .conftest import SECRET, Run, said

pytestmark = pytest.mark.usefixtures("logs_as_before")


@pytest.fixture
def taken() -> Iterator[int]:
    """A port that another program has."""
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        yield int(other.getsockname()[1])


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.0.2.1", "example.com", ""])
def test_development_is_for_this_machine(run: Run, folder: Path, host: str) -> None:
    result = run("serve --port 0 --host", host, code=2)
    assert "ENV is development" in result.stderr
    assert "AUTHWARD_ENV=production" in result.stderr
    assert list(folder.iterdir()) == []


def test_a_taken_port(run: Run, folder: Path, taken: int) -> None:
    result = run(f"serve --port {taken}", code=1)
    assert result.stderr.startswith(f"authward: 127.0.0.1:{taken} is taken by another program.")
    assert f"--port {taken + 1}" in result.stderr
    assert said(run(f"serve --json --port {taken}", code=1))["error"] == "address_unavailable"


def test_an_address_that_is_not_ours(
    run: Run, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AUTHWARD_ENV", "production")
    monkeypatch.setenv("AUTHWARD_SECRET", SECRET)
    assert "cannot be listened on" in run("serve --host 192.0.2.1", code=1).stderr
    assert "cannot be listened on" in run("serve --host no.such.invalid", code=1).stderr


def test_a_port_for_the_mighty(run: Run, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(*arguments: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("authward.server.listen", refused)
    assert "above 1023" in run("serve --port 80", code=1).stderr


@pytest.mark.parametrize(
    ("name", "value", "text"),
    [
        ("AUTHWARD_PORT", "many", "port: "),
        ("AUTHWARD_ENV", "production", "secret: missing"),
        ("AUTHWARD_SECRET", "password", "secret"),
        ("AUTHWARD_ORIGINS", "https://a.example/x", "Did you mean 'https://a.example'?"),
        ("AUTHWARD_ACCES_TTL", "1m", "Did you mean AUTHWARD_ACCESS_TTL?"),
        ("AUTHWARD_DATABASE_URL", "sqlite:///missing/x.db", "the folder"),
        ("AUTHWARD_DATABASE_URL", "postgresql://127.0.0.1:1/x", "cannot be used"),
        ("AUTHWARD_SECRET_FILE", "missing", "secret_file: missing cannot be read"),
    ],
)
def test_what_cannot_be_honoured_is_said_once(
    run: Run, folder: Path, monkeypatch: pytest.MonkeyPatch, name: str, value: str, text: str
) -> None:
    monkeypatch.setenv(name, value)
    words = () if name == "AUTHWARD_PORT" else ("--port", "0")
    result = run("serve", *words, code=2)
    assert result.stderr.startswith("authward: ")
    assert text in result.stderr
    assert result.stdout == ""


def test_workers_that_cannot_start_end_the_server(
    run: Run, database: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Supervisor:
        """uvicorn's, whose workers were started and failed."""

        def __init__(self, config: Config, sockets: list[socket.socket]) -> None:
            self.processes = [SimpleNamespace(exitcode=code) for code in (None, STARTUP_FAILURE)]
            self.killed = False
            assert config.workers == 2
            # What travels to the workers: settings, and no more.
            assert pickle.loads(pickle.dumps(config.app)) == config.app

        def run(self) -> None:
            pass

    monkeypatch.setattr("authward.server.Supervisor", Supervisor)
    result = run("serve --port 0 --workers 2", code=1)
    assert "Authward 0.1.0 (development, 2 workers)" in result.stdout


def test_a_database_that_goes_away_meanwhile(
    run: Run, database: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def away(*arguments: object) -> None:
        raise Unavailable("gone")

    monkeypatch.setattr("authward.app.Authward.startup", away)
    result = run("serve --port 0", code=1)
    assert result.stderr == "authward: Temporarily unavailable (gone)\n"


@pytest.mark.parametrize("words", ["--port 70000", "--workers 0", "--workers x", "--colour", "x"])
def test_wrong_usage(run: Run, folder: Path, words: str) -> None:
    assert "Usage: " in run(f"serve {words}", code=2).stderr


def text(command: str = "authward", *, needs_admin: bool = False, **values: Any) -> str:
    return _text(Settings(**values), 8000, command, needs_admin=needs_admin)


def test_the_text_says_where_things_are(folder: Path) -> None:
    assert text(needs_admin=True).splitlines() == [
        "Authward 0.1.0 (development)",
        "  API       http://127.0.0.1:8000",
        "  Docs      http://127.0.0.1:8000/docs",
        f"  Database  {folder / 'authward.db'}",
        f"  Secret    {folder / 'authward.db.secret'}",
        "",
        "There is no admin yet. Make one, in this folder, in another terminal:",
        "  authward users create --email you@example.com --name You --role admin",
        "",
        "Ctrl+C stops the server.",
    ]


def test_the_text_in_production(folder: Path) -> None:
    said = text(
        env="production",
        host="::",
        public_url="https://api.example.com",
        database_url="postgresql://ada:canary@db/auth",
        secret=SECRET,
        workers=4,
    )
    assert said.splitlines()[:4] == [
        "Authward 0.1.0 (production, 4 workers)",
        "  API       https://api.example.com",
        "  Listening http://[::]:8000",
        "  Database  postgresql://ada:***@db/auth",
    ]
    assert "canary" not in said
    assert SECRET not in said
    assert "no admin" not in said


def test_where_the_secret_is(folder: Path) -> None:
    assert _facts(Settings(secret_file=Path("x")), 1)["secretFile"] == str(folder / "x")
    assert _facts(Settings(secret=SECRET), 1)["secretFile"] is None
    facts = _facts(Settings(database_url="postgresql://db/auth"), 1)
    assert facts["secretFile"] == str(folder / "authward.secret")


def test_the_admin_goes_into_the_same_database(folder: Path) -> None:
    other = Settings(database_url="sqlite:///my users.db")
    assert _create_admin(other, "authward").endswith("--database-url 'sqlite:///my users.db'")
    # A PostgreSQL address may hold a password, which belongs on no command line.
    assert "--database-url" not in _create_admin(Settings(database_url="postgresql://x"), "a")


def test_how_we_are_called(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    script = folder / "bin" / "authward"
    script.parent.mkdir()
    script.write_text("#!/bin/sh\n")
    script.chmod(script.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setattr("sys.argv", [str(script)])
    monkeypatch.setenv("PATH", "/usr/bin")
    assert common.own_command() == "bin/authward"
    monkeypatch.setenv("PATH", str(script.parent))
    assert common.own_command() == "authward"

    monkeypatch.setattr("sys.argv", ["/x/authward/__main__.py"])
    monkeypatch.setattr("sys.executable", str(folder / "my python"))
    assert common.own_command() == "'my python' -m authward"
