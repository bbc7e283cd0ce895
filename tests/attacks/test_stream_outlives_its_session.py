"""An event stream, or a long download, that goes on when its session has ended: CWE-613. Whoever
opened it with a stolen token would read on, long after its owner has signed out everywhere.
"""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from typing import Any

import httpx2
import pytest
from fastapi import FastAPI
from fastapi.responses import StreamingResponse
from starlette.applications import Starlette
from starlette.middleware.base import BaseHTTPMiddleware
from starlette.requests import Request
from starlette.responses import FileResponse, PlainTextResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send

from authward import Authward, Principal
from authward.core.audit import Client
from authward.core.permissions import DEFAULT_ROLES
from authward.middleware.websocket import Disconnected
from authward.ports import Change
from authward.starlette import require
from authward.testing import TurnableClock, access_token, as_user
from tests.faces.serving import serving
from tests.middleware.listening import listening
from tests.serving import SECRET

Says = asyncio.Queue[str | None]
BODY = {"email": "ada@example.com", "password": "correct horse battery", "name": "Ada"}


class Made:
    """A stream that says what is put into `says`, until None."""

    def __init__(self, url: str, kind: Callable[["Made"], ASGIApp], **also: Any) -> None:
        self.auth = Authward(database_url=url, secret=SECRET, **also)
        self.says: Says = asyncio.Queue()
        self.app = kind(self)

    async def said(self) -> AsyncIterator[str]:
        while (text := await self.says.get()) is not None:
            yield text


def fastapi(made: Made) -> ASGIApp:
    app = FastAPI()
    made.auth.install(app)

    @app.get("/events", dependencies=[made.auth.require("read:events")])
    async def events() -> StreamingResponse:
        return StreamingResponse(made.said(), media_type="text/event-stream")

    return app


def buffering(made: Made) -> ASGIApp:
    """With middleware through which every answer streams."""
    app = fastapi(made)
    assert isinstance(app, FastAPI)

    async def through(request: Request, call_next: Any) -> Response:
        return await call_next(request)

    app.add_middleware(BaseHTTPMiddleware, dispatch=through)
    return app


def starlette(made: Made) -> ASGIApp:
    @require("read:events")
    async def events(request: Request) -> Response:
        return StreamingResponse(made.said())

    app = Starlette(routes=[Route("/events", events)])
    made.auth.install(app)
    return app


def bare(made: Made) -> ASGIApp:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        while (text := await made.says.get()) is not None:
            made.auth.principal(scope, permissions=["read:events"])
            await send({"type": "http.response.body", "body": text.encode(), "more_body": True})
        await send({"type": "http.response.body", "body": b""})

    return made.auth.wrap(app)


def deaf(made: Made) -> ASGIApp:
    """Asks once, and goes on whatever becomes of what it sends."""

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        made.auth.principal(scope, permissions=["read:events"])
        await send({"type": "http.response.start", "status": 200, "headers": []})
        while (text := await made.says.get()) is not None:
            with suppress(Disconnected):
                await send({"type": "http.response.body", "body": text.encode(), "more_body": True})
        with suppress(Disconnected):
            await send({"type": "http.response.body", "body": b"the last of it"})

    return made.auth.wrap(app)


KINDS = [fastapi, buffering, starlette, bare, deaf]


class Streaming:
    def __init__(self, made: Made, response: httpx2.Response, caller: Principal) -> None:
        self.made = made
        self.caller = caller
        self._chunks = response.aiter_bytes()

    async def hears(self, text: str) -> None:
        """What is said next arrives."""
        self.made.says.put_nowait(text)
        async with asyncio.timeout(60):
            assert await anext(self._chunks) == text.encode()

    async def is_cut(self) -> None:
        """What is said next does not, and the connection ends without an end of the answer."""
        self.made.says.put_nowait("secret")
        self.made.says.put_nowait(None)
        async with asyncio.timeout(60):
            with pytest.raises(httpx2.RemoteProtocolError):
                await anext(self._chunks)

    def tell(self, kind: Any, subject: str, ver: int = 0) -> None:
        """What another process has committed."""
        self.made.auth.services.feed.apply([Change(kind, subject, ver, None, 0)])


