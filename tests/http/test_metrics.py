"""Metrics: who may read them, and that they tell the truth."""

import os
from typing import get_args

import pytest
from prometheus_client.parser import text_string_to_metric_families

from authward.core.audit import Client
from authward.core.limits import Limit
from authward.errors import Forbidden, Unavailable
from authward.ports import Change
from authward.services.counts import PROTECTIONS
from authward.services.handlers import Handling
from authward.services.hashing import HashLane
from authward.services.limits import FallbackLimiter
from authward.services.metrics import Metrics
from authward.settings import Protection
from authward.testing import TurnableClock
from tests.cheap import cheap_parameters
from tests.here import Here, Serve
from tests.http.talking import Api, talking
from tests.serving import PASSWORD, REFRESH, error_of, refresh_cookie


async def told(api: Api, headers: dict[str, str]) -> dict[str, float]:
    answer = await api.send("GET", "/metrics", headers=headers)
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"].startswith("text/plain; version=0.0.4")
    return numbers(answer.content)


def numbers(text: bytes) -> dict[str, float]:
    lines = (line.rsplit(" ", 1) for line in text.decode().splitlines() if line[0] != "#")
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
        assert 0 <= found["authward_feed_lag_seconds"] < 20
        assert found["authward_feed_healthy"] == 1
        assert found["authward_rate_limit_degraded"] == 0

        await feed.stop()
        assert feed._read_at is not None
        feed._read_at -= 30
        found = await told(api, admin.bearer)
        assert 30 <= found["authward_feed_lag_seconds"] < 55
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
        services = api.auth.services
        lane = HashLane(cheap_parameters(), os.urandom, services.clock, threads=1, queue=1)
        handling = Handling([], services.clock)
        metrics = Metrics(services.feed, limiter, services.counts, lane, handling, {})
        assert numbers(metrics.text())["authward_rate_limit_degraded"] == 0
        await limiter.take("x", Limit(1, 1))
        found = numbers(metrics.text())
        assert found["authward_rate_limit_degraded"] == 1
        assert found["authward_rate_limit_decided_alone"] == 1
        lane.stop()


@pytest.mark.parametrize("method", ["POST", "DELETE"])
async def test_it_is_only_read(sqlite_url: str, method: str) -> None:
    async with talking(sqlite_url) as api:
        assert (await api.send(method, "/metrics")).status_code == 405


class Counted:
    """What changed in the metrics of a server since the last look."""

    def __init__(self, here: Here) -> None:
        self._here = here
        self._before = self._now()

    def _now(self) -> dict[str, float]:
        return numbers(self._here.services.metrics.text())

    def changed(self, *beginnings: str) -> dict[str, float]:
        """The series of these names that moved, and by how much."""
        before, self._before = self._before, self._now()
        return {
            name.removeprefix("authward_"): value - before.get(name, 0)
            for name, value in self._before.items()
            if name.removeprefix("authward_").startswith(beginnings)
            and value != before.get(name, 0)
        }


@pytest.fixture
async def limited(serve_on: Serve, sqlite_database: str) -> Here:
    return await serve_on(sqlite_database, auth_rate_limit="3/15m")


async def test_sign_ins_and_registrations_by_outcome(limited: Here) -> None:
    account = await limited.register()
    counted = Counted(limited)
    await limited.login(account.email)
    await limited.try_login(account.email, "wrong horse battery")
    await limited.send("POST", "/api/auth/login", json={})
    assert (await limited.try_login(account.email)).status_code == 429
    body = {"email": account.email, "password": PASSWORD, "name": "Twin"}
    await limited.send("POST", "/api/auth/register", json=body)
    assert counted.changed("logins", "registrations", "rate_limit", "denials") == {
        'logins_total{outcome="ok"}': 1,
        'logins_total{outcome="invalid_credentials"}': 1,
        'logins_total{outcome="validation_error"}': 1,
        'logins_total{outcome="rate_limited"}': 1,
        'registrations_total{outcome="user_exists"}': 1,
        'rate_limit_decisions_total{decision="allowed"}': 4,
        'rate_limit_decisions_total{decision="refused"}': 1,
        'denials_total{error="invalid_credentials"}': 1,
        'denials_total{error="rate_limited"}': 1,
    }


