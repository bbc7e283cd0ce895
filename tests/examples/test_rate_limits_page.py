"""The examples of docs/rate-limits.md run as they are pasted, and count as the page says."""

from pathlib import Path
from typing import Any

import pytest
from starlette.testclient import TestClient
from starlette.types import ASGIApp, Receive, Scope, Send

from authward.middleware.policies import Policy
from authward.middleware.ratelimit import RateLimit
from authward.testing import TurnableClock, as_user
from tests.cli.conftest import be_in
from tests.pages import examples

PAGE = examples("docs/rate-limits.md")


def run(block: str) -> dict[str, Any]:
    """What an example defines, run by itself."""
    names: dict[str, Any] = {"__name__": "pasted"}
    exec(block, names)
    return names


def client_of(app: ASGIApp, address: str = "203.0.113.7") -> TestClient:
    return TestClient(app, "http://localhost", client=(address, 50000))


def test_around_any_app() -> None:
    app = run(PAGE["Rate limits python"])["app"]
    behind = client_of(app, "10.0.0.1")
    for number in range(100):
        # One client, whichever proxy it comes through, and whatever it wrote itself.
        asked = {"x-forwarded-for": f"192.0.2.{number}, 203.0.113.7, 10.0.0.2"}
        answer = behind.get("/", headers=asked)
        assert answer.headers["ratelimit-remaining"] == str(99 - number)
    refused = client_of(app).get("/")
    assert (refused.status_code, refused.json()["error"]) == (429, "rate_limited")
    assert 0 < int(refused.headers["retry-after"]) <= 900
    assert client_of(app, "203.0.113.8").get("/").text == "hello"


def test_one_route_more_strictly() -> None:
    client = client_of(run(PAGE["Rate limits python"])["app"])
    signing_in = [client.post("/api/auth/login").status_code for _ in range(6)]
    assert signing_in == [200] * 5 + [429]
    assert client.get("/api/auth/login").status_code == 200


async def answers(scope: Scope, receive: Receive, send: Send) -> None:
    """Refuses whoever says so."""
    status = 401 if scope["query_string"] == b"wrong" else 200
    await send({"type": "http.response.start", "status": status, "headers": []})
    await send({"type": "http.response.body", "body": b""})


class Still(TurnableClock):
    """No second passes, however slow the machine."""

    def monotonic(self) -> float:
        return 0.0


def policies() -> list[Policy]:
    found: list[Policy] = run(PAGE["Policies python"])["policies"]
    return found


def test_by_tenant_and_by_cost() -> None:
    tenant, _, _ = policies()
    client = client_of(RateLimit(answers, tenant))
    left = [
        client.get(path, headers={"x-tenant": name} if name else {}).headers["ratelimit-remaining"]
        for path, name in (("/", "a"), ("/api/export", "a"), ("/", "b"), ("/", ""), ("/", "a"))
    ]
    assert left == ["999", "979", "999", "999", "978"]


def test_a_burst_but_for_what_is_skipped() -> None:
    client = client_of(RateLimit(answers, *policies(), clock=Still()))
    assert [client.get("/").status_code for _ in range(21)] == [200] * 20 + [429]
    assert client.get("/healthz").status_code == 200


def test_failures_alone() -> None:
    _, _, failures = policies()
    client = client_of(RateLimit(answers, failures))
    asked = ["right"] * 11 + ["wrong"] * 10 + ["right"]
    statuses = [client.post(f"/login?{query}").status_code for query in asked]
    assert statuses == [200] * 11 + [401] * 10 + [429]
    assert client.get("/other").status_code == 200


def test_by_caller(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    be_in(tmp_path, monkeypatch)
    page = run(PAGE["By caller python"])
    auth, app = page["auth"], page["app"]

    @app.get("/work")
    def work() -> None: ...

    def left(client: TestClient, path: str = "/work") -> str | None:
        headers = client.get(path).headers
        assert headers.get("ratelimit-limit") in ("600", None)
        return headers.get("ratelimit-remaining")

    with client_of(app, "127.0.0.1") as one:
        for email in ("ada@example.com", "bob@example.com"):
            with as_user(auth, email=email):
                assert [left(one), left(one)] == ["599", "598"]
        # Who has no token is its address, whoever else came from there.
        assert left(one) == "599"
        with as_user(auth):
            assert left(one, "/api/profile") is None
