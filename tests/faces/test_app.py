"""The composition root: what settings come to."""

import asyncio
import secrets
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from httpx2 import ASGITransport, AsyncClient
from starlette.applications import Starlette
from starlette.testclient import TestClient
from starlette.types import Receive, Scope, Send
from starlette.websockets import WebSocketDisconnect

from authward import Authward, ConfigurationError
from authward.core.cors import CorsPolicy
from authward.errors import Forbidden, Unavailable
from authward.services.feed import Feed
from authward.testing import as_user

SECRET = secrets.token_urlsafe(48)


def start(auth: Authward) -> None:
    async def run() -> None:
        await auth.startup()
        await auth.shutdown()

    asyncio.run(run())


class TestSecret:
    def test_said(self, tmp_path: Path, make_auth: Callable[..., Authward]) -> None:
        database = f"sqlite:///{tmp_path}/fresh.db"
        start(make_auth(database_url=database, secret=SECRET))
        assert not (tmp_path / "fresh.db.secret").exists()
        with pytest.raises(ConfigurationError, match="secret"):
            start(make_auth(database_url=database, secret=SECRET[::-1]))

    def test_in_a_file(self, tmp_path: Path, make_auth: Callable[..., Authward]) -> None:
        file = tmp_path / "secret"
        file.write_text(SECRET)
        database = f"sqlite:///{tmp_path}/fresh.db"
        with pytest.raises(ConfigurationError, match="chmod 600"):
            start(make_auth(database_url=database, secret_file=file))
        file.chmod(0o600)
        start(make_auth(database_url=database, secret_file=file))
        start(make_auth(database_url=database, secret=SECRET))

    def test_made_in_development_alone(
        self, tmp_path: Path, make_auth: Callable[..., Authward]
    ) -> None:
        auth = make_auth(database_url=f"sqlite:///{tmp_path}/fresh.db")
        start(auth)
        assert (tmp_path / "fresh.db.secret").stat().st_mode & 0o777 == 0o600
        auth.settings = auth.settings.model_copy(update={"env": "production"})
        with pytest.raises(ConfigurationError, match="secret: missing"):
            start(auth)


class TestProduction:
    def client(self, make_auth: Callable[..., Authward], **settings: Any) -> TestClient:
        return TestClient(make_auth(env="production", secret=SECRET, **settings).asgi())

    def test_hosts(self, tmp_path: Path, make_auth: Callable[..., Authward]) -> None:
        client = self.client(
            make_auth,
            database_url=f"sqlite:///{tmp_path}/fresh.db",
            public_url="https://api.example.com",
            hosts=["Other.example.com"],
        )
        for host, status in [
            ("api.example.com", 200),
            ("other.example.com:8000", 200),
            ("evil.example", 400),
        ]:
            answer = client.get("/api/public-data", headers={"host": host})
            assert answer.status_code == status, host
        named = {"host": "api.example.com"}
        own = {**named, "origin": "https://api.example.com"}
        assert client.post("/api/auth/logout", headers=own).status_code == 200
        foreign = {**named, "origin": "http://localhost"}
        assert client.post("/api/auth/logout", headers=foreign).status_code == 403
        assert client.get("/docs", headers=named).status_code == 404
        # What test clients send is let in where tests run.
        assert client.get("/api/public-data", headers={"host": "testserver"}).status_code == 400

    def test_any_host_is_warned_of(
        self, make_auth: Callable[..., Authward], caplog: pytest.LogCaptureFixture
    ) -> None:
        self.client(make_auth)
        assert "any Host is served" in caplog.text


def test_websockets_of_our_own_there_are_none(auth: Authward) -> None:
    with (
        TestClient(auth.asgi()) as client,
        pytest.raises(WebSocketDisconnect),
        client.websocket_connect("/"),
    ):
        pass


