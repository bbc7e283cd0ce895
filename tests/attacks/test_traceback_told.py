"""A traceback that is told to strangers: CWE-209, CWE-489 (active debug code), ASVS 16.5.1. In
production no app that shows them is served, wherever it lies.
"""

import re
from typing import Any

import httpx2
import pytest
from fastapi import FastAPI
from starlette.applications import Starlette
from starlette.middleware.gzip import GZipMiddleware
from starlette.routing import Route
from starlette.testclient import TestClient
from starlette.types import ASGIApp, Message

from authward import Authward, ConfigurationError
from authward.starlette import public
from tests.attacks.around import AROUND
from tests.serving import SECRET

PRODUCTION: dict[str, Any] = {
    "env": "production",
    "hosts": ["localhost"],
    "dangerously_plain_http": True,
}
TOLD = "debug: the app{} would show tracebacks.*production.*Leave debug off"
APPS = [FastAPI, Starlette]


@public
def fails(request: object) -> None:
    raise ValueError("what only we may know")


def debugging(kind: type[Starlette]) -> Starlette:
    app = kind(debug=True)
    app.router.routes[:] = [Route("/boom", fails)]
    return app


async def said_to(served: ASGIApp, path: str) -> httpx2.Response:
    transport = httpx2.ASGITransport(served, raise_app_exceptions=False)
    async with httpx2.AsyncClient(transport=transport, base_url="http://localhost") as client:
        return await client.get(path)


async def refused(served: ASGIApp, path: str, told: str) -> None:
    said: list[Message] = []

    async def receive() -> Message:
        return {"type": "lifespan.startup"}

    async def send(message: Message) -> None:
        said.append(message)

    with pytest.raises(ConfigurationError):
        await served({"type": "lifespan", "state": {}}, receive, send)
    assert said[-1]["type"] == "lifespan.startup.failed"
    assert re.search(told, said[-1]["message"])
    answer = await said_to(served, path)
    assert answer.status_code == 500
    assert answer.json()["error"] == "internal_error"
    assert "only we" not in answer.text


@pytest.mark.parametrize("around", ["nothing", *AROUND])
@pytest.mark.parametrize("kind", APPS)
async def test_behind_wrap(sqlite_url: str, kind: type[Starlette], around: str) -> None:
    auth = Authward(database_url=sqlite_url, secret=SECRET, **PRODUCTION)
    app = debugging(kind)
    served = auth.wrap(AROUND[around](app) if around in AROUND else app)
    await refused(served, "/boom", TOLD.format(""))


@pytest.mark.parametrize("deny", [False, True])
@pytest.mark.parametrize("around", ["nothing", *AROUND])
async def test_mounted(sqlite_url: str, around: str, deny: bool) -> None:
    auth, app = Authward(database_url=sqlite_url, secret=SECRET, **PRODUCTION), FastAPI()
    auth.install(app, deny_by_default=deny, public=["/m"] if deny else [])
    inner = debugging(FastAPI)
    app.mount("/m", AROUND[around](inner) if around in AROUND else inner)
    await refused(app, "/m/boom", TOLD.format(" at /m"))


def test_mounted_before_install(sqlite_url: str) -> None:
    auth, app = Authward(database_url=sqlite_url, secret=SECRET, **PRODUCTION), FastAPI()
    app.mount("/m", debugging(FastAPI))
    with pytest.raises(ConfigurationError, match=TOLD.format(" at /m")):
        auth.install(app)


def test_mounted_later(sqlite_url: str) -> None:
    auth, app = Authward(database_url=sqlite_url, secret=SECRET, **PRODUCTION), FastAPI()
    auth.install(app, deny_by_default=True)
    with TestClient(app, base_url="http://localhost") as client:
        with pytest.raises(ConfigurationError, match=TOLD.format(" at /m")):
            app.mount("/m", debugging(FastAPI))
        assert client.get("/m/boom").status_code == 404


async def test_in_development_it_is_shown(sqlite_url: str) -> None:
    auth, app = Authward(database_url=sqlite_url, secret=SECRET), FastAPI()
    app.mount("/m", debugging(FastAPI))
    auth.install(app)
    wrapped = Authward(database_url=sqlite_url, secret=SECRET).wrap(
        GZipMiddleware(debugging(FastAPI))
    )
    for served, path in ((app, "/m/boom"), (wrapped, "/boom")):
        assert "what only we may know" in (await said_to(served, path)).text
