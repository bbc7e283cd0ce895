"""A head with a good token, and its body after the session has ended: CWE-367 (time of check, time
of use). Whoever holds a stolen token would keep a request open, and use it when its owner has long
signed out everywhere.
"""

import asyncio
import json
from typing import Annotated, Any
from urllib.parse import urlsplit

import pytest
from fastapi import FastAPI
from pydantic import BaseModel

from authward import Authward, Principal
from authward.testing import access_token, as_user
from tests.faces.serving import serving as serving_app
from tests.here import OPERATOR, Here
from tests.serving import SECRET


class Slow:
    """A request whose body is sent when the time has come."""

    def __init__(self, url: str, method: str, path: str, token: str, body: object) -> None:
        self._address = urlsplit(url)
        self._body = json.dumps(body).encode()
        self._head = (
            f"{method} {path} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {token}\r\n"
            f"Content-Type: application/json\r\nContent-Length: {len(self._body)}\r\n"
            "Connection: close\r\n\r\n"
        ).encode()

    async def begin(self) -> None:
        address = self._address
        self._reader, self._writer = await asyncio.open_connection(address.hostname, address.port)
        self._writer.write(self._head + self._body[:1])
        await self._writer.drain()

    async def end(self) -> tuple[int, dict[str, Any]]:
        """Status and body of the answer."""
        self._writer.write(self._body[1:])
        answer = await self._reader.read()
        self._writer.close()
        head, _, body = answer.partition(b"\r\n\r\n")
        return int(head.split()[1]), json.loads(body)


@pytest.mark.parametrize("how", ["logout-all", "demoted"])
async def test_our_own_routes(here: Here, how: str) -> None:
    thief, victim = await here.register(role="admin"), await here.register()
    await here.register(role="admin")
    path = f"/api/users/{victim.id}/role"
    slow = Slow(here.url, "PUT", path, thief.access, {"role": "moderator"})
    await slow.begin()
    await here.profile(victim)  # by now the head has been read
    if how == "logout-all":
        answer = await here.send("POST", "/api/auth/logout-all", headers=thief.bearer)
        assert answer.status_code == 200
    else:
        await here.services.users.set_role(None, thief.id, "user", OPERATOR)
    status, told = await slow.end()
    expected = "token_revoked" if how == "logout-all" else "token_expired"
    assert (status, told["error"]) == (401, expected)
    assert (await here.services.users.get(victim.id)).role == "user"


class Report(BaseModel):
    text: str


async def test_the_routes_of_an_app(sqlite_url: str) -> None:
    auth, app = Authward(database_url=sqlite_url, secret=SECRET), FastAPI()
    auth.install(app)
    kept: list[str] = []

    @app.post("/reports")
    async def report(body: Report, me: Annotated[Principal, auth.authenticate]) -> None:
        kept.append(f"{me.id} {body.text}")

    async with serving_app(auth, app, host="localhost") as client:
        await client.get("/api/public-data")  # starts it
        with as_user(auth) as caller:
            token = access_token(auth, caller)
        for revoked in (False, True):
            slow = Slow(str(client.base_url), "POST", "/reports", token, {"text": "x"})
            await slow.begin()
            await client.get("/api/public-data")
            if revoked:
                feed = auth.services.feed
                feed.revocations.revoke_session(caller.session_id, 1)
                feed.version += 1
            status, _ = await slow.end()
            assert status == (401 if revoked else 200)
    assert kept == [f"{caller.id} x"]
