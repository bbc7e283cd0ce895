"""The apps of docs/deny-by-default.md start, and its commands hold in a build."""

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from starlette.applications import Starlette
from starlette.routing import Route
from starlette.testclient import TestClient

from authward import Authward
from authward.testing import as_user
from tests.cli.conftest import be_in
from tests.pages import do, examples

PAGE = examples("docs/deny-by-default.md")
FORGOTTEN = '\n@app.get("/forgotten")\nasync def forgotten() -> None: ...\n'


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project with static files."""
    be_in(tmp_path, monkeypatch)
    (tmp_path / "static").mkdir()
    (tmp_path / "static" / "logo.svg").write_text("<svg/>")
    return tmp_path


def test_the_app(folder: Path) -> None:
    page: dict[str, Any] = {"__name__": "pasted"}
    exec(PAGE["Deny by default python"], page)
    with TestClient(page["app"], "http://localhost") as client:
        assert client.get("/health").json() == "well"
        assert client.get("/static/logo.svg").text == "<svg/>"
        assert client.get("/api/reports").status_code == 401
        with as_user(page["auth"]):
            assert client.get("/api/reports").status_code == 403
        with as_user(page["auth"], permissions=["read:reports"]):
            assert client.get("/api/reports").json() == ["first", "second"]


def test_a_starlette_app_says_it(folder: Path) -> None:
    page: dict[str, Any] = {"__name__": "pasted"}
    exec(PAGE["How a route says it python"], page)
    auth, app = Authward(), Starlette(routes=[Route("/health", page["health"])])
    auth.install(app, deny_by_default=True)
    with TestClient(app, "http://localhost") as client:
        assert client.get("/health").text == "well"


@pytest.fixture
def shop(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """`shop/main.py`, where the commands look for the app."""
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    file = folder / "shop" / "main.py"
    file.parent.mkdir()
    file.write_text(PAGE["Deny by default python"], encoding="utf-8")
    before = [*sys.path]
    yield file
    sys.path[:] = before
    forget()


def forget() -> None:
    """What was imported; each command in a build is a process of its own."""
    for name in ("shop.main", "shop"):
        sys.modules.pop(name, None)


def test_in_a_build(shop: Path) -> None:
    check, compare, update = PAGE["In your CI sh"].splitlines()
    do(check)
    do(compare, code=2)
    for line in (update, compare):
        forget()
        do(line)
    shop.write_text(PAGE["Deny by default python"] + FORGOTTEN, encoding="utf-8")
    for line in (check, compare):
        forget()
        assert "/forgotten" in do(line, code=1).output
