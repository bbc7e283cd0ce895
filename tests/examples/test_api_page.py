"""What docs/api.md shows of answers is what a server answers."""

import json
from typing import Any

import httpx2
import pytest

from tests.examples.conftest import Described
from tests.pages import examples, shape
from tests.serving import PASSWORD, new_email

pytestmark = [pytest.mark.xdist_group("described"), pytest.mark.timeout(300)]

PAGE = examples("docs/api.md")


def alike(answer: httpx2.Response, block: str) -> bool:
    """Whether it looks like the block, word for word where it is not about somebody."""
    shown, told = json.loads(block), answer.json()
    assert shape(told) == shape(shown)
    assert answer.status_code == shown["statusCode"]
    assert [told[name] for name in ("statusCode", "message")] == [
        shown[name] for name in ("statusCode", "message")
    ]
    return True


def test_an_answer(described: Described) -> None:
    answer = described.client.get("/api/public-data")
    assert answer.json() == json.loads(PAGE["What holds for every route json"])


def test_signing_up(described: Described) -> None:
    body = {"email": new_email(), "password": PASSWORD, "name": "Ada"}
    answer = described.client.post("/api/auth/register", json=body)
    assert alike(answer, PAGE["`POST /api/auth/register` json"])


def test_the_profile(described: Described) -> None:
    answer = described.client.get("/api/profile", headers=described.ada.bearer)
    assert alike(answer, PAGE["`GET /api/profile` json"])


def test_a_session(described: Described) -> None:
    answer = described.client.get("/api/auth/sessions", headers=described.ada.bearer)
    [session] = answer.json()["data"]["sessions"]
    assert shape(session) == shape(json.loads(PAGE["`GET /api/auth/sessions` json"]))


def test_an_event(described: Described) -> None:
    shown = json.loads(PAGE["`GET /api/audit-events` json"])
    body = {"email": described.ada.email, "password": "not hers at all"}
    assert described.client.post("/api/auth/login", json=body).status_code == 401
    told = event(described, kind=shown["kind"], user=described.ada.id)
    assert shape(told) == shape(shown)
    for name in ("kind", "outcome", "detail"):
        assert told[name] == shown[name]


def event(described: Described, **query: str) -> dict[str, Any]:
    """The latest row, once it is there: refusals are written a moment later."""
    while True:
        answer = described.client.get(
            "/api/audit-events", params=query, headers=described.admin.bearer
        )
        events: list[dict[str, Any]] = answer.json()["data"]["events"]
        if events:
            return events[0]
