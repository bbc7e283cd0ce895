"""Tests of `fastapi_app.py`: no password, no account, no mocks.

pytest examples/testing_an_app.py
"""

import os
import tempfile
from collections.abc import Iterator

import pytest
from fastapi.testclient import TestClient

if __name__ == "__main__":
    raise SystemExit("usage: pytest examples/testing_an_app.py")

# Before the app is imported, which reads its settings then. In a project: in conftest.py.
os.environ["AUTHWARD_DATABASE_URL"] = f"sqlite:///{tempfile.mkdtemp()}/test.db"

from authward.testing import as_user
from examples.fastapi_app import app, auth


@pytest.fixture(scope="module")
def client() -> Iterator[TestClient]:
    with TestClient(app) as client:  # with `with`, start-up happens once
        yield client


def test_strangers_get_nothing(client: TestClient) -> None:
    assert client.get("/api/me").status_code == 401


def test_me(client: TestClient) -> None:
    with as_user(auth, email="ada@example.com") as ada:
        answer = client.get("/api/me").json()
    assert (answer["id"], answer["email"]) == (ada.id, "ada@example.com")


def test_reports_need_a_permission(client: TestClient) -> None:
    with as_user(auth):
        assert client.get("/api/reports").json()["error"] == "forbidden"
    with as_user(auth, permissions=["read:reports"]):
        assert client.get("/api/reports").status_code == 200


@pytest.mark.parametrize(("role", "status"), [("user", 403), ("moderator", 200), ("admin", 200)])
def test_who_may_remove(client: TestClient, role: str, status: int) -> None:
    with as_user(auth, role=role):
        assert client.delete("/api/reports/first").status_code == status
