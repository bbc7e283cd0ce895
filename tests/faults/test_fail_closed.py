"""The database or the change feed away: refused, never let in, and back again by itself.

OWASP ASVS 16.5.3; CWE-636 (not failing securely).
"""

import asyncio
import base64
import hashlib
import sqlite3
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, closing
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx2
import pytest

from authward import Authward
from authward.errors import Unavailable
from authward.services.feed import Feed
from tests.here import OPERATOR, Here, Serve
from tests.serving import PASSWORD, REFRESH, SECRET, Account, error_of, refresh_headers
from tests.stores.gate import gate_to


class Outage:
    """Takes the database away and brings it back."""

    def __init__(self, away: Callable[[], Any], back: Callable[[], Any]) -> None:
        self.away, self.back = away, back


@pytest.fixture
async def sqlite(serve_on: Serve, sqlite_database: str) -> tuple[Here, Outage]:
    path = Path(urlsplit(sqlite_database).path.removeprefix("/"))
    hidden = path.with_name("hidden")

    async def away() -> None:
        path.rename(hidden)

    async def back() -> None:
        hidden.rename(path)

    return await serve_on(sqlite_database), Outage(away, back)


@pytest.fixture
async def postgresql(serve_on: Serve, postgres_database: str) -> AsyncIterator[tuple[Here, Outage]]:
    async with gate_to(postgres_database) as gate:
        here = await serve_on(gate.url)
        yield here, Outage(gate.shut, gate.open)
        # The server's own end must not wait for a database that is not there.
        await gate.shut()


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.postgres)])
def cut_off(request: pytest.FixtureRequest) -> tuple[Here, Outage]:
    found: tuple[Here, Outage] = request.getfixturevalue(request.param)
    return found


def requests_of(account: Account) -> dict[str, dict[str, Any]]:
    login = {"email": account.email, "password": PASSWORD}
    change = {"currentPassword": PASSWORD, "newPassword": "another horse battery"}
    return {
        "POST /api/auth/login": {"json": login},
        "POST /api/auth/register": {"json": {**login, "email": "eve@example.com", "name": "Eve"}},
        f"POST {REFRESH}": {"headers": refresh_headers(account)},
        "POST /api/auth/logout": {"headers": refresh_headers(account)},
        "POST /api/auth/logout-all": {"headers": account.bearer},
        "POST /api/auth/change-password": {"json": change, "headers": account.bearer},
        "GET /api/auth/sessions": {"headers": account.bearer},
        "GET /api/profile": {"headers": account.bearer},
        "GET /readyz": {},
    }


def answered_from_memory(account: Account) -> dict[str, dict[str, Any]]:
    """What asks no database, and goes by keys."""
    return {
        "GET /.well-known/jwks.json": {},
        "GET /api/auth/csrf-token": {},
        "POST /api/auth/logout": {"headers": account.bearer},
    }


async def none_is_served(here: Here, account: Account) -> None:
    """Nothing is signed, believed or stored, whatever it is that was asked for."""
    asked = [*requests_of(account).items(), *answered_from_memory(account).items()]
    asked.append(("GET /api/auth/csrf-token", {"headers": refresh_headers(account)}))
    before = await stored_in(here, account)
    for what, request in asked:
        answer = await ask(here, what, request)
        assert error_of(answer) == (503, "unavailable"), what
        assert 0 <= int(answer.headers["retry-after"]) <= 5
        assert "set-cookie" not in answer.headers
    assert await stored_in(here, account) == before


async def stored_in(here: Here, account: Account) -> list[Any]:
    store = here.services.store
    eve = await store.users.by_email("eve@example.com")
    return [eve, *await store.sessions.of_user(account.id)]


async def ask(here: Here, what: str, request: dict[str, Any]) -> httpx2.Response:
    return await here.send(*what.split(" "), **request)


async def test_a_database_that_is_away(cut_off: tuple[Here, Outage]) -> None:
    here, outage = cut_off
    account = await here.register()
    await outage.away()
    for what, request in requests_of(account).items():
        answer = await ask(here, what, request)
        assert error_of(answer) == (503, "unavailable"), what
        # Who comes back after the grace is taken for a thief: soon enough.
        assert 0 <= int(answer.headers["retry-after"]) <= 5
        assert "set-cookie" not in answer.headers
        for word in ("sqlite", "postgres", "asyncpg", "/", "Error"):
            assert word.lower() not in answer.json()["message"].lower()
    # What needs no database is answered: the process is alive.
    assert (await here.send("GET", "/healthz")).status_code == 200
    assert (await here.send("GET", "/api/public-data")).status_code == 200
    await outage.back()
    assert (await here.profile(account)).status_code == 200
    assert (await here.refresh(account)).status_code == 200
    assert (await here.try_login(account.email)).status_code == 200
    async with asyncio.timeout(30):
        while (await here.send("GET", "/readyz")).status_code != 200:  # noqa: ASYNC110
            await asyncio.sleep(0.02)


class Standstill:
    """Makes the feed as old as a test says."""

    def __init__(self, here: Here, patch: pytest.MonkeyPatch) -> None:
        async def unread(feed: Feed) -> None:
            raise Unavailable("database: away")

        self._feed: Any = here.services.feed
        patch.setattr(Feed, "poll", unread)

    async def set_age(self, seconds: float | None) -> None:
        async with self._feed._reading:  # a read that had begun before would undo it
            now = self._feed._clock.monotonic()
            self._feed._read_at = None if seconds is None else now - seconds
            lasts = self._feed._max_lag
            self._feed.fresh_until = float("-inf") if seconds is None else now - seconds + lasts


