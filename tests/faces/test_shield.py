"""All protections together: every answer carries the complete header set, whoever made it."""

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any

import httpx2
import pytest
from fastapi import FastAPI, WebSocket
from pydantic import BaseModel
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response, StreamingResponse
from starlette.routing import Mount, Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from authward import Authward
from authward.errors import Unavailable
from authward.services.throttling import Throttling
from tests.cheap import make_hashing_cheap
from tests.faces.serving import EVIL, PAGE, complete, serving
from tests.middleware.driving import http_scope

Make = Callable[..., Authward]

ANYTHING_BUT_FEW = {"docs": True, "rate_limit": "1000/15m", "auth_rate_limit": "off"}


@pytest.fixture(autouse=True)
def cheap(monkeypatch: pytest.MonkeyPatch) -> None:
    make_hashing_cheap(monkeypatch)


@pytest.fixture
async def server(in_production: Make) -> AsyncIterator[httpx2.AsyncClient]:
    auth = in_production(**ANYTHING_BUT_FEW)
    async with serving(auth, auth.asgi()) as client:
        yield client


JSON = {"content-type": "application/json"}
OWN_ANSWERS: dict[str, tuple[int, str, str, dict[str, Any]]] = {
    "200": (200, "GET", "/api/public-data", {}),
    "200, of an allowed origin": (200, "GET", "/api/public-data", {"headers": {"origin": PAGE}}),
    "200, no limit counts": (200, "GET", "/healthz", {}),
    "200, HEAD": (200, "HEAD", "/api/public-data", {}),
    "204": (
        204,
        "OPTIONS",
        "/api/profile",
        {"headers": {"origin": PAGE, "access-control-request-method": "PATCH"}},
    ),
    "204, of a foreign origin": (
        204,
        "OPTIONS",
        "/api/profile",
        {"headers": {"origin": EVIL, "access-control-request-method": "PATCH"}},
    ),
    "400, Host": (400, "GET", "/api/public-data", {"headers": {"host": "evil.example"}}),
    "400, JSON": (400, "POST", "/api/auth/login", {"content": b"{", "headers": JSON}),
    "400, depth": (
        400,
        "POST",
        "/api/auth/login",
        {"content": b"[" * 100 + b"]" * 100, "headers": JSON},
    ),
    "401": (401, "GET", "/api/profile", {}),
    "403": (403, "POST", "/api/auth/login", {"headers": {"origin": EVIL}, "json": {}}),
    "404": (404, "GET", "/nowhere", {}),
    "405": (405, "DELETE", "/api/auth/login", {}),
    "413": (413, "POST", "/api/auth/login", {"content": b" " * 1_048_577, "headers": JSON}),
    "415": (415, "POST", "/api/auth/login", {"content": b"{}"}),
    "422": (422, "POST", "/api/auth/login", {"json": {"email": 1}}),
}


async def test_answers_of_our_own(server: httpx2.AsyncClient) -> None:
    for case, (status, method, path, request) in OWN_ANSWERS.items():
        complete(await server.request(method, path, **request), status, case)


async def test_304(server: httpx2.AsyncClient) -> None:
    first = await server.get("/authward.js")
    complete(first, 200, cross_origin_resource_policy="cross-origin")
    again = await server.get("/authward.js", headers={"if-none-match": first.headers["etag"]})
    complete(again, 304, cross_origin_resource_policy="cross-origin")


async def test_429_of_either_limit(in_production: Make) -> None:
    auth = in_production(rate_limit="3/15m", auth_rate_limit="1/15m")
    login = {"email": "ada@example.com", "password": "correct horse battery"}
    async with serving(auth, auth.asgi()) as client:
        for status in (401, 429):
            complete(await client.post("/api/auth/login", json=login), status)
        for status in (200, 429):
            complete(await client.get("/api/public-data", headers={"origin": PAGE}), status)


