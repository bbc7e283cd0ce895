"""Metrics: who may read them, and that they tell the truth."""

import pytest

from authward.core.limits import Limit
from authward.errors import Unavailable
from authward.ports import Change
from authward.services.limits import FallbackLimiter
from authward.services.metrics import Metrics
from authward.testing import TurnableClock
from tests.http.talking import Api, talking
from tests.serving import error_of


async def told(api: Api, headers: dict[str, str]) -> dict[str, float]:
    answer = await api.send("GET", "/metrics", headers=headers)
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"].startswith("text/plain; version=0.0.4")
    return numbers(answer.content)


def numbers(text: bytes) -> dict[str, float]:
    lines = (line.split() for line in text.decode().splitlines() if not line.startswith("#"))
    return {name: float(value) for name, value in lines}


async def test_it_needs_its_permission(sqlite_url: str) -> None:
    async with talking(sqlite_url) as api:
        assert (await api.send("GET", "/metrics")).status_code == 401
        user = await api.person("ada@example.com", "user")
        assert (await api.send("GET", "/metrics", headers=user.bearer)).status_code == 403
        moderator = await api.person("mod@example.com", "moderator")
        assert (await api.send("GET", "/metrics", headers=moderator.bearer)).status_code == 403
        admin = await api.person("root@example.com", "admin")
        assert await told(api, admin.bearer)


async def test_a_feed_that_falls_behind_is_told_of(sqlite_url: str) -> None:
    async with talking(sqlite_url) as api:
        admin = await api.person("root@example.com", "admin")
        feed = api.auth.services.feed
        await feed.poll()
        found = await told(api, admin.bearer)
        assert 0 <= found["authward_feed_lag_seconds"] < 1
        assert found["authward_feed_healthy"] == 1
        assert found["authward_rate_limit_degraded"] == 0

        await feed.stop()
        assert feed._read_at is not None
        feed._read_at -= 30
        found = await told(api, admin.bearer)
        assert 30 <= found["authward_feed_lag_seconds"] < 32
        assert found["authward_feed_healthy"] == 0

        # Further behind than feed_max_lag nobody is let in, but for the monitor, to be told so.
        feed._read_at -= 31
        feed.fresh_until -= 61
        assert (await api.send("GET", "/readyz")).status_code == 503
        assert (await api.send("GET", "/api/profile", headers=admin.bearer)).status_code == 503
        assert (await told(api, admin.bearer))["authward_feed_lag_seconds"] > 60
        # What is known of revocations counts all the same.
        feed.apply([Change("user.revoked", admin.id, 10, None, 0)])
        refused = await api.send("GET", "/metrics", headers=admin.bearer)
        assert error_of(refused) == (401, "token_revoked")


async def test_a_limiter_that_counts_by_itself_is_told_of(sqlite_url: str) -> None:
    class Away:
        async def take(self, key: str, limit: Limit, cost: int = 1) -> None:
            raise Unavailable("gone")

    limiter = FallbackLimiter(Away(), TurnableClock())  # type: ignore[arg-type]
    async with talking(sqlite_url) as api:
        metrics = Metrics(api.auth.services.feed, limiter)
        assert numbers(metrics.text())["authward_rate_limit_degraded"] == 0
        await limiter.take("x", Limit(1, 1))
        found = numbers(metrics.text())
        assert found["authward_rate_limit_degraded"] == 1
        assert found["authward_rate_limit_decided_alone"] == 1


@pytest.mark.parametrize("method", ["POST", "DELETE"])
async def test_it_is_only_read(sqlite_url: str, method: str) -> None:
    async with talking(sqlite_url) as api:
        assert (await api.send(method, "/metrics")).status_code == 405
