"""An override of a guard that was forgotten in an app behind middleware, where walking the routes
does not see it: CWE-489 (active debug code), CWE-862. See `test_guard_overridden.py`.
"""

import re
from collections.abc import Callable
from typing import Any

import httpx2
import pytest
from fastapi import APIRouter, FastAPI
from fastapi.routing import APIRoute
from starlette.middleware import Middleware
from starlette.middleware.gzip import GZipMiddleware
from starlette.routing import Host, Mount, Route, Router
from starlette.testclient import TestClient
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from authward import Authward, ConfigurationError
from authward.deny import keep_overrides, walk
from authward.holding import held_by
from tests.attacks.around import AROUND, Slotted
from tests.serving import SECRET

PRODUCTION: dict[str, Any] = {
    "env": "production",
    "hosts": ["localhost", "testserver"],
    "dangerously_plain_http": True,
}
TOLD = "dependency_overrides: the guard 'role admin'.*production.*for tests"


class Second:
    """Middleware that leads to another app than the one that it stands around."""

    def __init__(self, app: ASGIApp, *, other: ASGIApp) -> None:
        self.app = app
        self.other = other

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        to = self.other if scope["type"] == "http" else self.app
        await to(scope, receive, send)


def guarded(auth: Authward) -> tuple[FastAPI, Any]:
    app, guard = FastAPI(openapi_url=None), auth.authorize("admin")

    async def reached() -> str:
        return "reached"

    app.add_api_route("/x", reached, dependencies=[guard])
    return app, guard.dependency


def overridden(auth: Authward) -> FastAPI:
    app, guard = guarded(auth)
    app.dependency_overrides[guard] = lambda: None
    return app


async def first(served: ASGIApp, path: str) -> int:
    """Where no lifespan runs, the first request starts it."""
    transport = httpx2.ASGITransport(served, raise_app_exceptions=False)
    async with httpx2.AsyncClient(transport=transport, base_url="http://localhost") as client:
        return (await client.get(path)).status_code


async def refused(app: FastAPI, path: str) -> None:
    with pytest.raises(ConfigurationError, match=TOLD):
        async with app.router.lifespan_context(app):
            pass
    assert await first(app, path) == 500


@pytest.mark.parametrize("around", AROUND)
async def test_behind_wrap(sqlite_url: str, around: str) -> None:
    auth = Authward(database_url=sqlite_url, secret=SECRET, **PRODUCTION)
    served = auth.wrap(AROUND[around](overridden(auth)))
    said: list[Message] = []

    async def receive() -> Message:
        return {"type": "lifespan.startup"}

    async def send(message: Message) -> None:
        said.append(message)

    with pytest.raises(ConfigurationError):
        await served({"type": "lifespan", "state": {}}, receive, send)
    assert said[-1]["type"] == "lifespan.startup.failed"
    assert re.search(TOLD, said[-1]["message"])
    assert await first(served, "/x") == 500


@pytest.mark.parametrize("deny", [False, True])
@pytest.mark.parametrize("around", AROUND)
async def test_mounted(sqlite_url: str, around: str, deny: bool) -> None:
    auth, app = Authward(database_url=sqlite_url, secret=SECRET, **PRODUCTION), FastAPI()
    auth.install(app, deny_by_default=deny, public=["/m"] if deny else [])
    app.mount("/m", AROUND[around](overridden(auth)))
    await refused(app, "/m/x")


class Provider:
    def __init__(self) -> None:
        self.dependency_overrides: dict[Any, Any] = {}


class Fixed:
    """A provider whose overrides cannot be set."""

    __slots__ = ("_given",)

    def __init__(self) -> None:
        self._given: dict[Any, Any] = {}

    @property
    def dependency_overrides(self) -> dict[Any, Any]:
        return self._given


def by_provider(kind: Callable[[], Any], *, routed: bool) -> Callable[[FastAPI, Authward], None]:
    """A router, or a route, that heeds the overrides of something else than its app."""

    def add(app: FastAPI, auth: Authward) -> None:
        guard, provider = auth.authorize("admin"), kind()

        async def reached() -> str:
            return "reached"

        given: Any = {"dependencies": [guard], "dependency_overrides_provider": provider}
        if routed:
            app.router.routes.append(APIRoute("/s/x", reached, **given))
        else:
            router = APIRouter(**given)
            router.add_api_route("/x", reached)
            app.mount("/s", router)
        provider.dependency_overrides[guard.dependency] = lambda: None

    return add


