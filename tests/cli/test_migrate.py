"""`authward migrate`."""

import sqlite3
from pathlib import Path

import pytest

from authward.stores.schema import SCHEMA_VERSION

from .conftest import Run, said


def test_a_new_database(run: Run, folder: Path) -> None:
    result = run("migrate")
    assert result.stdout == f"{folder / 'authward.db'} is at schema {SCHEMA_VERSION}\n"
    assert [file.name for file in folder.iterdir()] == ["authward.db"]


def test_again_does_nothing(run: Run, database: Path) -> None:
    expected = {"database": str(database / "authward.db"), "schema": SCHEMA_VERSION}
    for _ in range(2):
        assert said(run("migrate --json")) == expected


def test_production_needs_no_secret_to_be_opened(
    run: Run, database: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AUTHWARD_ENV", "production")
    monkeypatch.setenv("AUTHWARD_SECRET_FILE", "missing.secret")
    run("migrate")


def test_a_newer_database(run: Run, database: Path) -> None:
    connection = sqlite3.connect(database / "authward.db")
    connection.execute("UPDATE alembic_version SET version_num = '9999'")
    connection.commit()
    connection.close()
    result = run("migrate", code=2)
    assert "newer than this Authward" in result.stderr


@pytest.mark.parametrize(
    ("url", "text"),
    [
        ("mysql://x", "scheme 'mysql' is not known"),
        ("sqlite:///missing/x.db", "the folder"),
        ("postgresql://ada:canary@127.0.0.1:1/x", "cannot be used"),
    ],
)
def test_a_database_out_of_reach(run: Run, folder: Path, url: str, text: str) -> None:
    result = run("migrate --database-url", url, code=2)
    assert text in result.stderr
    assert "canary" not in result.output


@pytest.mark.postgres
def test_postgresql(run: Run, folder: Path, postgres_url: str) -> None:
    answer = said(run("migrate --json --database-url", postgres_url))
    assert answer["database"].startswith("postgresql://")
