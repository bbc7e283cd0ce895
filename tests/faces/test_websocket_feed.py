"""A WebSocket whose session another process ends is closed as soon as that is known here."""

import asyncio
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import httpx2
import pytest
from fastapi import FastAPI, WebSocket
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed
from websockets.typing import Subprotocol

from authward import Authward, Principal
from authward.core.audit import Client, Event
from authward.core.keys import MasterSecret
from authward.core.rotation import Lives
from authward.core.users import UserChange
from authward.middleware import websocket
from authward.services.keys import KeyPolicy, Keys
from authward.services.rings import Seals
from authward.stores.sql import SqlStore
from authward.testing import TurnableClock
from tests.contracts.making import AUDIT_KEYS
from tests.fleets import SEEN_S
from tests.middleware.listening import listening
from tests.serving import SECRET

BODY = {"email": "ada@example.com", "password": "correct horse battery", "name": "Ada"}


async def revoke(store: SqlStore, user: str, session: str) -> None:
    assert await store.sessions.revoke(session, Event("session.revoked", Client("x"), subject=user))


async def demote(store: SqlStore, user: str, session: str) -> None:
    event = Event("user.role_set", Client("x"), subject=user)
    change = UserChange({"role": "moderator"}, supersede=True)
    assert await store.users.change(user, lambda user: change, event)


async def kill(store: SqlStore, user: str, session: str) -> None:
    """The key that signed the token."""
    policy = KeyPolicy("HS256", Lives.of(notice=0, access=1, refresh=1, session=1), 1, 1)
    keys = Keys(store, Seals(MasterSecret(SECRET), os.urandom), policy, TurnableClock(), os.urandom)
    [kid] = [
        key.kid for key in await store.keys.all() if (key.ring, key.state) == ("access", "signing")
    ]
    await keys.kill(kid, Client("x"))


WAYS = [(revoke, "token_revoked"), (demote, "token_expired"), (kill, "invalid_token")]


@pytest.mark.parametrize(("how", "reason"), WAYS[:2])
async def test_closed_soon(
    make_auth: Callable[..., Authward], tmp_path: Path, how: Callable, reason: str
) -> None:
    database = f"sqlite:///{tmp_path}/test.db"
    auth = make_auth(database_url=database)
    app = FastAPI()
    auth.install(app)
    entered: list[Principal] = []

    @app.websocket("/ws")
    async def ws(websocket: WebSocket, me: Annotated[Principal, auth.authenticate]) -> None:
        entered.append(me)
        await websocket.accept()
        await websocket.receive_text()

    store = SqlStore(database, TurnableClock())  # the connections of another process
    store.audit.use(AUDIT_KEYS)
    try:
        async with listening(app) as port:
            async with httpx2.AsyncClient(base_url=f"http://localhost:{port}") as client:
                answer = await client.post("/api/auth/register", json=BODY)
                token = answer.json()["data"]["accessToken"]
            offered = ["authward.bearer", token]
            address = f"ws://localhost:{port}/ws"
            async with connect(address, subprotocols=offered, proxy=None) as socket:
                [me] = entered
                began = time.monotonic()
                await how(store, me.id, me.session_id)
                with pytest.raises(ConnectionClosed) as closed:
                    async with asyncio.timeout(60):
                        await socket.recv()
                took = time.monotonic() - began
    finally:
        await store.close()
        await auth.shutdown()
    assert closed.value.rcvd is not None
    assert (closed.value.rcvd.code, closed.value.rcvd.reason) == (4401, reason)
    assert took < SEEN_S


async def signed_up(port: int, email: str) -> list[Subprotocol]:
    """The subprotocols that a new account offers."""
    async with httpx2.AsyncClient(base_url=f"http://localhost:{port}") as client:
        answer = await client.post("/api/auth/register", json={**BODY, "email": email})
    token = answer.json()["data"]["accessToken"]
    return [Subprotocol("authward.bearer"), Subprotocol(token)]


@pytest.mark.parametrize(("how", "reason"), WAYS)
async def test_the_feed_wakes_the_socket_it_concerns(
    database_url: str,
    monkeypatch: pytest.MonkeyPatch,
    how: Callable,
    reason: str,
) -> None:
    """No socket looks by itself here: what closes one is the news, pushed where that can be."""
    monkeypatch.setattr(websocket, "CHECK_EVERY", 3600)
    auth = Authward(database_url=database_url, secret=SECRET)
    app = FastAPI()
    auth.install(app)
    entered: list[Principal] = []

    @app.websocket("/ws")
    async def ws(websocket: WebSocket, me: Annotated[Principal, auth.authenticate]) -> None:
        entered.append(me)
        await websocket.accept()
        async for text in websocket.iter_text():
            await websocket.send_text(text)

    store = SqlStore(database_url, TurnableClock())  # the connections of another process
    store.audit.use(AUDIT_KEYS)
    try:
        async with listening(app) as port:
            address = f"ws://localhost:{port}/ws"
            ada, eve = [await signed_up(port, f"{name}@example.com") for name in ("ada", "eve")]
            async with (
                connect(address, subprotocols=ada, proxy=None) as closes,
                connect(address, subprotocols=eve, proxy=None) as stays,
            ):
                me = entered[0]
                await how(store, me.id, me.session_id)
                with pytest.raises(ConnectionClosed) as closed:
                    async with asyncio.timeout(60):
                        await closes.recv()
                if how is not kill:  # whose key is everybody's
                    await stays.send("still here")
                    assert await stays.recv() == "still here"
            watching = auth.services.feed.watching
            async with asyncio.timeout(60):
                while watching._all:  # noqa: ASYNC110 - the endpoint hears of the end a little later
                    await asyncio.sleep(0.005)
            assert not watching._by_id
    finally:
        await store.close()
        await auth.shutdown()
    assert closed.value.rcvd is not None
    assert (closed.value.rcvd.code, closed.value.rcvd.reason) == (4401, reason)


async def test_a_role_that_lost_a_permission_closes_who_needs_it(
    make_auth: Callable[..., Authward], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(websocket, "CHECK_EVERY", 3600)
    auth = make_auth()
    app = FastAPI()
    auth.install(app)
    operator = Client("operator")

    @app.websocket("/ws", dependencies=[auth.require("read:news")])
    async def ws(websocket: WebSocket) -> None:
        await websocket.accept()
        await websocket.receive_text()

    try:
        async with listening(app) as port:
            offered = await signed_up(port, "ada@example.com")
            await auth.services.roles.put(None, "user", ["read:news"], [], operator)
            address = f"ws://localhost:{port}/ws"
            async with connect(address, subprotocols=offered, proxy=None) as socket:
                await auth.services.roles.put(None, "user", [], [], operator)
                with pytest.raises(ConnectionClosed) as closed:
                    async with asyncio.timeout(60):
                        await socket.recv()
    finally:
        await auth.shutdown()
    assert closed.value.rcvd is not None
    assert (closed.value.rcvd.code, closed.value.rcvd.reason) == (4403, "forbidden")
