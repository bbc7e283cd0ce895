"""A head with a good token, and its body after the session has ended: CWE-367 (time of check, time
of use). Whoever holds a stolen token would keep a request open, and use it when its owner has long
signed out everywhere.
"""

import asyncio
import json
from contextlib import suppress
from typing import Annotated, Any
from urllib.parse import urlsplit

import httpx2
import pytest
from fastapi import APIRouter, FastAPI, Request
from pydantic import BaseModel
from starlette.applications import Starlette
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send

from authward import Authward, Principal
from authward.starlette import authenticate, require
from authward.testing import access_token, as_user
from tests.faces.serving import serving as serving_app
from tests.here import OPERATOR, Here
from tests.serving import SECRET


class Slow:
    """A request whose body is sent when the time has come."""

    def __init__(
        self,
        url: str,
        method: str,
        path: str,
        token: str,
        body: object,
        kind: str = "application/json",
        *,
        chunked: bool = False,
    ) -> None:
        self._address = urlsplit(url)
        self._body = json.dumps(body).encode()
        length = f"Content-Length: {len(self._body)}"
        if chunked:
            self._body = b"1\r\n%b\r\n%x\r\n%b\r\n0\r\n\r\n" % (
                self._body[:1],
                len(self._body) - 1,
                self._body[1:],
            )
            length = "Transfer-Encoding: chunked"
        self._head = (
            f"{method} {path} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {token}\r\n"
            f"Content-Type: {kind}\r\n{length}\r\nConnection: close\r\n\r\n"
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


class ReadsItself:
    """Apps whose endpoints are guarded, and read the body themselves."""

    def __init__(self, url: str, kind: str) -> None:
        self.auth = Authward(database_url=url, secret=SECRET)
        self.kept: list[bytes] = []
        self.app: ASGIApp = getattr(self, kind)()

    def fastapi(self) -> ASGIApp:
        app, auth = FastAPI(), self.auth
        auth.install(app)
        plain = APIRouter()

        async def whole(request: Request) -> None:
            self.kept.append(await request.body())

        async def swallowing(request: Request) -> None:
            """What is raised means nothing to it."""
            with suppress(Exception):
                self.kept.append(await request.body())

        async def parts(request: Request) -> None:
            self.kept.append(b"".join([part async for part in request.stream()]))

        async def late(request: Request, me: Annotated[Principal, auth.authenticate]) -> None:
            self.kept.append(await request.body())

        guards = [auth.authenticate, auth.require("read:users")]
        for router, prefix in ((app, "/ours"), (plain, "/plain")):
            for name, endpoint in (("whole", whole), ("parts", parts), ("swallows", swallowing)):
                path = f"{prefix}/{name}"
                router.add_api_route(path, endpoint, methods=["POST"], dependencies=guards)
            router.add_api_route(f"{prefix}/late", late, methods=["POST"])
        app.include_router(plain)
        return app

    def starlette(self) -> ASGIApp:
        @require("read:users")
        async def whole(request: Request) -> Response:
            self.kept.append(await request.body())
            return JSONResponse(None)

        @authenticate
        async def parts(request: Request) -> Response:
            self.kept.append(b"".join([part async for part in request.stream()]))
            return JSONResponse(None)

        app = Starlette(
            routes=[Route(f"/{one.__name__}", one, methods=["POST"]) for one in (whole, parts)]
        )
        self.auth.install(app)
        return app

    def bare(self) -> ASGIApp:
        async def app(scope: Scope, receive: Receive, send: Send) -> None:
            self.auth.principal(scope, roles=["moderator"])
            got, more = b"", True
            while more:
                message = await receive()
                got += message["body"]
                more = message["more_body"]
            self.kept.append(got)
            await JSONResponse(None)(scope, receive, send)

        return self.auth.wrap(app)


PATHS = [f"/{a}/{b}" for a in ("ours", "plain") for b in ("whole", "parts", "swallows", "late")]
READING = [
    *(f"fastapi {path}" for path in PATHS),
    *("starlette /whole", "starlette /parts", "bare /"),
]


async def signed_out(client: httpx2.AsyncClient, made: ReadsItself, token: str) -> str:
    bearer = {"authorization": f"Bearer {token}"}
    assert (await client.post("/api/auth/logout-all", headers=bearer)).status_code == 200
    return "token_revoked"


async def demoted(client: httpx2.AsyncClient, made: ReadsItself, token: str) -> str:
    id = made.auth.services.tokens.whose(token).sub
    await made.auth.services.users.set_role(None, id, "user", OPERATOR)
    return "token_expired"


@pytest.mark.parametrize("chunked", [False, True])
@pytest.mark.parametrize("how", [signed_out, demoted])
@pytest.mark.parametrize("reading", READING)
async def test_endpoints_that_read_it_themselves(
    sqlite_url: str, reading: str, how: Any, chunked: bool
) -> None:
    kind, path = reading.split()
    made = ReadsItself(sqlite_url, kind)
    async with serving_app(made.auth, made.app, host="localhost") as client:
        body = {"email": "ada@example.com", "password": "correct horse battery", "name": "Ada"}
        answer = await client.post("/api/auth/register", json=body)
        id = answer.json()["data"]["user"]["id"]
        await made.auth.services.users.set_role(None, id, "moderator", OPERATOR)
        answer = await client.post("/api/auth/login", json=body)
        token = answer.json()["data"]["accessToken"]
        for over in (False, True):
            url = str(client.base_url)
            slow = Slow(url, "POST", path, token, "x", "text/plain", chunked=chunked)
            await slow.begin()
            await client.get("/api/public-data")
            error = await how(client, made, token) if over else None
            status, told = await slow.end()
            assert (status, told and told["error"]) == ((401, error) if over else (200, None))
    assert made.kept == [b'"x"']