def beside(app: FastAPI, auth: Authward) -> None:
    app.add_middleware(Second, other=Mount("/s", overridden(auth)))


def within_router(app: FastAPI, auth: Authward) -> None:
    app.mount("/s", Router(middleware=[Middleware(Second, other=overridden(auth))]))


def within_mount(app: FastAPI, auth: Authward) -> None:
    around = [Middleware(Second, other=overridden(auth))]
    app.router.routes.append(Mount("/s", app=Router(), middleware=around))


def as_endpoint(app: FastAPI, auth: Authward) -> None:
    endpoint = GZipMiddleware(Router([Mount("/s", overridden(auth))]))
    app.router.routes.append(Route("/s/x", endpoint))


def at_a_host(app: FastAPI, auth: Authward) -> None:
    served = GZipMiddleware(Router([Mount("/s", overridden(auth))]))
    app.router.routes.append(Host("localhost", served))


@pytest.mark.parametrize(
    "add",
    [
        beside,
        within_router,
        within_mount,
        as_endpoint,
        at_a_host,
        by_provider(Provider, routed=False),
        by_provider(Provider, routed=True),
        by_provider(Fixed, routed=False),
        by_provider(Fixed, routed=True),
    ],
)
async def test_elsewhere(sqlite_url: str, add: Callable[[FastAPI, Authward], None]) -> None:
    # In development it is what an app's tests want.
    development, app = Authward(database_url=sqlite_url, secret=SECRET), FastAPI()
    development.install(app)
    add(app, development)
    with TestClient(app, base_url="http://localhost") as client:
        assert client.get("/s/x").json() == "reached"
    auth, app = Authward(database_url=sqlite_url, secret=SECRET, **PRODUCTION), FastAPI()
    auth.install(app)
    add(app, auth)
    await refused(app, "/s/x")


def test_none_is_set_later(sqlite_url: str) -> None:
    auth, app = Authward(database_url=sqlite_url, secret=SECRET, **PRODUCTION), FastAPI()
    auth.install(app, deny_by_default=True, public=["/m"])
    inner, guard = guarded(auth)
    app.mount("/m", GZipMiddleware(inner))
    with TestClient(app, base_url="http://localhost", raise_server_exceptions=False) as client:
        assert client.get("/m/x").status_code == 401
        with pytest.raises(ConfigurationError, match=TOLD):
            inner.dependency_overrides[guard] = lambda: None
        assert client.get("/m/x").status_code == 401
        inner.dependency_overrides = {guard: lambda: None}
        assert client.get("/m/x").status_code == 500


async def test_what_holds_the_world_ends(sqlite_url: str) -> None:
    """What is looked at is bounded, the nearest first."""
    auth = Authward(database_url=sqlite_url, secret=SECRET, **PRODUCTION)
    much: Any = [[number] for number in range(100_000)]
    near = Slotted(GZipMiddleware(overridden(auth)))
    near.by_path = {"much": much, **near.by_path}  # a cache, say, before what matters
    assert await first(auth.wrap(near), "/x") == 500
    world: Any = [[[[n, m] for n in range(100)] for m in range(100)] for _ in range(100)]
    assert list(held_by(world)) == []


class Unbound:
    """A proxy that stands for nothing yet, and says so whatever it is asked."""

    def __getattribute__(self, name: str) -> Any:
        raise RuntimeError(name)

    @property
    def __dict__(self) -> Any:  # type: ignore[override]
        raise RuntimeError


class Fetching(list[Any]):
    def __iter__(self) -> Any:
        raise RuntimeError


async def test_what_would_fail_is_not_asked(sqlite_url: str) -> None:
    auth = Authward(database_url=sqlite_url, secret=SECRET, **PRODUCTION)
    near = Slotted(overridden(auth))
    near.by_path = {"first": [Unbound()], "/": Fetching(near.by_path["/"])}  # type: ignore[list-item]
    with pytest.raises(ConfigurationError, match=TOLD):
        keep_overrides(walk(near))
