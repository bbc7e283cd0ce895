"""Which database a command works on, and what it says where there is none that it can use."""

import json
from pathlib import Path

import pytest

from .conftest import SECRET, Run, said


@pytest.mark.parametrize(
    "line", ["list", "enable --email a@example.com", "delete --yes --id abcdefgh"]
)
def test_no_database_is_no_empty_database(run: Run, folder: Path, line: str) -> None:
    result = run(f"users {line}", code=1)
    assert f"there is no database at {folder / 'authward.db'}" in result.stderr
    assert "migrate" in result.stderr
    assert list(folder.iterdir()) == []


def test_another_database(run: Run, database: Path) -> None:
    (database / "authward.db").rename(database / "other.db")
    (database / "authward.db.secret").rename(database / "other.db.secret")
    found = run("users list --json --database-url sqlite:///other.db")
    assert json.loads(found.stdout)["users"][0]["email"] == "root@example.com"


@pytest.mark.parametrize("command", ["serve --port 0", "users list"])
def test_a_lost_secret_is_not_made_anew(run: Run, database: Path, command: str) -> None:
    secret = database / "authward.db.secret"
    kept = secret.rename(database / "elsewhere")
    result = run(command, code=2)
    assert f"{secret} is not there. Put it back" in result.stderr
    assert not secret.exists()
    assert said(run(f"{command} --json", code=2))["error"] == "configuration_error"
    kept.rename(secret)
    run("users list")


def test_a_database_without_keys_gets_a_secret(run: Run, folder: Path) -> None:
    run("migrate")
    assert not (folder / "authward.db.secret").exists()
    run("users list")
    assert (folder / "authward.db.secret").exists()


def test_another_secret_is_said_so(run: Run, database: Path) -> None:
    secret = database / "authward.db.secret"
    secret.write_text(SECRET)
    result = run("users list", code=2)
    assert "secret: does not open key" in result.stderr
    assert f"looked for in {secret}" in result.stderr
    assert SECRET not in result.output
    secret.write_text("A" * 48)
    result = run("users list", code=2)
    assert "openssl rand -base64 32" in result.stderr
    assert "AAAA" not in result.output


def test_a_wrong_setting_is_read_aloud(
    run: Run, database: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AUTHWARD_ACCESS_TTL", "soon")
    assert "access_ttl: 'soon' is not a duration" in run("users list", code=2).stderr
    answer = said(run("users list --json", code=2))
    assert answer["error"] == "configuration_error"


def test_a_broken_database_is_read_aloud(run: Run, folder: Path) -> None:
    (folder / "authward.db").write_bytes(b"not a database, by far" * 100)
    result = run("users list", code=2)
    assert "database_url: the database cannot be used" in result.stderr