@pytest.mark.parametrize("age", [None, 60.5, 3600.0], ids=["never read", "too old", "far too old"])
async def test_a_feed_that_tells_nothing_lets_nobody_in(
    here: Here, monkeypatch: pytest.MonkeyPatch, age: float | None
) -> None:
    """A session ended elsewhere might be alive here: no bearer is believed."""
    account = await here.register(role="admin")
    assert (await here.profile(account)).status_code == 200
    with monkeypatch.context() as patch:
        await Standstill(here, patch).set_age(age)
        for what in ("/api/profile", "/api/users", "/api/auth/sessions"):
            answer = await here.send("GET", what, headers=account.bearer)
            assert error_of(answer) == (503, "unavailable"), what
            assert answer.headers["retry-after"] == "1"
        # No token at all is still told from one that cannot be judged.
        assert error_of(await here.send("GET", "/api/profile"))[0] == 401
        assert (await here.send("GET", "/readyz")).status_code == 503
        # A key that was killed elsewhere might sign here: none is used.
        await none_is_served(here, account)
    await here.services.feed.poll()
    assert (await here.profile(account)).status_code == 200
    assert (await here.refresh(account)).status_code == 200
    assert (await here.try_login(account.email)).status_code == 200
    for what, request in answered_from_memory(account).items():
        assert (await ask(here, what, request)).status_code == 200, what


async def test_key_rings_that_cannot_be_opened_any_more_serve_nobody(
    serve_on: Serve, database: str
) -> None:
    """The master secret was changed and every key killed, and this process goes on with what it
    has: what it signs, and whom it lets in, hangs on keys that somebody else knows.
    """
    here = await serve_on(database)
    account = await here.register(role="admin")
    other = base64.b64encode(hashlib.sha256(b"another").digest()).decode()
    changed = Authward(
        database_url=database, secret=other, secret_previous=SECRET, clock=here.clock
    )
    await changed.startup()
    await changed.services.keys.kill(None, OPERATOR)
    await changed.shutdown()
    with pytest.raises(Unavailable, match="does not open key"):
        await here.services.feed.poll()
    here.services.feed.fresh_until -= 61  # a minute later
    await none_is_served(here, account)


async def test_a_feed_that_is_a_little_late_is_not_ready_but_serves(
    here: Here, monkeypatch: pytest.MonkeyPatch
) -> None:
    account = await here.register()
    with monkeypatch.context() as patch:
        await Standstill(here, patch).set_age(5)
        assert (await here.profile(account)).status_code == 200
        assert (await here.send("GET", "/readyz")).status_code == 503


async def test_feed_max_lag_is_a_setting(
    serve_on: Serve, sqlite_database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    here = await serve_on(sqlite_database, feed_max_lag=30)
    account = await here.register()
    with monkeypatch.context() as patch:
        standstill = Standstill(here, patch)
        await standstill.set_age(4)
        assert (await here.profile(account)).status_code == 200
        await standstill.set_age(30.5)
        assert (await here.profile(account)).status_code == 503


@asynccontextmanager
async def unstarted(**settings: Any) -> AsyncIterator[httpx2.AsyncClient]:
    """A client of an app whose first request starts us, as a mounted one's."""
    auth = Authward(**settings)
    transport = httpx2.ASGITransport(auth.asgi(), raise_app_exceptions=False)
    async with httpx2.AsyncClient(transport=transport, base_url="http://localhost") as client:
        yield client
    await auth.shutdown()


ROUTES = ("/api/profile", "/api/users", "/api/public-data", "/readyz", "/metrics")


async def all_refused(client: httpx2.AsyncClient, headers: dict[str, str]) -> None:
    for path in ROUTES:
        answer = await client.get(path, headers=headers)
        assert error_of(answer) == (503, "unavailable"), path
        assert answer.headers["retry-after"] == "1"
        assert "folder" not in answer.text
        assert "secret" not in answer.text
    login = {"email": "a@example.com", "password": PASSWORD}
    answer = await client.post("/api/auth/login", json=login)
    assert error_of(answer) == (503, "unavailable")


async def test_before_it_has_started_it_answers_503(sqlite_database: str) -> None:
    """As when a mounted app's first request finds the database away."""
    path = Path(urlsplit(sqlite_database).path.removeprefix("/"))
    url = f"sqlite:///{path.parent}/no/such/folder/x.db"
    async with unstarted(database_url=url, secret=SECRET) as client:
        await all_refused(client, {"authorization": "Bearer x"})


async def test_key_rings_that_cannot_be_opened_let_nobody_in(
    serve_on: Serve, database: str, caplog: pytest.LogCaptureFixture
) -> None:
    """Sealed under another secret, they are as good as away: no token is believed, and no new keys
    take their place.
    """
    here = await serve_on(database)
    account = await here.register(role="admin")
    other = base64.b64encode(hashlib.sha256(b"another").digest()).decode()
    async with unstarted(database_url=database, secret=other) as client:
        await all_refused(client, account.bearer)
    assert "not started: secret" in caplog.text
    assert (await here.profile(account)).status_code == 200


async def test_a_key_ring_that_is_damaged_lets_nobody_in(
    serve_on: Serve, sqlite_database: str
) -> None:
    here = await serve_on(sqlite_database)
    account = await here.register(role="admin")
    path = urlsplit(sqlite_database).path.removeprefix("/")
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("UPDATE keys SET sealed = x'00' WHERE ring = 'access'")
    async with unstarted(database_url=sqlite_database, secret=SECRET) as client:
        await all_refused(client, account.bearer)


async def test_key_rings_that_are_not_loaded_are_not_ready(here: Here) -> None:
    here.services.readiness._keys = lambda: False
    answer = await here.send("GET", "/readyz")
    assert error_of(answer) == (503, "unavailable")
    assert answer.json()["message"] == "Not ready: keys: not loaded"
