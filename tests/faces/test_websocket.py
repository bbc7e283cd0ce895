"""WebSockets: opened by a token in the subprotocols, and open for as long as it holds."""

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Annotated, Any

import pytest
from fastapi import FastAPI, WebSocket
from fastapi.testclient import TestClient
from starlette.types import Message, Receive, Scope, Send
from starlette.websockets import WebSocketDisconnect

from authward import Authward, ConfigurationError, Principal
from authward.core.audit import Client
from authward.core.cors import CorsPolicy
from authward.core.permissions import Role
from authward.errors import (
    Forbidden,
    InternalError,
    InvalidToken,
    MalformedRequest,
    Overloaded,
    Refusal,
    TokenExpired,
    TokenRevoked,
    Unavailable,
)
from authward.middleware import websocket
from authward.middleware.websocket import Disconnected, Socket, close_code
from authward.testing import TurnableClock, access_token, as_user

BEARER = "authward.bearer"


@pytest.fixture
def app(auth: Authward) -> FastAPI:
    """`/ws` echoes; what begins with `renew ` is a newer token."""
    app = FastAPI()
    auth.install(app)

    @app.websocket("/ws")
    async def ws(websocket: WebSocket, me: Annotated[Principal, auth.authenticate]) -> None:
        await websocket.accept()
        async for text in websocket.iter_text():
            if text.startswith("renew "):
                with suppress(Refusal):
                    auth.renew(websocket, text.removeprefix("renew "))
            await websocket.send_text(f"{auth.principal(websocket).role}: {text[:5]}")

    return app


@pytest.fixture
def client(app: FastAPI) -> Iterator[TestClient]:
    with TestClient(app) as client:
        yield client


@pytest.fixture
def registered(client: TestClient) -> dict[str, Any]:
    """A real account, signed in: its data, and headers to speak for it."""
    body = {"email": "ada@example.com", "password": "correct horse battery", "name": "Ada"}
    data: dict[str, Any] = client.post("/api/auth/register", json=body).json()["data"]
    data["headers"] = {"authorization": f"Bearer {data['accessToken']}"}
    return data


@contextmanager
def refused(code: int | None = None) -> Iterator[None]:
    with pytest.raises(WebSocketDisconnect) as closed:
        yield
    assert code in (None, closed.value.code)


class TestHandshake:
    def test_the_token_is_a_subprotocol(
        self, client: TestClient, registered: dict[str, Any]
    ) -> None:
        offered = [BEARER, registered["accessToken"]]
        with client.websocket_connect("/ws", subprotocols=offered) as socket:
            assert socket.accepted_subprotocol == BEARER
            socket.send_text("hello")
            assert socket.receive_text() == "user: hello"

    def test_anything_else_is_refused_before_it_is_accepted(
        self, client: TestClient, registered: dict[str, Any]
    ) -> None:
        token = registered["accessToken"]
        for offered in (
            [],
            [BEARER],
            [BEARER, "junk"],
            ["chat", token],
            [token, BEARER],
            [token],
            [BEARER, token, "chat"],
        ):
            with refused(), client.websocket_connect("/ws", subprotocols=offered):
                pass

    def test_no_other_place_counts(self, client: TestClient, registered: dict[str, Any]) -> None:
        """A token in a URL ends in logs; the cookie comes along with any page's connection."""
        assert "refreshToken" in client.cookies
        token = registered["accessToken"]
        with refused(), client.websocket_connect(f"/ws?token={token}"):
            pass
        with refused(), client.websocket_connect("/ws", headers=registered["headers"]):
            pass
        cookies = {"cookie": f"refreshToken={client.cookies['refreshToken']}"}
        with refused(), client.websocket_connect("/ws", headers=cookies):
            pass
        with (
            refused(),
            client.websocket_connect("/ws", subprotocols=[BEARER, client.cookies["refreshToken"]]),
        ):
            pass

    def test_origin(self, client: TestClient, registered: dict[str, Any]) -> None:
        offered = [BEARER, registered["accessToken"]]
        for origin in ("https://evil.example", "null"):
            foreign = {"origin": origin}
            with (
                refused(),
                client.websocket_connect("/ws", subprotocols=offered, headers=foreign),
            ):
                pass
        own = {"origin": "http://localhost"}
        with client.websocket_connect("/ws", subprotocols=offered, headers=own) as socket:
            assert socket.accepted_subprotocol == BEARER

    def test_the_token_is_never_echoed(
        self, auth: Authward, app: FastAPI, client: TestClient, registered: dict[str, Any]
    ) -> None:
        @app.websocket("/last")
        async def last(websocket: WebSocket) -> None:
            await websocket.accept(subprotocol=websocket.scope["subprotocols"][-1])

        for offered, chosen in [
            ([BEARER, registered["accessToken"]], BEARER),
            (["a", "b"], "b"),
            ([BEARER], BEARER),
            ([BEARER, "t", "graphql"], "graphql"),
        ]:
            with client.websocket_connect("/last", subprotocols=offered) as socket:
                assert socket.accepted_subprotocol == chosen

    def test_denials_are_audited(self, auth: Authward, app: FastAPI, client: TestClient) -> None:
        @app.websocket("/admin")
        async def admin(
            websocket: WebSocket, me: Annotated[Principal, auth.authorize("admin")]
        ) -> None: ...

        with as_user(auth) as caller, refused(), client.websocket_connect("/admin"):
            pass
        portal = client.portal
        assert portal is not None
        portal.call(auth.services.refusals.flush)
        row = portal.call(auth.services.store.audit.latest, 1)[0]
        assert (row.event.kind, row.event.subject) == ("access.denied", caller.id)


