"""Each example of docs/python.md runs as it is pasted, and does what the page says."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from starlette.testclient import TestClient

from authward.testing import as_user
from tests.pages import examples

PAGE = examples("docs/python.md")
Run = Callable[[str], dict[str, Any]]


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """What an example defines, run by itself."""
    monkeypatch.setenv("AUTHWARD_DATABASE_URL", f"sqlite:///{tmp_path}/test.db")

    def run(block: str) -> dict[str, Any]:
        names: dict[str, Any] = {"__name__": "pasted"}
        exec(block, names)
        return names

    return run


def test_the_names(run: Run) -> None:
    assert {"Authward", "ConfigurationError", "Principal", "Refusal", "Settings"} <= {
        *run(PAGE["In Python python"])
    }


def test_fastapi(run: Run) -> None:
    page = run(PAGE["FastAPI python"])
    with TestClient(page["app"]) as client:
        assert client.get("/api/me").status_code == 401
        with as_user(page["auth"], email="ada@example.com", permissions=["read:*"]) as me:
            assert client.get("/api/me").json() == me.id
            assert client.get("/api/reports").json() == ["for ada@example.com"]
            assert client.delete("/api/things/1").status_code == 403
        with as_user(page["auth"], role="moderator"):
            assert client.delete("/api/things/1").json() == "1 is gone"
            assert client.get("/api/reports").status_code == 403


def test_starlette(run: Run) -> None:
    page = run(PAGE["Starlette python"])
    with TestClient(page["app"]) as client:
        assert client.get("/api/reports").status_code == 401
        with as_user(page["auth"]):
            assert client.get("/api/reports").status_code == 403
        with as_user(page["auth"], email="ada@example.com", permissions=["read:reports"]):
            assert client.get("/api/reports").json() == {"for": "ada@example.com"}


def test_protections_alone(run: Run) -> None:
    client = TestClient(run(PAGE["Protections alone python"])["app"])
    allowed = client.get("/", headers={"origin": "https://app.example.com"})
    assert allowed.headers["access-control-allow-origin"] == "https://app.example.com"
    assert allowed.headers["ratelimit-limit"] == "100"
    # Refusals have the headers too.
    refused = client.post("/", headers={"origin": "https://evil.example"})
    assert refused.status_code == 403
    for answer in (allowed, refused):
        assert answer.headers["x-content-type-options"] == "nosniff"


def test_tests_of_an_app(tmp_path: Path) -> None:
    (tmp_path / "main.py").write_text(PAGE["FastAPI python"], encoding="utf-8")
    (tmp_path / "test_main.py").write_text(PAGE["Tests of your app python"], encoding="utf-8")
    paths = [str(tmp_path), *filter(None, [os.environ.get("PYTHONPATH")])]
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", "no:valkey", "."],
        cwd=tmp_path,
        env={
            **os.environ,
            "AUTHWARD_DATABASE_URL": f"sqlite:///{tmp_path}/test.db",
            "PYTHONPATH": os.pathsep.join(paths),
        },
        capture_output=True,
        text=True,
        timeout=110,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "1 passed" in done.stdout
