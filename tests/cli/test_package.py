"""What the installed package must hold, wherever it is installed."""

import shutil
import subprocess
import sys
from importlib.metadata import entry_points, version
from importlib.resources import files
from pathlib import Path

import authward

from .conftest import Run, Serve, bearer, register, said
from .test_server import ready


def test_one_version_everywhere(folder: Path, run: Run) -> None:
    assert version("authward") == authward.__version__
    assert authward.__version__ in run("--version").stdout


def test_the_command_is_installed() -> None:
    (script,) = entry_points(group="console_scripts", name="authward")
    assert script.value == "authward.cli:main"
    found = shutil.which("authward", path=str(Path(sys.executable).parent))
    assert found is not None
    assert b"serve" in subprocess.run([found, "--help"], check=True, capture_output=True).stdout


def test_types_reach_whoever_imports_it() -> None:
    assert files("authward").joinpath("py.typed").is_file()


def test_migrations_are_aboard(folder: Path, run: Run) -> None:
    assert said(run("migrate --json"))


def test_from_sign_up_to_sign_out(serve: Serve) -> None:
    with serve().client() as client:
        for path in ("/healthz", "/openapi.json", "/docs", "/authward.js"):
            assert client.get(path).status_code == 200, path
        ready(client)

        data = register(client, "ada@example.com")
        me = client.get("/api/profile", headers=bearer(data["accessToken"]))
        assert me.status_code == 200

        csrf = {"X-CSRF-Token": data["csrfToken"]}
        refreshed = client.post("/api/auth/refresh-token", headers=csrf)
        assert refreshed.status_code == 200, refreshed.text
        csrf = {"X-CSRF-Token": refreshed.json()["data"]["csrfToken"]}
        assert client.post("/api/auth/logout", headers=csrf).status_code == 200
        gone = client.get("/api/profile", headers=bearer(data["accessToken"]))
        assert gone.json()["error"] == "token_revoked"
