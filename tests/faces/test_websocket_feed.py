"""A WebSocket whose session another process ends is closed on the wire within a second."""

import asyncio
import time
from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import httpx2
import pytest
from fastapi import FastAPI, WebSocket
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed

from authward import Authward, Principal
from authward.core.audit import Client, Event
from authward.core.users import UserChange
from authward.stores.sql import SqlStore
from authward.testing import TurnableClock
from tests.middleware.listening import listening

BODY = {"email": "ada@example.com", "password": "correct horse battery", "name": "Ada"}


async def revoke(store: SqlStore, user: str, session: str) -> None:
    assert await store.sessions.revoke(session, Event("session.revoked", Client("x"), subject=user))


async def demote(store: SqlStore, user: str, session: str) -> None:
    event = Event("user.role_set", Client("x"), subject=user)
    change = UserChange({"role": "moderator"}, supersede=True)
    assert await store.users.change(user, lambda user: change, event)


@pytest.mark.parametrize(("how", "reason"), [(revoke, "token_revoked"), (demote, "token_expired")])
async def test_closed_within_a_second(
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
                    async with asyncio.timeout(10):
                        await socket.recv()
                took = time.monotonic() - began
    finally:
        await store.close()
        await auth.shutdown()
    assert closed.value.rcvd is not None
    assert (closed.value.rcvd.code, closed.value.rcvd.reason) == (4401, reason)
    assert took < 1
