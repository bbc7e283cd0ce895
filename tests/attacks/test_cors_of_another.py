"""A second CORS policy, behind ours, that lets every page in with cookies: CWE-942, ASVS 3.4.2."""

import re
from collections.abc import Callable
from typing import Any

import pytest
from fastapi import FastAPI
from starlette.middleware import Middleware
from starlette.middleware.cors import CORSMiddleware
from starlette.middleware.gzip import GZipMiddleware
from starlette.responses import PlainTextResponse
from starlette.routing import Mount, Route, Router
from starlette.testclient import TestClient
from starlette.types import ASGIApp, Message

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
