"""A second CORS policy, behind ours, that lets every page in with cookies: CWE-942, ASVS 3.4.2."""

import re
from collections.abc import Callable
from typing import Any

import httpx2
import pytest
from fastapi import FastAPI
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.cors import CORSMiddleware
from starlette.middleware.gzip import GZipMiddleware
from starlette.responses import PlainTextResponse
from starlette.routing import Mount, Route, Router
from starlette.testclient import TestClient
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from authward import Authward, ConfigurationError
from authward.middleware import CORS
from authward.starlette import public
from tests.attacks.around import AROUND
from tests.serving import SECRET

ALL: dict[str, Any] = {"allow_origins": ["*"], "allow_credentials": True}
OWN: dict[str, Any] = {"origins": ["https://evil.example"]}


class Derived(CORSMiddleware):
    """As people make one, to log what it refuses."""


def open_to_all() -> FastAPI:
    app = FastAPI(openapi_url=None)
    app.add_middleware(CORSMiddleware, **ALL)
    return app


def middleware(kind: Any, **how: Any) -> Callable[[], ASGIApp]:
    def make() -> ASGIApp:
        app = FastAPI(openapi_url=None)
        app.add_middleware(kind, **how)
        return app

    return make


@public
def told(request: object) -> PlainTextResponse:
    return PlainTextResponse("told")


STATING: dict[str, Callable[[], ASGIApp]] = {
    "Starlette's": middleware(CORSMiddleware, **ALL),
    "derived": middleware(Derived, **ALL),
    "ours": middleware(CORS, **OWN),
    "around an app": lambda: CORSMiddleware(FastAPI(openapi_url=None), **ALL),
    "around any app": lambda: GZipMiddleware(CORSMiddleware(Router(), **ALL)),
    "ours around any app": lambda: CORS(Router(), **OWN),
    "around a route": lambda: Router(
        [Route("/", told, middleware=[Middleware(CORSMiddleware, **ALL)])]
    ),
    "around a mount": lambda: Router(
        [Mount("/", Router(), middleware=[Middleware(CORSMiddleware, **ALL)])]
    ),
    "around a router": lambda: Router(middleware=[Middleware(CORSMiddleware, **ALL)]),
}


def made(url: str, **settings: Any) -> Authward:
    return Authward(database_url=url, secret=SECRET, origins=["https://ok.example"], **settings)


async def refused_behind_wrap(auth: Authward, app: ASGIApp) -> None:
    said: list[Message] = []

    async def receive() -> Message:
        return {"type": "lifespan.startup"}

    async def send(message: Message) -> None:
        said.append(message)

    with pytest.raises(ConfigurationError):
        await auth.wrap(app)({"type": "lifespan", "state": {}}, receive, send)
    assert said[-1]["type"] == "lifespan.startup.failed"
    assert re.search("cors: the app .*has CORSMiddleware too", said[-1]["message"])


@pytest.mark.parametrize("stating", STATING)
async def test_behind_wrap(sqlite_url: str, stating: str) -> None:
    await refused_behind_wrap(made(sqlite_url), STATING[stating]())


@pytest.mark.parametrize("around", AROUND)
async def test_held(sqlite_url: str, around: str) -> None:
    await refused_behind_wrap(made(sqlite_url), AROUND[around](open_to_all()))


@pytest.mark.parametrize("deny", [False, True])
@pytest.mark.parametrize("stating", STATING)
def test_mounted(sqlite_url: str, stating: str, deny: bool) -> None:
    auth, app = made(sqlite_url), FastAPI()
    auth.install(app, deny_by_default=deny, public=["/m"] if deny else [])
    app.mount("/m", STATING[stating]())
    with (
        pytest.raises(ConfigurationError, match=r"cors: the app at /m.* has CORSMiddleware too"),
        TestClient(app),
    ):
        pass


def test_one_that_cannot_be_changed_goes_beside(sqlite_url: str) -> None:
    """The refusal says so."""
    auth, app = made(sqlite_url), FastAPI()
    auth.install(app)
    beside = Starlette(routes=[Mount("/m", STATING["Starlette's"]()), Mount("/", app)])
    with TestClient(beside, base_url="http://localhost") as client:
        theirs = client.get("/m/", headers={"Origin": EVIL})
        ours = client.get("/api/public-data", headers={"Origin": EVIL})
    assert theirs.headers["access-control-allow-origin"] in ("*", EVIL)
    assert ours.status_code == 200
    assert "access-control-allow-origin" not in ours.headers


# --- where nobody can look --------------------------------------------------------------------

OK, EVIL = "https://ok.example", "https://evil.example"


def echoing(*, credentials: bool) -> ASGIApp:
    """Lets in whoever asks, in code of its own."""

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        origin = dict(scope["headers"]).get(b"origin", b"*")
        headers = [(b"Access-Control-Allow-Origin", origin), (b"content-length", b"0")]
        headers.append((b"access-control-expose-headers", b"X-Secret"))
        if credentials:
            headers.append((b"Access-Control-Allow-Credentials", b"true"))
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": b""})

    return app


async def told_of_cors(served: ASGIApp, origin: str | None) -> list[tuple[str, str]]:
    transport = httpx2.ASGITransport(served)
    async with httpx2.AsyncClient(transport=transport, base_url="http://localhost") as client:
        answer = await client.get("/m/", headers={} if origin is None else {"origin": origin})
    assert answer.status_code == 200
    assert answer.headers["vary"] == "Origin"
    return [
        (name.removeprefix("access-control-"), value)
        for name, value in answer.headers.multi_items()
        if name.startswith("access-control-") and not name.endswith("expose-headers")
    ]


@pytest.fixture(params=["wrap", "mount"])
def behind(request: pytest.FixtureRequest, sqlite_url: str) -> Callable[[ASGIApp], ASGIApp]:
    def serve(app: ASGIApp) -> ASGIApp:
        auth = made(sqlite_url)
        if request.param == "wrap":
            return auth.wrap(app)
        top = FastAPI()
        auth.install(top)
        top.mount("/m", app)
        return top

    return serve


@pytest.mark.parametrize("credentials", [False, True])
async def test_ours_stands_alone(behind: Callable[[ASGIApp], ASGIApp], credentials: bool) -> None:
    served = behind(echoing(credentials=credentials))
    ours = [("allow-origin", OK), ("allow-credentials", "true")]
    assert await told_of_cors(served, OK) == ours
    # What is for anyone may be read by anyone; but no cookies go with that.
    assert await told_of_cors(served, EVIL) == [("allow-origin", EVIL)]
    assert await told_of_cors(served, None) == [("allow-origin", "*")]


async def test_a_preflight_is_ours(behind: Callable[[ASGIApp], ASGIApp]) -> None:
    transport = httpx2.ASGITransport(behind(echoing(credentials=True)))
    async with httpx2.AsyncClient(transport=transport, base_url="http://localhost") as client:
        for origin, told in ((OK, [OK, "true"]), (EVIL, [None, None])):
            asked = {"origin": origin, "access-control-request-method": "PUT"}
            answer = await client.options("/m/", headers=asked)
            names = ("access-control-allow-origin", "access-control-allow-credentials")
            assert [answer.headers.get(name) for name in names] == told