@asynccontextmanager
async def streaming(made: Made) -> AsyncIterator[Streaming]:
    async with serving(made.auth, made.app, host="localhost") as client:
        await client.get("/api/public-data")  # starts it
        with as_user(made.auth, permissions=["read:events"]) as caller:
            token = access_token(made.auth, caller)
        bearer = {"authorization": f"Bearer {token}"}
        async with client.stream("GET", "/events", headers=bearer) as response:
            assert response.status_code == 200
            yield Streaming(made, response, caller)
        for _ in range(1000):
            if not made.auth.services.feed.watching._all:
                break
            await asyncio.sleep(0.001)
        assert made.auth.services.feed.watching._all == {}


@pytest.mark.parametrize("kind", KINDS)
async def test_a_session_that_is_revoked(sqlite_url: str, kind: Any) -> None:
    async with streaming(Made(sqlite_url, kind)) as stream:
        await stream.hears("one")
        stream.tell("session.revoked", "somebody else's")
        stream.tell("user.revoked", "somebody else")
        await stream.hears("two")
        stream.tell("session.revoked", stream.caller.session_id)
        await stream.is_cut()


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("change", ["user.revoked", "user.superseded"])
async def test_an_account_that_is_disabled_or_demoted(
    sqlite_url: str, kind: Any, change: str
) -> None:
    async with streaming(Made(sqlite_url, kind)) as stream:
        await stream.hears("one")
        stream.tell(change, stream.caller.id, 2**60)
        await stream.is_cut()


@pytest.mark.parametrize("kind", [fastapi, bare])
async def test_before_the_first_of_it(sqlite_url: str, kind: Any) -> None:
    async with streaming(Made(sqlite_url, kind)) as stream:
        stream.tell("session.revoked", stream.caller.session_id)
        await stream.is_cut()


async def test_a_permission_that_a_role_loses(sqlite_url: str) -> None:
    """Direct grants stay; what roles grant is looked up anew."""

    def by_role(made: Made) -> ASGIApp:
        async def app(scope: Scope, receive: Receive, send: Send) -> None:
            made.auth.principal(scope)
            made.auth.principal(scope, permissions=["read:users"])
            await StreamingResponse(made.said())(scope, receive, send)

        return made.auth.wrap(app)

    made = Made(sqlite_url, by_role)
    async with serving(made.auth, made.app, host="localhost") as client:
        await client.get("/api/public-data")
        feed = made.auth.services.feed
        with as_user(made.auth, role="moderator") as caller:
            bearer = {"authorization": f"Bearer {made.auth._admission.stand_in()}"}  # type: ignore[misc]
        async with client.stream("GET", "/events", headers=bearer) as response:
            stream = Streaming(made, response, caller)
            await stream.hears("one")
            feed._set_roles({**DEFAULT_ROLES, "guest": DEFAULT_ROLES["user"]})
            await stream.hears("two")
            feed._set_roles({**DEFAULT_ROLES, "moderator": DEFAULT_ROLES["user"]})
            await stream.is_cut()


@pytest.mark.parametrize("kind", [fastapi, deaf])
async def test_a_token_that_expires_meanwhile(sqlite_url: str, kind: Any) -> None:
    """What began in time may end, as a download would never come through else. Its session may
    still be ended.
    """
    clock = TurnableClock()
    made = Made(sqlite_url, kind, clock=clock)
    async with streaming(made) as stream:
        await stream.hears("one")
        clock.turn(3600)
        await stream.hears("two")
        stream.tell("session.revoked", "somebody else's")
        made.auth.services.feed._set_roles({})
        await stream.hears("three")
        stream.tell("session.revoked", stream.caller.session_id)
        made.auth.services.feed.revocations.prune(2**60)  # forgotten by the time the app says more
        await stream.is_cut()


async def test_a_key_that_is_killed(sqlite_url: str) -> None:
    clock = TurnableClock()
    async with streaming(Made(sqlite_url, fastapi, clock=clock)) as stream:
        await stream.hears("one")
        keys = stream.made.auth.services.keys
        kid = keys.rings.access.signing.kid
        clock.turn(600)  # the next key is known everywhere
        await keys.rotate("access", Client("x"))
        assert keys.rings.access.signing.kid != kid
        await stream.hears("two")
        await keys.kill(kid, Client("x"))
        await stream.is_cut()


