"""Nothing heavy is imported before it is needed."""

import subprocess
import sys
from pathlib import Path

import pytest

from .conftest import clean_environment

HEAVY = {
    "alembic",
    "argon2",
    "asyncio",
    "bcrypt",
    "cryptography",
    "email_validator",
    "fastapi",
    "joserfc",
    "msgspec",
    "pydantic",
    "sqlalchemy",
    "starlette",
    "structlog",
    "uvicorn",
}


def imported(*words: str, folder: Path) -> set[str]:
    done = subprocess.run(
        [sys.executable, "-X", "importtime", *words],
        cwd=folder,
        env=clean_environment(),
        capture_output=True,
        text=True,
        check=True,
    )
    return {
        line.rsplit("|", 1)[1].strip().partition(".")[0]
        for line in done.stderr.splitlines()
        if line.startswith("import time:")
    }


@pytest.mark.parametrize(
    "words",
    [
        ("-c", "import authward"),
        ("-m", "authward", "--help"),
        ("-m", "authward", "--version"),
        ("-m", "authward", "serve", "--help"),
        ("-m", "authward", "users", "import", "--help"),
    ],
    ids=" ".join,
)
def test_nothing_heavy(words: tuple[str, ...], tmp_path: Path) -> None:
    modules = imported(*words, folder=tmp_path)
    assert "authward" in modules
    assert modules & HEAVY == set()


def test_the_command_line_knows_click_alone(tmp_path: Path) -> None:
    assert "click" in imported("-m", "authward", "--help", folder=tmp_path)
    assert "click" not in imported("-c", "import authward", folder=tmp_path)