class TestOpen:
    """What was let in is closed once it would no longer be: 4401, within half a second."""

    def test_expiry(
        self, client: TestClient, clock: TurnableClock, registered: dict[str, Any]
    ) -> None:
        offered = [BEARER, registered["accessToken"]]
        with client.websocket_connect("/ws", subprotocols=offered) as socket:
            clock.turn(901)
            with pytest.raises(WebSocketDisconnect) as closed:
                socket.receive_text()
            assert (closed.value.code, closed.value.reason) == (4401, "token_expired")

    def test_revocation(self, client: TestClient, registered: dict[str, Any]) -> None:
        offered = [BEARER, registered["accessToken"]]
        with client.websocket_connect("/ws", subprotocols=offered) as socket:
            client.post("/api/auth/logout-all", headers=registered["headers"])
            with pytest.raises(WebSocketDisconnect) as closed:
                socket.receive_text()
            assert (closed.value.code, closed.value.reason) == (4401, "token_revoked")

    def test_superseded_unless_renewed(
        self, auth: Authward, client: TestClient, registered: dict[str, Any]
    ) -> None:
        offered = [BEARER, registered["accessToken"]]
        portal = client.portal
        assert portal is not None
        user_id = registered["user"]["id"]

        with client.websocket_connect("/ws", subprotocols=offered) as socket:
            portal.call(auth.services.users.set_role, None, user_id, "moderator", Client())
            with refused(4401):
                socket.receive_text()
        newer = self.refreshed(client)
        with client.websocket_connect("/ws", subprotocols=[BEARER, newer]) as socket:
            socket.send_text("hello")
            assert socket.receive_text() == "moderator: hello"

    def refreshed(self, client: TestClient) -> str:
        answer = client.post("/api/auth/refresh-token", headers={"origin": "http://localhost"})
        token: str = answer.json()["data"]["accessToken"]
        return token

    def test_a_newer_token_keeps_it_open(
        self, client: TestClient, clock: TurnableClock, registered: dict[str, Any]
    ) -> None:
        offered = [BEARER, registered["accessToken"]]
        with client.websocket_connect("/ws", subprotocols=offered) as socket:
            clock.turn(600)
            socket.send_text(f"renew {self.refreshed(client)}")
            assert socket.receive_text() == "user: renew"
            clock.turn(600)  # the first is over by now
            socket.send_text("hello")
            assert socket.receive_text() == "user: hello"
            clock.turn(600)
            with refused(4401):
                socket.receive_text()

    def test_no_other_token_does(
        self, auth: Authward, client: TestClient, clock: TurnableClock, registered: dict[str, Any]
    ) -> None:
        with as_user(auth) as other:
            foreign = access_token(auth, other)
        offered = [BEARER, registered["accessToken"]]
        with client.websocket_connect("/ws", subprotocols=offered) as socket:
            clock.turn(600)
            for token in (foreign, "junk", client.cookies["refreshToken"]):
                socket.send_text(f"renew {token}")
                assert socket.receive_text() == "user: renew"
            clock.turn(600)
            with refused(4401):
                socket.receive_text()

    def test_renew_asks_what_the_guards_asked(
        self, auth: Authward, app: FastAPI, client: TestClient
    ) -> None:
        outcome: list[object] = []

        @app.websocket("/audit")
        async def audit(
            websocket: WebSocket, me: Annotated[Principal, auth.require("read:audit")]
        ) -> None:
            await websocket.accept()
            for _ in range(2):
                try:
                    outcome.append(auth.renew(websocket, await websocket.receive_text()).role)
                except Refusal as refusal:
                    outcome.append(refusal.code)
            await websocket.close()

        with as_user(auth, permissions=["read:audit"]) as me:
            poorer = Principal(me.id, me.email, me.role, frozenset(), me.session_id)
            with client.websocket_connect("/audit") as socket:
                socket.send_text(access_token(auth, poorer))
                socket.send_text(access_token(auth, me))
                with refused(1000):
                    socket.receive_text()
        assert outcome == ["forbidden", "user"]

    def test_a_permission_withdrawn(self, auth: Authward, app: FastAPI, client: TestClient) -> None:
        @app.websocket("/audit")
        async def audit(
            websocket: WebSocket, me: Annotated[Principal, auth.require("read:audit")]
        ) -> None:
            await websocket.accept()
            await websocket.receive_text()

        with as_user(auth, role="admin"), client.websocket_connect("/audit") as socket:
            services = auth.services
            services.feed.roles = {**services.feed.roles, "admin": Role()}
            services.feed.roles_version += 1
            with refused(4403):
                socket.receive_text()

    def test_an_app_that_only_sends(
        self, auth: Authward, app: FastAPI, client: TestClient, clock: TurnableClock
    ) -> None:
        ended: list[str] = []

        @app.websocket("/ticks")
        async def ticks(websocket: WebSocket, me: Annotated[Principal, auth.authenticate]) -> None:
            await websocket.accept()
            try:
                while True:
                    await websocket.send_text("tick")
                    await asyncio.sleep(0.05)
            finally:
                ended.append("yes")

        with as_user(auth), client.websocket_connect("/ticks") as socket:
            assert socket.receive_text() == "tick"
            clock.turn(901)
            with refused(4401):
                while True:
                    socket.receive_text()
        assert ended == ["yes"]

    def test_a_refusal_after_it_was_accepted(
        self, auth: Authward, app: FastAPI, client: TestClient
    ) -> None:
        @app.websocket("/late")
        async def late(websocket: WebSocket) -> None:
            await websocket.accept()
            auth.principal(websocket)

        with client.websocket_connect("/late") as socket, refused(4401):
            socket.receive_text()
        with as_user(auth), client.websocket_connect("/late") as socket:
            socket.send_text("hello")

    def test_renew_needs_a_guarded_socket(self, auth: Authward) -> None:
        for scope in ({"type": "http", "headers": []}, {"type": "websocket", "headers": []}):
            with pytest.raises(ConfigurationError, match="renew"):
                auth.renew(scope, "token")