async def test_refreshes_by_outcome_and_reuse(here: Here) -> None:
    account = await here.register()
    counted = Counted(here)
    here.clock.turn(11)
    rotated = refresh_cookie(await here.refresh(account))
    here.clock.turn(11)
    await here.refresh(account, rotated)
    assert (await here.refresh(account)).status_code == 401
    # Who comes again with the dead session's token ends nothing more.
    assert (await here.refresh(account)).status_code == 401
    await here.send("POST", REFRESH)
    assert counted.changed("refresh", "denials") == {
        'refreshes_total{outcome="ok"}': 2,
        'refreshes_total{outcome="refresh_token_reused"}': 1,
        'refreshes_total{outcome="invalid_refresh_token"}': 1,
        'refreshes_total{outcome="missing_refresh_token"}': 1,
        "refresh_reuse_detected_total": 1,
        'denials_total{error="refresh_token_reused"}': 1,
        'denials_total{error="invalid_refresh_token"}': 1,
        'denials_total{error="missing_refresh_token"}': 1,
    }


async def test_denials_by_error_each_once(here: Here) -> None:
    account = await here.register()
    counted = Counted(here)
    for _ in range(3):
        await here.send("GET", "/api/profile")
    await here.send("GET", "/api/profile", headers={"authorization": "Bearer x"})
    await here.send("GET", "/api/users", headers=account.bearer)
    evil = {"origin": "https://evil.example"}
    await here.send("POST", "/api/auth/login", json={}, headers=evil)
    assert counted.changed("denials", "rate_limit") == {
        'denials_total{error="missing_token"}': 3,
        'denials_total{error="invalid_token"}': 1,
        'denials_total{error="forbidden"}': 1,
        'denials_total{error="origin_not_allowed"}': 1,
    }
    # Their rows are folded, and stand for as many.
    await here.services.refusals.flush(all_of_it=True)
    assert counted.changed("events") == {'events_total{kind="access.denied"}': 6}


async def test_what_is_only_reported_by_protection(serve_on: Serve, sqlite_database: str) -> None:
    here = await serve_on(
        sqlite_database,
        report_only="cors,csrf,rate_limit",
        rate_limit="4/15m",
        auth_rate_limit="2/15m",
    )
    counted = Counted(here)
    account = await here.register()
    evil = {"origin": "https://evil.example"}
    await here.send("POST", "/api/auth/login", json={}, headers=evil)
    cookie = {"cookie": f"refreshToken={account.cookie}", "x-csrf-token": "forged"}
    assert (await here.send("POST", REFRESH, headers=cookie)).status_code == 200
    assert counted.changed("reported", "denials") == {
        'reported_total{protection="cors"}': 1,
        'reported_total{protection="csrf"}': 1,
    }
    # Two beyond the general limit, and two beyond that of their route.
    for _ in range(3):
        await here.login(account.email)
    assert counted.changed("reported", "denials") == {'reported_total{protection="rate_limit"}': 4}
    assert set(PROTECTIONS) == set(get_args(Protection))


async def test_hashing_is_told_of(here: Here) -> None:
    account = await here.register()
    counted = Counted(here)
    await here.login(account.email)
    changed = counted.changed("hashing")
    assert changed.pop("hashing_seconds_count") == 1
    assert changed.pop("hashing_seconds_sum") > 0
    assert changed.pop('hashing_seconds_bucket{le="+Inf"}') == 1
    assert set(changed.values()) == {1}


async def test_no_client_makes_a_series(here: Here) -> None:
    """A name of the client's, or of the app's, in a label would fill the monitor's memory."""

    class Strange(Forbidden):
        code = "strange-7f3e91"

    before = len(numbers(here.services.metrics.text()))
    for number in range(20):
        await here.try_login(f"canary{number}@example.com", "wrong horse battery")
        await here.send(f"CANARY{number}", f"/canary/{number}")
        await here.send("GET", "/api/profile", headers={"authorization": f"Bearer c{number}"})
    here.services.access.denied(Strange("canary"), Client("canary"))
    text = here.services.metrics.text().decode()
    assert "canary" not in text.lower()
    assert "strange" not in text
    assert 'authward_denials_total{error="other"} 1.0' in text
    # Outcomes come as they happen; here one: invalid_credentials.
    assert len(numbers(text.encode())) == before + 1


async def test_what_it_writes_is_what_prometheus_reads(here: Here) -> None:
    await here.register()
    families = list(text_string_to_metric_families(here.services.metrics.text().decode()))
    names = {family.name for family in families}
    assert len(names) == len(families) > 10
    assert all(family.documentation for family in families)
    assert {family.type for family in families} == {"gauge", "counter", "histogram"}


async def test_processes_at_one_address_are_told_apart(serve_on: Serve, database: str) -> None:
    here = await serve_on(database, workers=2)
    lines = here.services.metrics.text().decode().splitlines()
    values = [line for line in lines if line[0] != "#"]
    assert values
    assert all(f'pid="{os.getpid()}"' in line for line in values)
