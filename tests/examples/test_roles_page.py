"""The examples of docs/roles.md are one app, and it does what the page says."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient

from authward.testing import as_user

PAGE = Path(__file__).parents[2] / "docs" / "roles.md"


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What the page defines, in the order it does."""
    folder = tmp_path_factory.mktemp("roles")
    names: dict[str, Any] = {"__name__": "roles"}
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AUTHWARD_DATABASE_URL", f"sqlite:///{folder}/test.db")
        for block in re.findall(r"```python\n(.*?)```", PAGE.read_text("utf-8"), re.DOTALL):
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


def test_the_refusal_it_shows(page: dict[str, Any], client: TestClient) -> None:
    with as_user(page["auth"]):
        [detail] = client.get("/reports").json()["details"]
    assert detail == {
        "field": "permission",
        "code": "missing_grant",
        "message": "Needs read:reports. Roles that grant it: admin.",
    }