async def test_503(in_production: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    async def away(*given: object) -> None:
        raise Unavailable("the database is away")

    monkeypatch.setattr(Throttling, "take", away)
    auth = in_production()
    async with serving(auth, auth.asgi()) as client:
        complete(await client.post("/api/auth/login", json={}), 503)


# --- what a framework answers -------------------------------------------------------------


class Thing(BaseModel):
    name: str


class Raising:
    """A middleware of the app that fails before, or after, the app."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and scope["path"] == "/broken-middleware":
            raise RuntimeError("a secret of the app")
        await self._app(scope, receive, send)


async def slowly() -> AsyncIterator[bytes]:
    yield b"one "
    yield b"two"


async def streaming(request: Request) -> Response:
    return StreamingResponse(slowly(), media_type="text/plain")


async def broken(request: Request) -> Response:
    raise RuntimeError("a secret of the app")


async def echo(request: Request) -> Response:
    return JSONResponse(await request.json())


async def not_modified(request: Request) -> Response:
    return Response(status_code=304)


def with_fastapi() -> FastAPI:
    app = FastAPI()
    app.add_middleware(Raising)

    @app.post("/things")
    async def make(thing: Thing) -> Thing:
        return thing

    @app.get("/broken")
    def fails() -> None:
        raise RuntimeError("a secret of the app")

    app.add_route("/streaming", streaming)
    app.add_route("/not-modified", not_modified)
    app.mount("/mounted", FastAPI(routes=[Route("/broken", broken), Route("/page", streaming)]))
    return app


def with_starlette() -> Starlette:
    inner = Starlette(routes=[Route("/broken", broken), Route("/page", streaming)])
    app = Starlette(
        routes=[
            Route("/things", echo, methods=["POST"]),
            Route("/broken", broken),
            Route("/streaming", streaming),
            Route("/not-modified", not_modified),
            Mount("/mounted", inner),
        ]
    )
    app.add_middleware(Raising)
    return app


FRAMEWORKS: dict[str, Callable[[], Starlette]] = {
    "FastAPI": with_fastapi,
    "Starlette": with_starlette,
}
THEIR_ANSWERS: dict[str, tuple[int, str, str, dict[str, Any]]] = {
    "200": (200, "POST", "/things", {"json": {"name": "a"}}),
    "200, streamed": (200, "GET", "/streaming", {}),
    "200, mounted": (200, "GET", "/mounted/page", {}),
    "304": (304, "GET", "/not-modified", {}),
    "400, depth": (
        400,
        "POST",
        "/things",
        {"content": b"[" * 100 + b"]" * 100, "headers": JSON},
    ),
    "403": (403, "POST", "/things", {"headers": {"origin": EVIL}, "json": {"name": "a"}}),
    "404": (404, "GET", "/nowhere", {}),
    "404, mounted": (404, "GET", "/mounted/nowhere", {}),
    "405": (405, "DELETE", "/things", {}),
    "413": (413, "POST", "/things", {"content": b" " * 1_048_577, "headers": JSON}),
    "500": (500, "GET", "/broken", {}),
    "500, mounted": (500, "GET", "/mounted/broken", {}),
    "500, of a middleware": (500, "GET", "/broken-middleware", {}),
}


@pytest.mark.parametrize("framework", FRAMEWORKS)
async def test_answers_of_a_framework(in_production: Make, framework: str) -> None:
    auth = in_production(**ANYTHING_BUT_FEW)
    app = FRAMEWORKS[framework]()
    auth.install(app)
    async with serving(auth, app) as client:
        for case, (status, method, path, request) in THEIR_ANSWERS.items():
            answer = await client.request(method, path, **request)
            complete(answer, status, case)
            assert "secret" not in answer.text
            if status >= 400 and "mounted" not in case:
                assert answer.json()["statusCode"] == status


async def test_422_of_fastapi(in_production: Make) -> None:
    auth, app = in_production(**ANYTHING_BUT_FEW), with_fastapi()
    auth.install(app)
    async with serving(auth, app) as client:
        answer = await client.post("/things", json={"name": 1})
    complete(answer, 422)
    assert answer.json()["error"] == "validation_error"


async def test_a_handshake_answered_with_a_page(in_production: Make) -> None:
    app = FastAPI()

    @app.websocket("/socket")
    async def socket(websocket: WebSocket) -> None:
        await websocket.send_denial_response(PlainTextResponse("full", 503))

    auth = in_production(**ANYTHING_BUT_FEW)
    auth.install(app)
    asks = {
        "connection": "Upgrade",
        "upgrade": "websocket",
        "sec-websocket-key": "AAAAAAAAAAAAAAAAAAAAAA==",
        "sec-websocket-version": "13",
    }
    async with serving(auth, app) as client:
        complete(await client.get("/socket", headers=asks), 503)


async def test_one_mounted_behind_another(
    in_production: Make, caplog: pytest.LogCaptureFixture
) -> None:
    inner, outer = in_production(), in_production()
    app = Starlette(routes=[Mount("/inner", inner.asgi())])
    async with serving(outer, outer.wrap(app)) as client:
        found = await client.get("/inner/api/public-data")
        refused = await client.get("/inner/api/profile")
    await inner.shutdown()
    assert (found.status_code, refused.status_code) == (200, 401)
    assert [record for record in caplog.records if record.levelname == "ERROR"] == []


@pytest.mark.parametrize("begun", [False, True])
async def test_a_bare_app_that_raises(in_production: Make, begun: bool) -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        if begun:
            await send({"type": "http.response.start", "status": 200, "headers": []})
            await send({"type": "http.response.body", "body": b"half", "more_body": True})
        raise RuntimeError("a secret of the app")

    auth = in_production()
    async with serving(auth, auth.wrap(app)) as client:
        if begun:
            # Nothing can be taken back; the client sees that the answer has no end.
            with pytest.raises(httpx2.RemoteProtocolError):
                await client.get("/")
        else:
            complete(await client.get("/"), 500)


@pytest.mark.parametrize("wraps", [True, False])
async def test_an_app_that_waits_for_what_was_cancelled(in_production: Make, wraps: bool) -> None:
    """That is no failure to Python, and nobody cancelled the request."""

    async def waits(request: Request) -> Response:
        job = asyncio.ensure_future(asyncio.Event().wait())
        job.cancel()
        await job
        raise AssertionError("not reached")

    auth, app = in_production(**ANYTHING_BUT_FEW), Starlette(routes=[Route("/", waits)])
    if not wraps:
        auth.install(app)
    async with serving(auth, auth.wrap(app) if wraps else app) as client:
        complete(await client.get("/"), 500)


async def test_a_request_that_is_cancelled_is_not_answered(in_production: Make) -> None:
    begun, said = asyncio.Event(), list[Message]()

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        begun.set()
        await asyncio.Event().wait()

    async def receive() -> Message:
        raise AssertionError("there is no body")

    async def send(message: Message) -> None:
        said.append(message)

    auth = in_production(**ANYTHING_BUT_FEW)
    await auth.startup()
    request = asyncio.ensure_future(
        auth.wrap(app)(http_scope(headers=[(b"host", b"localhost")]), receive, send)
    )
    await begun.wait()
    request.cancel()
    with pytest.raises(asyncio.CancelledError):
        await request
    await auth.shutdown()
    assert said == []


async def test_headers_that_are_none(in_production: Make) -> None:
    """Nothing was sent by then, so it is ours to say what failed."""

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": None})

    auth = in_production(**ANYTHING_BUT_FEW)
    async with serving(auth, auth.wrap(app)) as client:
        complete(await client.get("/"), 500)
