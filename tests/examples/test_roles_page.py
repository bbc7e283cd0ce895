"""The examples of docs/roles.md are one app, and it does what the page says; so does `why`."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient

from authward.testing import as_user
from tests.cli.conftest import be_in
from tests.pages import do, examples, transcript

PAGE = examples("docs/roles.md")


@pytest.fixture(scope="module")
def database(tmp_path_factory: pytest.TempPathFactory) -> str:
    return f"sqlite:///{tmp_path_factory.mktemp('roles')}/test.db"


@pytest.fixture(scope="module")
def page(database: str) -> dict[str, Any]:
    """What the page defines, in the order it does."""
    names: dict[str, Any] = {"__name__": "roles"}
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AUTHWARD_DATABASE_URL", database)
        for block in (
            PAGE["On routes python"],
            PAGE["On routes python 2"],
            PAGE["In code python"],
            PAGE["On objects python"],
            PAGE["On objects python 2"],
            PAGE["On objects python 3"],
        ):
            exec(block, names)
    return names


@pytest.fixture(scope="module")
def client(page: dict[str, Any]) -> Iterator[TestClient]:
    with TestClient(page["app"]) as client:
        yield client


@pytest.mark.parametrize(
    ("role", "permissions", "allowed"),
    [
        ("user", [], ""),
        ("user", ["read:reports"], "reports"),
        ("user", ["read:*"], "reports"),
        ("user", ["update:posts"], "update"),
        ("user", ["manage:posts"], "update publish"),
        ("user", ["update:posts", "publish:posts"], "update publish"),
        ("editor", [], "clear"),
        ("admin", [], "reports update clear publish"),
    ],
)
def test_routes(
    page: dict[str, Any], client: TestClient, role: str, permissions: list[str], allowed: str
) -> None:
    routes = {
        "reports": ("GET", "/reports"),
        "update": ("PUT", "/posts"),
        "clear": ("DELETE", "/posts"),
        "publish": ("POST", "/publish"),
    }
    with as_user(page["auth"], role=role, permissions=permissions):
        found = {name: client.request(*asked).status_code for name, asked in routes.items()}
    assert found == {name: 200 if name in allowed.split() else 403 for name in routes}


def test_in_code(page: dict[str, Any], client: TestClient) -> None:
    with as_user(page["auth"], role="editor", permissions=["delete:*"]):
        assert client.get("/posts").json() == {"mayDelete": True, "isEditor": True}
    with as_user(page["auth"]):
        assert client.get("/posts").json() == {"mayDelete": False, "isEditor": False}


def test_on_objects(page: dict[str, Any], client: TestClient) -> None:
    auth, post = page["auth"], page["Post"]
    with as_user(auth) as me:
        assert client.put("/posts/1").status_code == 200
        assert client.put("/posts/2").status_code == 403
    assert not auth.policies.can(me, "update:post", post(me.id, locked=True))
    assert not auth.policies.can(me, "lock:post", post(me.id))
    with as_user(auth, role="editor", permissions=["lock:posts"]) as editor:
        assert client.put("/posts/2").status_code == 200
    assert auth.policies.can(editor, "lock:post", post(me.id))


def test_the_refusal_it_shows(page: dict[str, Any], client: TestClient, database: str) -> None:
    do(f"authward roles grant auditor read:reports --database-url {database}")
    shown = json.loads(PAGE["Why, and why not json"])
    with as_user(page["auth"]):
        # The app hears of the role a moment later.
        while "auditor" not in (answer := client.get("/reports").json())["details"][0]["message"]:
            pass
    assert answer == {**shown, "timestamp": answer["timestamp"]}
    assert [*answer] == [*shown]
    assert len(answer["timestamp"]) == len(shown["timestamp"])


def test_why_and_why_not(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    be_in(tmp_path, monkeypatch)
    do("authward migrate")
    do("authward roles grant editor update:*")
    do("authward roles grant chief publish:posts")
    do("authward roles include chief editor")
    do("authward roles grant auditor read:reports")
    create = "authward users create --email ada@example.com --password-stdin"
    do(create, input="long walks by the river")
    do("authward users set-role --email ada@example.com --role user --also chief")
    [(held, told), (missing, told_too)] = transcript(PAGE["Why, and why not console"])
    assert do(held).output == told
    assert do(missing, code=1).output == told_too