def test_on_a_bare_app(auth: Authward, clock: TurnableClock) -> None:
    seen: list[str] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "websocket":
            raise RuntimeError
        seen.append(auth.principal(scope).id)
        assert (await receive())["type"] == "websocket.connect"
        await send({"type": "websocket.accept"})
        message = await receive()
        seen.append(f"{message['type']} {message['code']}")

    client = TestClient(auth.wrap(app))
    with refused(), client.websocket_connect("/"):
        pass
    with as_user(auth) as caller, client.websocket_connect("/") as socket:
        clock.turn(901)
        with refused(4401):
            socket.receive_text()
    assert seen == [caller.id, "websocket.disconnect 4401"]


@pytest.mark.parametrize(
    ("refusal", "code"),
    [
        (TokenExpired(), 4401),
        (TokenRevoked(), 4401),
        (Forbidden(), 4403),
        (Unavailable(), 1013),
        (Overloaded(), 1013),
        (InternalError(), 1011),
        (MalformedRequest(), 1008),
    ],
)
def test_close_codes(refusal: Refusal, code: int) -> None:
    assert close_code(refusal) == code


class Wire:
    """The server's side of a connection, by hand."""

    def __init__(self, *offered: str) -> None:
        self.sent: list[Message] = []
        self.inbox: asyncio.Queue[Message] = asyncio.Queue()
        self.gone = False
        self.socket = Socket(self.receive, self.send, offered)
        self.holds: float | Exception = 60

    async def receive(self) -> Message:
        return await self.inbox.get()

    async def send(self, message: Message) -> None:
        if self.gone:
            raise OSError("gone")
        self.sent.append(message)

    def check(self) -> float:
        if isinstance(self.holds, Exception):
            raise self.holds
        return self.holds

    async def run(self, app: Callable[[Receive, Send], Awaitable[None]]) -> None:
        async def asgi(scope: Scope, receive: Receive, send: Send) -> None:
            self.socket.watch(self.check)
            await app(receive, send)

        await self.socket.run(asgi, {"type": "websocket"})


ACCEPT = {"type": "websocket.accept"}
CLOSE = {"type": "websocket.close", "code": 1000}


