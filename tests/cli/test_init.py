"""`authward init`, and what it wrote."""

import os
import re
import tomllib
from pathlib import Path

import pytest

from authward.settings import Settings
from tests.unlimited import UNLIMITED

from .conftest import Run, said


def test_a_config_and_a_secret(run: Run, folder: Path) -> None:
    result = run("init")
    assert "authward.toml" in result.stdout
    assert " serve" in result.stdout
    secret = folder / "authward.secret"
    assert secret.stat().st_mode & 0o777 == 0o600
    assert len(secret.read_text().strip()) >= 43
    assert secret.read_text().strip() not in result.output
    assert Settings().secret_file == Path("authward.secret")
    run("users list", code=1)  # the settings hold; there is only no database yet


@pytest.mark.parametrize("name", ["authward.toml", "authward.secret"])
def test_nothing_is_overwritten(run: Run, folder: Path, name: str) -> None:
    (folder / name).write_text("mine")
    result = run("init", code=1)
    assert f"{name} is there already" in result.stderr
    assert [(file.name, file.read_text()) for file in folder.iterdir()] == [(name, "mine")]
    assert said(run("init --json", code=1))["error"] == "file_exists"


def test_two_folders_two_secrets(run: Run, folder: Path) -> None:
    run("init")
    first = (folder / "authward.secret").read_text()
    (folder / "authward.secret").unlink()
    (folder / "authward.toml").unlink()
    run("init")
    assert (folder / "authward.secret").read_text() != first


def test_a_secret_made_before_goes_on(run: Run, database: Path) -> None:
    result = run("init")
    assert "kept: your database was made with it" in result.stdout
    assert not (database / "authward.secret").exists()
    assert Settings().secret_file == Path("authward.db.secret")
    assert len(said(run("users list --json"))["users"]) == 1


def test_json(run: Run, folder: Path) -> None:
    assert said(run("init --json")) == {
        "config": str(folder / "authward.toml"),
        "secretFile": str(folder / "authward.secret"),
    }


def test_a_folder_that_cannot_be_written(
    run: Run, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(*arguments: object, **more: object) -> int:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(os, "open", refused)
    assert "authward.secret cannot be written" in run("init", code=1).stderr


def test_every_setting_is_shown_with_its_default(
    run: Run, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run("init")
    text = (folder / "authward.toml").read_text()
    shown = set(re.findall(r"^(?:# )?([a-z0-9_]+) = ", text, re.MULTILINE))
    # One of secret and secret_file is enough, and a file is the better one.
    assert shown == set(Settings.model_fields) - {"secret"}

    everything = re.sub(r"^# ([a-z0-9_]+ = )", r"\1", text, flags=re.MULTILINE)
    examples = {"public_url", "origins", "redis_url", "secret_previous"}
    decided_by_env = {"log_format": "console", "docs": True}
    # The example is for production, and this file says development.
    everything = everything.replace(
        'public_url = "https://api.example.com"', 'public_url = "http://localhost"'
    )
    (folder / "authward.toml").write_text(everything)
    tomllib.loads(everything)
    for name in UNLIMITED:
        monkeypatch.delenv(name)
    found = Settings()
    for name, field in Settings.model_fields.items():
        if name not in examples | {"secret_file"}:
            wanted = decided_by_env.get(name, field.default)
            assert getattr(found, name) == wanted, name
