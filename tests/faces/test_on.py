"""`auth.on`: an app hears what happened, from its own routes and from ours."""

import asyncio
import json
import logging
from collections.abc import Callable
from typing import Any

import pytest
from fastapi import FastAPI

from authward import AuthEvent, Authward, ConfigurationError
from authward.middleware import RequestIdFilter
from tests.cheap import make_hashing_cheap
from tests.faces.serving import serving
from tests.serving import PASSWORD, account_of, refresh_headers

Make = Callable[..., Authward]


async def test_an_app_hears_of_a_stolen_refresh_token(
    auth: Authward, monkeypatch: pytest.MonkeyPatch, clock: Any
) -> None:
    make_hashing_cheap(monkeypatch)
    stolen: list[AuthEvent] = []
    heard: list[str] = []
    app = FastAPI()
    auth.install(app)

    @auth.on("session.reuse_detected")
    async def warn(event: AuthEvent) -> None:
        stolen.append(event)

    @auth.on("*")
    def note(event: AuthEvent) -> None:
        heard.append(event.kind)

    async with serving(auth, app, host="localhost") as client:
        body = {"email": "ada@example.com", "password": PASSWORD, "name": "Ada"}
        answer = await client.post("/api/auth/register", json=body)
        account = account_of(answer, body["email"])
        for _ in range(2):
            clock.turn(11)
            headers = refresh_headers(account)
            answer = await client.post("/api/auth/refresh-token", headers=headers)
        assert answer.status_code == 401
        await client.get("/api/profile")
    # Serving is over: what was still pending is told.
    [event] = stolen
    assert (event.kind, event.outcome, event.subject) == (
        "session.reuse_detected",
        "refused",
        account.id,
    )
    assert event.session
    assert event.ip == "127.0.0.1"
    assert event.request_id == answer.headers["x-request-id"]
    assert event.at.utcoffset() is not None
    assert heard == [
        "user.registered",
        "login.succeeded",
        "session.refreshed",
        "session.reuse_detected",
        "access.denied",
    ]


async def test_a_handler_that_fails_or_hangs_costs_no_answer(
    auth: Authward, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    make_hashing_cheap(monkeypatch)
    monkeypatch.setattr("authward.services.handlers.DRAIN_S", 0.01)
    monkeypatch.setattr("authward.services.handlers.Handling.stop.__defaults__", (0.01,))

    @auth.on("user.registered")
    def broken(event: AuthEvent) -> None:
        raise RuntimeError("no mail server")

    @auth.on("user.registered")
    async def hangs(event: AuthEvent) -> None:
        await asyncio.Event().wait()

    async with serving(auth, auth.asgi(), host="localhost") as client:
        body = {"email": "ada@example.com", "password": PASSWORD, "name": "Ada"}
        answer = await client.post("/api/auth/register", json=body)
        assert answer.status_code == 201
    assert "broken failed on user.registered" in caplog.text
    assert "no mail server" in caplog.text
    assert "hangs was not told 1 events" in caplog.text
    assert PASSWORD not in caplog.text


def test_a_kind_that_there_is_not_stops_the_start(auth: Authward) -> None:
    with pytest.raises(ConfigurationError, match=r"Did you mean 'session\.reuse_detected'\?"):
        auth.on("session.reuse_detect")
    with pytest.raises(ConfigurationError, match="Give it a function"):
        auth.on("login.failed")("not a function")  # type: ignore[type-var]


async def test_an_apps_own_log_lines_know_their_request(auth: Authward) -> None:
    """In sync endpoints too, which run in threads; and one request's id is never another's."""
    lines: list[dict[str, Any]] = []

    class Keeps(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            lines.append({"id": record.request_id, "said": record.getMessage()})  # type: ignore[attr-defined]

    log = logging.getLogger("an.app")
    handler = Keeps()
    handler.addFilter(RequestIdFilter())
    log.addHandler(handler)
    app = FastAPI()
    auth.install(app)

    @app.get("/sync")
    def sync() -> None:
        log.warning("sync")

    @app.get("/async")
    async def later() -> None:
        await asyncio.sleep(0)
        log.warning("async")

    try:
        async with serving(auth, app, host="localhost") as client:
            answers = await asyncio.gather(*(client.get(f"/{n}sync") for n in ("", "a") * 10))
            log.warning("nobody's")
    finally:
        log.removeHandler(handler)
    ids = [line["id"] for line in lines if line["said"] != "nobody's"]
    assert sorted(ids) == sorted(answer.headers["x-request-id"] for answer in answers)
    assert lines[-1] == {"id": "", "said": "nobody's"}


async def test_background_work_that_a_request_started_is_not_logged_as_its(
    auth: Authward, caplog: pytest.LogCaptureFixture
) -> None:
    """The first request of an app without a lifespan starts us; we outlive it."""
    caplog.handler.addFilter(RequestIdFilter())
    async with serving(auth, auth.asgi(), host="localhost") as client:
        assert (await client.get("/api/public-data")).status_code == 200

        def broken(*_: object) -> None:
            raise ValueError("torn")

        auth.services.feed.apply = broken  # type: ignore[assignment]
        async with asyncio.timeout(60):
            while "change feed not read" not in caplog.text:  # noqa: ASYNC110
                await asyncio.sleep(0.01)
    [record, *_] = [one for one in caplog.records if one.name == "authward.feed"]
    assert record.request_id == ""  # type: ignore[attr-defined]


async def test_audit_rows_and_their_lines_hold_the_id_of_the_answer(
    auth: Authward, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    make_hashing_cheap(monkeypatch)
    caplog.set_level(logging.INFO, "authward.audit")
    async with serving(auth, auth.asgi(), host="localhost") as client:
        # An id that a client sends is not taken over: it could make two requests look like one.
        sent = {"x-request-id": "0123456789abcdef"}
        body = {"email": "ada@example.com", "password": PASSWORD, "name": "Ada"}
        made = await client.post("/api/auth/register", json=body, headers=sent)
        denied = await client.get("/api/profile", headers=sent)
        login = {"email": "ada@example.com", "password": "wrong horse battery"}
        failed = await client.post("/api/auth/login", json=login, headers=sent)
        await auth.services.refusals.flush(all_of_it=True)
        rows = await auth.services.store.audit.latest(100)
    expected = {
        "user.registered": made,
        "login.succeeded": made,
        "access.denied": denied,
        "login.failed": failed,
    }
    ids = {kind: answer.headers["x-request-id"] for kind, answer in expected.items()}
    assert sent["x-request-id"] not in ids.values()
    assert {row.event.kind: row.event.client.request_id for row in rows} == ids
    told = [json.loads(one.getMessage()) for one in caplog.records if one.name == "authward.audit"]
    assert {one["kind"]: one["requestId"] for one in told if one["kind"] != "checkpoint"} == ids