async def test_nobody_knows_any_more(sqlite_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    async with streaming(Made(sqlite_url, fastapi)) as stream:
        await stream.hears("one")
        feed = stream.made.auth.services.feed
        await feed.stop()
        feed.fresh_until = float("-inf")
        await stream.is_cut()


async def test_a_look_that_fails(sqlite_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    made = Made(sqlite_url, fastapi)
    async with streaming(made) as stream:
        await stream.hears("one")

        def broken(*_: Any) -> None:
            raise RuntimeError

        monkeypatch.setattr(made.auth._admission, "standing", broken)
        stream.tell("user.superseded", stream.caller.id, 1)
        await stream.is_cut()


@pytest.mark.parametrize("kind", KINDS)
async def test_one_that_comes_to_its_end(sqlite_url: str, kind: Any) -> None:
    async with streaming(Made(sqlite_url, kind)) as stream:
        await stream.hears("one")
        stream.made.says.put_nowait(None)
        async with asyncio.timeout(60):
            rest = b"".join([chunk async for chunk in stream._chunks])
        assert rest == (b"the last of it" if kind is deaf else b"")


async def test_what_is_for_anyone_goes_on(sqlite_url: str, tmp_path: Any) -> None:
    """Whatever token was sent along. An answer of one piece hears of nothing either."""
    said: Says = asyncio.Queue()
    auth = Authward(database_url=sqlite_url, secret=SECRET)

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["path"] == "/one":
            auth.principal(scope)
            return await PlainTextResponse("one")(scope, receive, send)

        async def texts() -> AsyncIterator[str]:
            while (text := await said.get()) is not None:
                yield text

        await StreamingResponse(texts())(scope, receive, send)

    async with serving(auth, auth.wrap(app), host="localhost") as client:
        await client.get("/api/public-data")
        with as_user(auth) as caller:
            bearer = {"authorization": f"Bearer {access_token(auth, caller)}"}
        assert (await client.get("/one", headers=bearer)).text == "one"
        async with client.stream("GET", "/", headers=bearer) as response:
            auth.services.feed.apply([Change("session.revoked", caller.session_id, 0, None, 0)])
            assert auth.services.feed.watching._all == {}
            said.put_nowait("still here")
            said.put_nowait(None)
            assert [chunk async for chunk in response.aiter_text()] == ["still here"]
        assert (await client.get("/one", headers=bearer)).status_code == 401


async def test_a_file(sqlite_url: str, tmp_path: Any) -> None:
    large = tmp_path / "large"
    large.write_bytes(bytes(64 * 1024 * 1024))
    auth = Authward(database_url=sqlite_url, secret=SECRET)

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        auth.principal(scope)
        await FileResponse(large)(scope, receive, send)

    async with serving(auth, auth.wrap(app), host="localhost") as client:
        await client.get("/api/public-data")
        with as_user(auth) as caller:
            bearer = {"authorization": f"Bearer {access_token(auth, caller)}"}
        async with client.stream("GET", "/", headers=bearer) as response:
            chunks = response.aiter_bytes()
            got = len(await anext(chunks))
            auth.services.feed.apply([Change("session.revoked", caller.session_id, 0, None, 0)])
            with suppress(httpx2.RemoteProtocolError):
                async for chunk in chunks:
                    got += len(chunk)
    assert got < 64 * 1024 * 1024


async def test_signing_out_everywhere(database_url: str) -> None:
    """From the outside, with nothing turned: the next event is not sent."""
    auth, app = Authward(database_url=database_url, secret=SECRET), FastAPI()
    auth.install(app, deny_by_default=True)
    says: Says = asyncio.Queue()

    async def texts() -> AsyncIterator[str]:
        while (text := await says.get()) is not None:
            yield text

    @app.get("/events", dependencies=[auth.authenticate])
    async def events() -> StreamingResponse:
        return StreamingResponse(texts(), media_type="text/event-stream")

    try:
        async with (
            listening(app) as port,
            httpx2.AsyncClient(base_url=f"http://localhost:{port}", timeout=60) as client,
        ):
            answer = await client.post("/api/auth/register", json=BODY)
            bearer = {"authorization": f"Bearer {answer.json()['data']['accessToken']}"}
            async with client.stream("GET", "/events", headers=bearer) as response:
                chunks = response.aiter_text()
                says.put_nowait("one")
                assert await anext(chunks) == "one"
                await client.post("/api/auth/logout-all", headers=bearer)
                says.put_nowait("secret")
                with pytest.raises(httpx2.RemoteProtocolError):
                    await anext(chunks)
    finally:
        await auth.shutdown()