class TestSocket:
    async def test_a_token_that_died_before_the_socket_was_accepted(self) -> None:
        wire = Wire()
        wire.holds = TokenExpired()

        async def app(receive: Receive, send: Send) -> None:
            await send(ACCEPT)
            pytest.fail("accepted")

        await wire.run(app)
        assert [(one["type"], one["code"]) for one in wire.sent] == [("websocket.close", 4401)]

    async def test_it_is_woken_by_news(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(websocket, "CHECK_EVERY", 3600)
        wire = Wire()
        wire.socket.wake()  # nobody is asked before it is accepted

        async def app(receive: Receive, send: Send) -> None:
            await send(ACCEPT)
            waiting = asyncio.ensure_future(receive())
            wire.socket.wake()
            await asyncio.sleep(0)
            assert not waiting.done()
            wire.holds = TokenRevoked()
            wire.socket.wake()
            wire.socket.wake()
            assert (await waiting)["code"] == 4401
            wire.socket.wake()

        async with asyncio.timeout(60):
            await wire.run(app)
        assert [one["type"] for one in wire.sent] == ["websocket.accept", "websocket.close"]

    async def test_a_message_is_not_lost_when_the_app_gives_up_waiting(self) -> None:
        wire = Wire()

        async def app(receive: Receive, send: Send) -> None:
            await send(ACCEPT)
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(receive(), 0.01)
            wire.inbox.put_nowait({"type": "websocket.receive", "text": "late"})
            assert (await receive())["text"] == "late"
            await send(CLOSE)

        await wire.run(app)
        assert [one["type"] for one in wire.sent] == ["websocket.accept", "websocket.close"]

    async def test_what_comes_after_the_end(self) -> None:
        wire = Wire()

        async def app(receive: Receive, send: Send) -> None:
            await send(ACCEPT)
            wire.holds = 0
            self.refuse(wire)
            gone = {"type": "websocket.disconnect", "code": 4401, "reason": ""}
            assert await receive() == gone
            wire.holds = 60  # too late
            wire.socket.watch(wire.check)
            assert await receive() == gone
            await send(CLOSE)
            with pytest.raises(Disconnected):
                await send({"type": "websocket.send", "text": "x"})
            raise WebSocketDisconnect(1006)

        await wire.run(app)
        assert [one.get("code") for one in wire.sent] == [None, 4401]

    def refuse(self, wire: Wire) -> None:
        wire.holds = InvalidToken()
        wire.socket.watch(wire.check)

    async def test_the_client_goes_first(self) -> None:
        wire = Wire()

        async def app(receive: Receive, send: Send) -> None:
            await send(ACCEPT)
            wire.inbox.put_nowait({"type": "websocket.disconnect", "code": 1001})
            assert (await receive())["code"] == 1001
            self.refuse(wire)
            raise WebSocketDisconnect(1001)

        with pytest.raises(WebSocketDisconnect):
            await wire.run(app)
        assert wire.sent == [{**ACCEPT, "subprotocol": None}]

    async def test_the_client_vanishes(self) -> None:
        wire = Wire()

        async def app(receive: Receive, send: Send) -> None:
            await send(ACCEPT)
            wire.gone = True
            self.refuse(wire)
            assert (await receive())["code"] == 4401

        await wire.run(app)

    async def test_a_check_that_breaks_closes_the_socket(
        self, caplog: pytest.LogCaptureFixture
    ) -> None:
        wire = Wire()

        async def app(receive: Receive, send: Send) -> None:
            await send(ACCEPT)
            wire.holds = ValueError("broken")
            wire.socket.watch(wire.check)
            assert (await receive())["code"] == 1011

        await wire.run(app)
        assert "broken" in caplog.text

    async def test_a_refusal_when_all_is_over(self) -> None:
        wire = Wire()

        async def app(receive: Receive, send: Send) -> None:
            await send(ACCEPT)
            await send(CLOSE)
            raise TokenExpired

        await wire.run(app)
        assert wire.sent[-1] == CLOSE


def test_an_origin_that_comes_without_cookies_opens_no_socket_and_uses_no_cookie(
    tmp_path: Path,
) -> None:
    """A partner that may read answers is not one that may act with a user's cookies (CSWSH)."""
    partner = "https://partner.example"

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        while scope["type"] == "lifespan":
            kind = (await receive())["type"]
            await send({"type": f"{kind}.complete"})
            if kind == "lifespan.shutdown":
                return
        await receive()
        await send({"type": "websocket.accept"})
        await send({"type": "websocket.close", "code": 1000})

    for credentials in (True, False):
        policy = CorsPolicy([partner], credentials=credentials)
        auth = Authward(database_url=f"sqlite:///{tmp_path}/{credentials}.db", cors=policy)
        with TestClient(auth.wrap(app), base_url="http://localhost") as client:
            answer = client.post(
                "/api/auth/register",
                json={"email": "a@example.com", "password": "long walks by", "name": "A"},
            )
            assert answer.status_code == 201
            refreshed = client.post("/api/auth/refresh-token", headers={"origin": partner})
            assert (refreshed.status_code == 200) is credentials
            if credentials:
                with client.websocket_connect("/x", headers={"origin": partner}):
                    pass
            else:
                with (
                    pytest.raises(WebSocketDisconnect),
                    client.websocket_connect("/x", headers={"origin": partner}),
                ):
                    pass
