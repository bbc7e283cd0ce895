"""Liveness and readiness."""

import logging
from typing import Any

import pytest
from starlette.types import Receive, Scope, Send

from authward.http.health import DRAINING
from tests.http.talking import Api, talking

ALL = {"database": "ok", "feed": "ok", "keys": "ok"}


async def ready(api: Api) -> tuple[int, object]:
    answer = await api.send("GET", "/readyz")
    body = answer.json()
    return answer.status_code, body.get("message") if "error" in body else body["data"]


def stop_reading(api: Api) -> None:
    feed = api.auth.services.feed
    assert feed._read_at is not None
    feed._read_at -= 2


async def test_ready_is_who_can_serve(sqlite_url: str, caplog: pytest.LogCaptureFixture):
    async with talking(sqlite_url) as api:
        assert await ready(api) == (200, {"status": "ready", "checks": ALL})
        await api.auth.services.feed.stop()
        stop_reading(api)
        with caplog.at_level(logging.ERROR, "authward"):
            assert await ready(api) == (503, "Not ready: feed: not read in time")
        assert "not ready: feed" in caplog.text
        # It lives all the same: to restart it would not help.
        assert (await api.send("GET", "/healthz")).status_code == 200


async def test_production_tells_no_detail(sqlite_url: str):
    settings = {"env": "production", "hosts": "localhost", "origins": ()}
    async with talking(sqlite_url, **settings) as api:
        assert await ready(api) == (200, {"status": "ready"})
        await api.auth.services.feed.stop()
        stop_reading(api)
        assert await ready(api) == (503, "Temporarily unavailable")


async def test_a_server_that_takes_leave_is_not_ready(sqlite_url: str):
    async with talking(sqlite_url) as api:
        transport: Any = api.client._transport
        app = transport.app

        async def leaving(scope: Scope, receive: Receive, send: Send) -> None:
            await app({**scope, "state": {DRAINING: True}}, receive, send)

        transport.app = leaving
        assert await ready(api) == (503, "Not ready: server: shutting down")
        assert (await api.send("GET", "/api/public-data")).status_code == 200


async def test_a_limiter_without_its_redis_is_told_and_no_hindrance(sqlite_url: str):
    settings = {"redis_url": "redis://127.0.0.1:1", "rate_limit": "100/15m"}
    async with talking(sqlite_url, **settings) as api:
        await api.send("GET", "/api/public-data")
        told = {"status": "ready", "checks": {**ALL, "limiter": "degraded"}}
        assert await ready(api) == (200, told)
