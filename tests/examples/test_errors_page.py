"""What docs/errors.md shows of refusals is what a server answers."""

import json
from typing import Any

import httpx2
import pytest

from tests.cli.conftest import be_in
from tests.examples.conftest import Described
from tests.pages import do, examples, shape
from tests.serving import register

pytestmark = [pytest.mark.xdist_group("described"), pytest.mark.timeout(300)]

PAGE = examples("docs/errors.md")
PROBLEM = "application/problem+json"


@pytest.fixture(scope="module")
def expired(described: Described) -> dict[str, str]:
    """The headers of somebody whose access token is no good any more: they may do more now."""
    somebody = register(described.client)
    with pytest.MonkeyPatch.context() as patch:
        be_in(described.folder, patch)
        do(f"authward users permissions --email {somebody.email} --grant read:reports")
    # The server hears of it a moment later.
    while described.client.get("/api/profile", headers=somebody.bearer).status_code == 200:
        pass
    return somebody.bearer


def alike(answer: httpx2.Response, block: str) -> bool:
    """Whether it says the same as the block, but for the time."""
    shown: dict[str, Any] = json.loads(block)
    told: dict[str, Any] = answer.json()
    assert shape(told) == shape(shown)
    assert {**told, "timestamp": None} == {**shown, "timestamp": None}
    assert answer.status_code == shown.get("statusCode", shown.get("status"))
    return True


def test_every_refusal(described: Described, expired: dict[str, str]) -> None:
    answer = described.client.get("/api/profile?not=told", headers=expired)
    assert alike(answer, PAGE["Errors json"])
    assert answer.headers["content-type"] == "application/json"


def test_as_problem_details(described: Described, expired: dict[str, str]) -> None:
    answer = described.client.get("/api/profile", headers={**expired, "accept": PROBLEM})
    assert alike(answer, PAGE["As problem details json"])
    assert answer.headers["content-type"] == PROBLEM
    assert "Accept" in answer.headers["vary"]


def test_a_wrong_field(described: Described) -> None:
    body = {"email": "bob@example.com", "password": "short", "name": "Bob"}
    answer = described.client.post("/api/auth/register", json=body)
    assert alike(answer, PAGE["413, 415, 422 json"])
