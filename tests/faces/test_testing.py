"""What an app's own tests use."""

import time
from collections.abc import Callable

import pytest
from httpx2 import ASGITransport, AsyncClient
from starlette.testclient import TestClient
from starlette.types import Receive, Scope, Send

from authward import Authward, ConfigurationError
from authward.errors import Unavailable
from authward.testing import TurnableClock, access_token, as_user

PRODUCTION = {"env": "production", "secret": "Zk3v9Qw1xT7rB5nY2mC8pL4sD6fG0hJ1aE3uO9iK7tR="}


def whoever(auth: Authward) -> TestClient:
    """An app that answers with its caller's e-mail."""

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        body = auth.principal(scope).email.encode()
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": body})

    return TestClient(auth.wrap(app))


def test_nested(auth: Authward) -> None:
    client = whoever(auth)
    with as_user(auth, email="outer@example.com"):
        with as_user(auth, email="inner@example.com"):
            assert client.get("/").text == "inner@example.com"
        assert client.get("/").text == "outer@example.com"
        with pytest.raises(RuntimeError), as_user(auth, email="inner@example.com"):
            raise RuntimeError
        assert client.get("/").text == "outer@example.com"
    assert client.get("/").status_code == 401


def test_a_token_that_comes_along_counts(auth: Authward) -> None:
    client = whoever(auth)
    with as_user(auth):
        refused = client.get("/", headers={"authorization": "Bearer junk"})
    assert refused.json()["error"] == "invalid_token"


def test_no_request_can_ask_for_it(auth: Authward) -> None:
    client = whoever(auth)
    for headers in (
        {"authorization": "as_user"},
        {"x-test-user": "admin", "x-authward": "as_user", "cookie": "stand_in=1"},
    ):
        assert client.get("/?as_user=admin&stand_in=1", headers=headers).status_code == 401


def test_our_own_routes_take_it_too(auth: Authward) -> None:
    client = whoever(auth)
    with as_user(auth, role="admin") as caller:
        assert caller.can("list:users")
        assert caller.can("assign:roles")
        assert client.get("/api/users").json()["data"]["users"] == []
    with as_user(auth):
        assert client.get("/api/users").json()["error"] == "forbidden"


def test_the_caller(auth: Authward) -> None:
    with as_user(auth, id="ada-lovelace", role="moderator", permissions={"read:it"}) as caller:
        assert caller.id == "ada-lovelace"
        assert caller.role == "moderator"
        assert caller.permissions == {"read:users", "update:users", "read:it"}
    with as_user(auth) as one, as_user(auth) as other:
        assert one.id != other.id
        assert one.session_id != other.session_id


def test_what_is_refused(auth: Authward, make_auth: Callable[..., Authward]) -> None:
    with pytest.raises(ConfigurationError, match="a list"), as_user(auth, permissions="read:it"):
        pass
    with pytest.raises(ConfigurationError, match="is for tests"), as_user(make_auth(**PRODUCTION)):
        pass
    with as_user(auth) as caller, pytest.raises(Unavailable):
        access_token(auth, caller)
    with pytest.raises(ConfigurationError, match="is for tests"):
        access_token(make_auth(**PRODUCTION), caller)


async def test_with_an_async_client(auth: Authward) -> None:
    app = whoever(auth).app
    async with AsyncClient(transport=ASGITransport(app=app), base_url="http://test") as client:
        with as_user(auth, email="ada@example.com") as caller:
            assert (await client.get("/")).text == "ada@example.com"
            token = access_token(auth, caller)
        bearer = {"authorization": f"Bearer {token}"}
        assert (await client.get("/", headers=bearer)).text == "ada@example.com"
    await auth.shutdown()


async def test_a_clock_to_turn(auth: Authward, clock: TurnableClock) -> None:
    app = whoever(auth).app
    async with AsyncClient(transport=ASGITransport(app=app), base_url="http://test") as client:
        with as_user(auth) as caller:
            await client.get("/")
            token = {"authorization": f"Bearer {access_token(auth, caller)}"}
            clock.turn(870)
            assert (await client.get("/", headers=token)).status_code == 200
            clock.turn(31)
            refused = await client.get("/", headers=token)
            assert refused.json()["error"] == "token_expired"
            # Its own tokens are always fresh, and the change feed is none the wiser.
            assert (await client.get("/")).status_code == 200
            assert auth.services.feed.lag < 60
    await auth.shutdown()


def test_how_far_it_was_turned() -> None:
    clock = TurnableClock()
    assert clock.offset_ms == 0
    clock.turn(1.5)
    clock.turn(-0.5)
    assert clock.offset_ms == 1000
    before, turned, after = time.time(), clock.now(), time.time()
    assert before - 0.001 <= turned - 1 <= after + 0.001
    assert time.monotonic() <= clock.monotonic() <= time.monotonic()
