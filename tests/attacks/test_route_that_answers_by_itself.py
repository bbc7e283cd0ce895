"""A route that says who may call it, and a class of the app's own that answers before anybody is
asked: CWE-862, CWE-863. What such a class does, nobody can tell; so it is declared, or not served.
"""

from collections.abc import Callable
from typing import Annotated, Any

import httpx2
import pytest
from fastapi import APIRouter, FastAPI, Request, Response
from fastapi.routing import APIRoute
from starlette.applications import Starlette
from starlette.endpoints import HTTPEndpoint
from starlette.requests import Request as AnyRequest
from starlette.responses import PlainTextResponse
from starlette.routing import BaseRoute, Mount, Route, Router
from starlette.types import Receive, Scope, Send

from authward import Authward, ConfigurationError, Principal
from authward.starlette import authenticate, public
from tests.serving import SECRET


async def answer(scope: Scope, receive: Receive, send: Send) -> None:
    await PlainTextResponse("for anyone")(scope, receive, send)


@authenticate
async def guarded(request: AnyRequest) -> Response:
    return PlainTextResponse("for who signed in")


class OwnApp(Starlette):
    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await answer(scope, receive, send)


class OwnRouter(Router):
    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await answer(scope, receive, send)


class OwnMount(Mount):
    async def handle(self, scope: Scope, receive: Receive, send: Send) -> None:
        await answer(scope, receive, send)


class OwnRoute(Route):
    async def handle(self, scope: Scope, receive: Receive, send: Send) -> None:
        await answer(scope, receive, send)


class OwnApiRoute(APIRoute):
    def get_route_handler(self) -> Callable[[Request], Any]:
        async def first(request: Request) -> Response:
            return PlainTextResponse("for anyone")

        return first


class OwnEndpoint(HTTPEndpoint):
    def __init__(self, scope: Scope, receive: Receive, send: Send) -> None:
        super().__init__(scope, receive, send)
        self.post = lambda request: PlainTextResponse("for anyone")

    @authenticate
    async def get(self, request: AnyRequest) -> Response:
        return PlainTextResponse("for who signed in")


class OwnIncluded(APIRouter):
    async def handle(self, scope: Scope, receive: Receive, send: Send) -> None:
        await answer(scope, receive, send)


def by_instance() -> Route:
    route = Route("/x", guarded)
    route.handle = answer  # type: ignore[method-assign]
    return route


def below(route: BaseRoute) -> Callable[[FastAPI, Authward], None]:
    return lambda app, auth: app.router.routes.append(route)


def api_route(app: FastAPI, auth: Authward) -> None:
    async def endpoint(me: Annotated[Principal, auth.authenticate]) -> None: ...

    app.router.routes.append(OwnApiRoute("/x", endpoint))


def included(app: FastAPI, auth: Authward) -> None:
    app.include_router(OwnIncluded(), prefix="/x")


WAYS = {
    "app": below(Mount("/x", OwnApp(routes=[Route("/y", guarded)]))),
    "router": below(Mount("/x", OwnRouter(routes=[Route("/y", guarded)]))),
    "mount": below(OwnMount("/x", Starlette(routes=[Route("/y", guarded)]))),
    "route": below(OwnRoute("/x", guarded)),
    "instance": below(by_instance()),
    "endpoint": below(Route("/x", OwnEndpoint)),
    "APIRoute": api_route,
    "included": included,
}


def made(url: str, way: str, paths: tuple[str, ...] = ()) -> FastAPI:
    auth, app = Authward(database_url=url, secret=SECRET), FastAPI(openapi_url=None)
    WAYS[way](app, auth)
    auth.install(app, deny_by_default=True, public=paths)
    return app


async def ask(app: FastAPI, path: str = "/x", **how: Any) -> httpx2.Response:
    transport = httpx2.ASGITransport(app, raise_app_exceptions=False)
    async with httpx2.AsyncClient(transport=transport, base_url="http://localhost") as client:
        return await client.get(path, **how)


@pytest.mark.parametrize("way", WAYS)
async def test_it_is_not_served_undeclared(sqlite_url: str, way: str) -> None:
    refused = await ask(made(sqlite_url, way))
    assert refused.status_code == 500
    assert "for anyone" not in refused.text


@pytest.mark.parametrize("way", sorted(WAYS.keys() - {"endpoint"}))
async def test_who_knows_what_it_does_declares_it(sqlite_url: str, way: str) -> None:
    app = made(sqlite_url, way, ("/x",))
    assert (await ask(app)).status_code in (200, 307, 404)


@pytest.mark.parametrize("production", [True, False])
async def test_overrides_are_for_tests(sqlite_url: str, production: bool) -> None:
    """An override that was forgotten takes the guard away where it counts."""
    settings: dict[str, Any] = {"env": "production", "hosts": ["localhost"]} if production else {}
    auth, app = Authward(database_url=sqlite_url, secret=SECRET, **settings), FastAPI()
    auth.install(app)
    guard = auth.authenticate

    @app.get("/me", dependencies=[guard])
    async def me() -> str:
        return "reached"

    app.dependency_overrides[guard.dependency] = lambda: None  # type: ignore[index]
    assert (await ask(app, "/me")).status_code == (401 if production else 200)


def test_public_ones_need_no_such_thing(sqlite_url: str) -> None:
    auth = Authward(database_url=sqlite_url, secret=SECRET)
    app = Starlette(routes=[Route("/x", public(guarded_not))])
    auth.install(app, deny_by_default=True)


async def guarded_not(request: AnyRequest) -> Response:
    return PlainTextResponse("for anyone")


async def test_the_refusal_names_it(sqlite_url: str) -> None:
    auth = Authward(database_url=sqlite_url, secret=SECRET)
    app = Starlette(routes=[OwnRoute("/x", guarded)])
    auth.install(app, deny_by_default=True)
    with pytest.raises(ConfigurationError, match=r"/x \(tests\.attacks\..*OwnRoute\)"):
        async with app.router.lifespan_context(app):
            pass
