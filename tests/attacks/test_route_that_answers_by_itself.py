"""A route that says who may call it, and a class of the app's own that answers before anybody is
asked: CWE-862, CWE-863. What such a class does, nobody can tell; so it is declared, or not served.
"""

from collections.abc import Callable
from functools import partial, wraps
from typing import Annotated, Any

import httpx2
import pytest
from fastapi import APIRouter, FastAPI, Request, Response
from fastapi.routing import APIRoute
from starlette.applications import Starlette
from starlette.endpoints import HTTPEndpoint
from starlette.middleware import Middleware
from starlette.middleware.errors import ServerErrorMiddleware
from starlette.middleware.gzip import GZipMiddleware
from starlette.requests import Request as AnyRequest
from starlette.responses import PlainTextResponse
from starlette.routing import BaseRoute, Mount, Route, Router, request_response
from starlette.types import ASGIApp, Receive, Scope, Send

from authward import Authward, ConfigurationError, Principal
from authward.starlette import authenticate, public
from tests.serving import SECRET


async def answer(scope: Scope, receive: Receive, send: Send) -> None:
    await PlainTextResponse("for anyone")(scope, receive, send)


@authenticate
async def guarded(request: AnyRequest) -> Response:
    return PlainTextResponse("for who signed in")


async def guarded_not(request: AnyRequest) -> Response:
    return PlainTextResponse("for anyone")


@authenticate
def in_a_thread(request: AnyRequest) -> Response:
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


class OwnStack(Starlette):
    def build_middleware_stack(self) -> ASGIApp:
        return answer


class OwnInside(Route):
    def __init__(self, *given: Any, **also: Any) -> None:
        super().__init__(*given, **also)
        self.app = answer


class OwnInsideApi(APIRoute):
    def __init__(self, *given: Any, **also: Any) -> None:
        super().__init__(*given, **also)
        self.app = PlainTextResponse("for anyone")


def by_instance() -> Route:
    route = Route("/x", guarded)
    route.handle = answer  # type: ignore[method-assign]
    return route


def stack_set(stack: ASGIApp = answer) -> Mount:
    app = Starlette(routes=[Route("/y", guarded)])
    app.middleware_stack = stack
    return Mount("/x", app)


def stack_builder_set() -> Mount:
    app = Starlette(routes=[Route("/y", guarded)])
    app.build_middleware_stack = lambda: answer  # type: ignore[method-assign]
    return Mount("/x", app)


def builder_of_another_set() -> Mount:
    app = Starlette(routes=[Route("/y", guarded)])
    another = Starlette(routes=[Route("/y", guarded_not)])
    app.build_middleware_stack = another.build_middleware_stack  # type: ignore[method-assign]
    return Mount("/x", app)


def own_stack_behind_an_authward(app: FastAPI, auth: Authward) -> None:
    inner = OwnStack(routes=[Route("/y", guarded)])
    auth.install(inner)
    app.mount("/x", inner)


def router_stack_set() -> Mount:
    router = Router(routes=[Route("/y", guarded)])
    router.middleware_stack = answer
    return Mount("/x", router)


def app_set(app: ASGIApp, route: Any = None) -> Any:
    route = Route("/x", guarded) if route is None else route
    route.app = app
    return route


def wrapped(inner: ASGIApp) -> ASGIApp:
    """Calls itself what it wraps, by `__module__` too."""

    @wraps(inner)
    async def around(scope: Scope, receive: Receive, send: Send) -> None:
        await (answer if scope["path"] == "/x" else inner)(scope, receive, send)

    return around


def below(route: BaseRoute) -> Callable[[FastAPI, Authward], None]:
    return lambda app, auth: app.router.routes.append(route)


def api_route(app: FastAPI, auth: Authward) -> None:
    async def endpoint(me: Annotated[Principal, auth.authenticate]) -> None: ...

    app.router.routes.append(OwnApiRoute("/x", endpoint))


def api_route_inside(app: FastAPI, auth: Authward) -> None:
    async def endpoint(me: Annotated[Principal, auth.authenticate]) -> None: ...

    app.router.routes.append(OwnInsideApi("/x", endpoint))


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
    "stack": below(Mount("/x", OwnStack(routes=[Route("/y", guarded)]))),
    "stack set": below(stack_set()),
    "stack around something else": below(stack_set(ServerErrorMiddleware(answer))),
    "stack builder set": below(stack_builder_set()),
    "stack builder of another": below(builder_of_another_set()),
    "stack behind an Authward": own_stack_behind_an_authward,
    "router's stack": below(router_stack_set()),
    "route's app": below(OwnInside("/x", guarded)),
    "APIRoute's app": api_route_inside,
    "route's app, of another endpoint": below(
        app_set(request_response(lambda request: PlainTextResponse("for anyone")))
    ),
    "route's app, of another endpoint with a guard": below(app_set(request_response(in_a_thread))),
    "route's app, wrapped": below(app_set(wrapped(request_response(guarded)))),
    "route's app, of nothing": below(app_set(GZipMiddleware(PlainTextResponse("for anyone")))),
}