async def test_a_start_that_fails_midway_leaves_nothing_behind(
    auth: Authward, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def broken(self: Feed) -> None:
        raise Unavailable("not today")

    before = asyncio.all_tasks()
    with monkeypatch.context() as patch:
        patch.setattr(Feed, "start", broken)
        with pytest.raises(Unavailable):
            await auth.startup()
    assert asyncio.all_tasks() == before
    await auth.startup()
    await auth.startup()
    await auth.shutdown()
    await asyncio.sleep(0)  # what was cancelled ends
    assert asyncio.all_tasks() == before


def test_origins_that_a_policy_would_replace(make_auth: Callable[..., Authward]) -> None:
    with pytest.raises(ConfigurationError, match="cors: would replace origins"):
        make_auth(origins=["https://a.example"], cors=CorsPolicy(["https://b.example"]))


@pytest.mark.parametrize(
    ("option", "given", "kind"),
    [("cors", ["https://b.example"], "CorsPolicy"), ("headers", None, "SecurityPolicy")],
)
def test_policies_that_are_none(
    make_auth: Callable[..., Authward], option: str, given: object, kind: str
) -> None:
    with pytest.raises(ConfigurationError, match=f"{option}: .* is no {kind}. Make one"):
        make_auth(**{option: given})


@pytest.mark.parametrize("given", [None, "", "no", 1])
def test_deny_by_default_is_on_or_off(auth: Authward, given: Any) -> None:
    with pytest.raises(ConfigurationError, match=r"deny_by_default: .* is neither True nor False"):
        auth.install(Starlette(), deny_by_default=given)


def test_a_caller_is_not_asked_for_in_a_thread_of_nobody(
    make_auth: Callable[..., Authward],
) -> None:
    auth = make_auth()
    found: list[Exception] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await asyncio.to_thread(auth.principal, scope)
        except ConfigurationError as error:
            found.append(error)
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b""})

    async def ask() -> None:
        await auth.startup()
        transport = ASGITransport(auth.wrap(app))
        async with AsyncClient(transport=transport, base_url="http://localhost") as client:
            await client.get("/")
        await auth.shutdown()

    asyncio.run(ask())
    assert "hand the caller on" in str(found[0])


@pytest.mark.parametrize("again", [False, True], ids=["first seen", "seen before"])
def test_permissions_that_can_be_read_once_are_all_asked_for(
    make_auth: Callable[..., Authward], again: bool
) -> None:
    auth = make_auth()
    asked: list[str] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        if again:
            auth.principal(scope)
        for wanted in (("read:b",), ("read:a", "read:b")):
            try:
                auth.principal(scope, permissions=(one for one in wanted))  # type: ignore[arg-type]
            except Forbidden:
                asked.append("refused")
            else:
                asked.append("let in")
        with pytest.raises(ConfigurationError, match="roles"):
            auth.principal(scope, roles="superuser")
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b""})

    async def ask() -> None:
        await auth.startup()
        transport = ASGITransport(auth.wrap(app))
        with as_user(auth, permissions=["read:b"]):
            async with AsyncClient(transport=transport, base_url="http://localhost") as client:
                await client.get("/")
        await auth.shutdown()

    asyncio.run(ask())
    assert asked == ["let in", "refused"]


async def test_a_client_behind_a_proxy_on_a_unix_socket_is_known_to_all_floors(
    tmp_path: Path,
) -> None:
    auth = Authward(
        database_url=f"sqlite:///{tmp_path}/new.db",
        env="production",
        secret=SECRET,
        public_url="https://api.example.com",
        trusted_proxies=("unix",),
    )
    found: list[Any] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        found.append(scope["client"])
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b""})

    async def send(message: Any) -> None: ...

    async def receive() -> Any: ...

    await auth.startup()
    forwarded = [(b"host", b"api.example.com"), (b"x-forwarded-for", b"203.0.113.9")]
    for headers in (forwarded, forwarded[:1]):
        scope = {"type": "http", "method": "GET", "path": "/", "headers": headers, "client": None}
        await auth.wrap(app)(scope, receive, send)
    await auth.shutdown()
    assert found == [("203.0.113.9", 0), None]