# These ask all the same.
ASKING = {"endpoint", "route's app, of another endpoint with a guard"}


def made(url: str, way: str, paths: tuple[str, ...] = ()) -> FastAPI:
    auth, app = Authward(database_url=url, secret=SECRET), FastAPI(openapi_url=None)
    WAYS[way](app, auth)
    auth.install(app, deny_by_default=True, public=paths)
    return app


async def ask(app: ASGIApp, path: str = "/x", **how: Any) -> httpx2.Response:
    transport = httpx2.ASGITransport(app, raise_app_exceptions=False)
    async with httpx2.AsyncClient(transport=transport, base_url="http://localhost") as client:
        return await client.get(path, **how)


@pytest.mark.parametrize("way", WAYS)
async def test_it_is_not_served_undeclared(sqlite_url: str, way: str) -> None:
    refused = await ask(made(sqlite_url, way))
    assert refused.status_code == 500
    assert "for anyone" not in refused.text


@pytest.mark.parametrize("way", sorted(WAYS.keys() - ASKING))
async def test_who_knows_what_it_does_declares_it(sqlite_url: str, way: str) -> None:
    app = made(sqlite_url, way, ("/x",))
    assert (await ask(app)).status_code in (200, 307, 404)


def test_public_ones_need_no_such_thing(sqlite_url: str) -> None:
    auth = Authward(database_url=sqlite_url, secret=SECRET)
    app = Starlette(routes=[Route("/x", public(guarded_not))])
    auth.install(app, deny_by_default=True)


class Hides:
    """Middleware that does not tell what it wraps."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self._app(scope, receive, send)


def and_more(request: AnyRequest, more: str) -> Response:
    return PlainTextResponse(more)


class Things:
    @authenticate
    async def get(self, request: AnyRequest) -> Response:
        return PlainTextResponse("for who signed in")


async def test_what_starlette_and_fastapi_make_is_known(sqlite_url: str) -> None:
    """Also once it has served, which a route that is added later finds."""
    auth = Authward(database_url=sqlite_url, secret=SECRET)
    inner_auth = Authward(database_url=sqlite_url, secret=SECRET)
    ordinary = Starlette(routes=[Route("/", guarded)])
    hidden = Starlette(routes=[Route("/", guarded)], middleware=[Middleware(Hides)])
    fast = FastAPI(openapi_url=None, max_body_size=10)
    fast.add_api_route("/", and_more, dependencies=[auth.authenticate])
    own = Starlette(routes=[Route("/", guarded)])
    inner_auth.install(own)
    zipped = Router(
        routes=[Route("/", guarded, max_body_size=10)], middleware=[Middleware(GZipMiddleware)]
    )
    mounts: dict[str, ASGIApp] = {"/a": ordinary, "/b": hidden, "/c": fast, "/d": own, "/e": zipped}
    app = Starlette(
        routes=[
            *(Mount(path, one) for path, one in mounts.items()),
            Route("/partial", partial(guarded)),
            Route("/method", Things().get),
            Route("/thread", in_a_thread),
            Route("/behind", guarded, middleware=[Middleware(GZipMiddleware)]),
        ]
    )
    auth.install(app, deny_by_default=True)
    paths = [*(f"{path}/" for path in mounts), "/partial", "/method", "/thread", "/behind"]
    for _ in range(2):
        for path in paths:
            assert (await ask(app, path)).status_code == 401, path
        app.router.routes.append(Route("/later", guarded))
    await inner_auth.shutdown()


async def test_a_nested_one_is_named_where_it_lies(sqlite_url: str) -> None:
    def nested(*paths: str) -> Starlette:
        auth, app = Authward(database_url=sqlite_url, secret=SECRET), FastAPI()
        below, middle, inner = FastAPI(openapi_url=None), APIRouter(prefix="/c"), OwnIncluded()
        middle.include_router(inner, prefix="/b")
        below.include_router(middle, prefix="/a")
        app.mount("/m", below)
        auth.install(app, deny_by_default=True, public=paths)
        return app

    async with nested("/m/a/c/b").router.lifespan_context(None):
        pass
    for wrong in ("/b", "/c/b", "/a/c/b"):
        app = nested(wrong)
        with pytest.raises(ConfigurationError, match=f"nothing lies at {wrong}"):
            async with app.router.lifespan_context(app):
                pass
    app = nested()
    with pytest.raises(ConfigurationError, match=r"mount /m/a/c/b \(.*OwnIncluded\)"):
        async with app.router.lifespan_context(app):
            pass


async def test_the_refusal_names_it(sqlite_url: str) -> None:
    auth = Authward(database_url=sqlite_url, secret=SECRET)
    app = Starlette(routes=[OwnRoute("/x", guarded)])
    auth.install(app, deny_by_default=True)
    with pytest.raises(ConfigurationError, match=r"/x \(tests\.attacks\..*OwnRoute\)"):
        async with app.router.lifespan_context(app):
            pass
