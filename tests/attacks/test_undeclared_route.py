"""A route that nobody thought of, open to all (CWE-862, CWE-306; OWASP API5:2023, A01:2021).

It comes by a side door: a mount, a WebSocket, a router that is included or grows after the start, a
list of routes that is swapped, a frontend, a host, the unguarded half of an endpoint class.
"""

import functools
import shutil
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from fastapi import APIRouter, FastAPI
from fastapi.routing import APIRoute
from starlette.applications import Starlette
from starlette.endpoints import HTTPEndpoint
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Host, Mount, Route, Router
from starlette.testclient import TestClient
from starlette.types import Receive, Scope, Send
from starlette.websockets import WebSocket, WebSocketDisconnect

from authward import Authward, ConfigurationError
from authward.starlette import authenticate, public


@pytest.fixture
def auth(tmp_path: Path, migrated_sqlite: Path) -> Authward:
    shutil.copy(migrated_sqlite, tmp_path / "test.db")
    return Authward(database_url=f"sqlite:///{tmp_path}/test.db")


async def secret() -> str:
    return "canary"


async def leak(request: Request) -> Response:
    return PlainTextResponse("canary")


async def raw(scope: Scope, receive: Receive, send: Send) -> None:
    await PlainTextResponse("canary")(scope, receive, send)


async def raw_socket(websocket: WebSocket) -> None:
    await websocket.accept()


@public
async def fine(request: Request) -> Response:
    return PlainTextResponse("fine")


def leaky() -> FastAPI:
    app = FastAPI(openapi_url=None)
    app.add_api_route("/secret", secret)
    return app


class World:
    """A FastAPI app that has started, with an included router and a mounted app."""

    def __init__(self, auth: Authward, folder: Path) -> None:
        self.auth = auth
        self.folder = folder
        self.router = APIRouter()
        self.inner = APIRouter()
        self.fronted = APIRouter()
        self.mounted = Starlette(routes=[Route("/fine", fine)])
        self.app = FastAPI()
        for router in (self.router, self.inner, self.fronted):
            router.add_api_route(f"/fine/{id(router)}", secret, dependencies=[auth.public])
        guarded = [auth.authenticate]
        self.fronted.include_router(self.inner, prefix="/inner")
        self.app.include_router(self.router, prefix="/included")
        self.app.include_router(self.fronted, prefix="/fronted")
        self.app.include_router(self.fronted, prefix="/guarded", dependencies=guarded)
        self.app.mount("/mounted", self.mounted)
        self.app.add_api_route("/open", secret, dependencies=[auth.public])
        auth.install(self.app, deny_by_default=True)
        self.client = TestClient(self.app, raise_server_exceptions=False)

    def get(self, path: str, **headers: str) -> Any:
        return self.client.get(path, headers=headers)


@pytest.fixture
def world(auth: Authward, tmp_path: Path) -> Iterator[World]:
    folder = tmp_path / "site"
    folder.mkdir()
    (folder / "index.html").write_text("canary")
    made = World(auth, folder)
    with made.client:
        assert made.get("/open").json() == "canary"
        yield made


def _included(world: World) -> None:
    router = APIRouter()
    router.add_api_route("/late", secret)
    world.app.include_router(router)


def _grown(world: World) -> None:
    router = APIRouter()
    world.app.include_router(router)
    router.add_api_route("/late", secret)


def _nested(world: World) -> None:
    router = APIRouter()
    world.inner.include_router(router)
    router.add_api_route("/late", secret)


def _own_router(world: World) -> None:
    late = Starlette()
    world.app.mount("/late", late)
    late.add_route("/late", leak)


def _extended(world: World) -> None:
    world.app.router.routes += [Route("/late", leak)]


def _replaced(world: World) -> None:
    world.app.router.routes[0] = Route("/late", leak)


def _all_replaced(world: World) -> None:
    world.app.router.routes[:] = [Route("/late", leak)]


LATE: dict[str, Callable[[World], object]] = {
    "a route": lambda w: w.app.add_api_route("/late", secret),
    "a decorated route": lambda w: w.app.get("/late")(secret),
    "a Starlette route": lambda w: w.app.add_route("/late", leak),
    "a WebSocket": lambda w: w.app.add_api_websocket_route("/late", secret),
    "a Starlette WebSocket": lambda w: w.app.router.add_websocket_route("/late", raw_socket),
    "a mounted app": lambda w: w.app.mount("/late", leaky()),
    "an opaque mount": lambda w: w.app.mount("/late", raw),
    "a host": lambda w: w.app.host("late.example", leaky()),
    "an endpoint class of an included router": lambda w: w.router.add_route("/late", OPEN),
    "an endpoint class without methods": lambda w: w.app.routes.append(
        Route("/late", Open, methods=[])
    ),
    "a frontend": lambda w: w.app.frontend("/late", directory=w.folder),
    "a router": _included,
    "a router that grows": _grown,
    "a router in a router that grows": _nested,
    "an app that grows": _own_router,
    "a route of an included router": lambda w: w.router.add_api_route("/late", secret),
    "a decorated route of one": lambda w: w.router.post("/late")(secret),
    "a frontend of one": lambda w: w.router.frontend("/late", directory=w.folder),
    "one of a router that is guarded in one place only": lambda w: w.inner.add_api_route(
        "/late", secret
    ),
    "a route of a mounted app": lambda w: w.mounted.add_route("/late", leak),
    "append": lambda w: w.app.router.routes.append(APIRoute("/late", secret)),
    "extend": lambda w: w.app.routes.extend([Route("/late", leak)]),
    "insert": lambda w: w.app.routes.insert(0, Route("/late", leak)),
    "+=": _extended,
    "an item": _replaced,
    "a slice": _all_replaced,
}


@pytest.mark.parametrize("late", LATE.values(), ids=LATE.keys())
def test_what_comes_after_the_start(world: World, late: Callable[[World], object]) -> None:
    with pytest.raises(ConfigurationError, match="late"):
        late(world)
    for prefix in ("", "/included", "/fronted/inner", "/guarded/inner", "/mounted", "/late"):
        assert "canary" not in world.get(f"{prefix}/late").text
    assert "canary" not in world.get("/secret", host="late.example").text
    with pytest.raises(WebSocketDisconnect), world.client.websocket_connect("/late"):
        raise AssertionError("it opened")
    # It takes nothing else along.
    assert world.get("/open").json() == "canary"
    assert world.get("/mounted/fine").text == "fine"


def test_what_is_declared_may_come_after_the_start(world: World) -> None:
    world.router.add_api_route("/new", secret, dependencies=[world.auth.public])
    world.inner.add_api_route("/new", secret, dependencies=[world.auth.authenticate])
    world.app.mount("/new", Starlette(routes=[Route("/fine", fine)]))
    world.mounted.add_route("/new", authenticate(_copy()))
    assert world.get("/included/new").json() == "canary"
    assert world.get("/fronted/inner/new").status_code == 401
    assert world.get("/new/fine").text == "fine"
    assert world.get("/mounted/new").status_code == 401
    world.mounted.router.routes += [Route("/newer", fine)]
    assert world.get("/mounted/newer").text == "fine"
    world.app.router.routes.pop()
    assert world.get("/new/fine").status_code == 404


def _copy() -> Callable[[Request], Any]:
    async def endpoint(request: Request) -> Response:
        return await leak(request)

    return endpoint


def _swapped(world: World) -> None:
    world.app.router.routes = [*world.app.routes, APIRoute("/late", secret)]


def _swapped_below(world: World) -> None:
    world.mounted.router.routes = [Route("/late", leak)]


def _swapped_included(world: World) -> None:
    world.router.routes = [APIRoute("/late", secret)]


def _swapped_frontends(world: World) -> None:
    other = FastAPI()
    other.frontend("/late", directory=world.folder)
    world.app.router._low_priority_routes = other.router._low_priority_routes


def _swapped_router(world: World) -> None:
    world.mounted.router = Router([Route("/late", leak)])


def _swapped_default(world: World) -> None:
    world.app.router.default = raw


def _swapped_mount(world: World) -> None:
    mount = next(one for one in world.app.routes if isinstance(one, Mount))
    mount.app = raw


@pytest.mark.parametrize(
    "swap",
    [
        _swapped_mount,
        _swapped,
        _swapped_below,
        _swapped_included,
        _swapped_frontends,
        _swapped_router,
        _swapped_default,
    ],
)
def test_routes_that_are_swapped_stop_all(
    world: World, swap: Callable[[World], None], caplog: pytest.LogCaptureFixture
) -> None:
    swap(world)
    for path in ("/late", "/mounted/late", "/included/late", "/open", "/mounted/fine"):
        answer = world.get(path)
        assert (answer.status_code, answer.json()["error"]) == (500, "internal_error")
    with pytest.raises(ConfigurationError), world.client.websocket_connect("/late"):
        raise AssertionError("it opened")
    told = caplog.records[0].exc_info
    assert told is not None
    assert "nothing says who may call" in str(told[1])


def test_swapping_in_what_is_declared_goes_on(world: World) -> None:
    world.mounted.router.routes = [Route("/other", fine)]
    assert world.get("/mounted/other").text == "fine"
    with pytest.raises(ConfigurationError, match="late"):
        world.mounted.add_route("/late", leak)


def test_a_list_that_was_taken_before_the_start_leads_nowhere(auth: Authward) -> None:
    app = Starlette(routes=[Route("/fine", fine)])
    auth.install(app, deny_by_default=True)
    taken = app.router.routes
    with TestClient(app) as client:
        taken.append(Route("/late", leak))
        assert client.get("/fine").text == "fine"
        assert client.get("/late").status_code == 404


def test_no_request_meets_a_route_while_it_is_refused(world: World) -> None:
    """In another thread, while the route is being judged."""
    seen: set[int] = set()
    done = threading.Event()

    def look() -> None:
        while not done.is_set():
            seen.add(len(world.app.router.routes))

    looking = threading.Thread(target=look)
    looking.start()
    for _ in range(50):
        with suppress(ConfigurationError):
            world.app.add_route("/late", leak)
    done.set()
    looking.join()
    assert seen == {len(world.app.router.routes)}


class Half(HTTPEndpoint):
    @authenticate
    async def get(self, request: Request) -> Response:
        return await leak(request)

    async def post(self, request: Request) -> Response:
        return await leak(request)


class Inherited(Half):
    """It adds nothing, and guards nothing."""


class Overridden(Half):
    @authenticate
    async def post(self, request: Request) -> Response:
        return await leak(request)

    async def get(self, request: Request) -> Response:
        return await leak(request)


class Elsewhere(HTTPEndpoint):
    @authenticate
    async def get(self, request: Request) -> Response:
        return await leak(request)

    async def method_not_allowed(self, request: Request) -> Response:
        return await leak(request)


class Dispatched(HTTPEndpoint):
    @authenticate
    async def get(self, request: Request) -> Response:
        return await leak(request)

    async def dispatch(self) -> None:
        await raw(self.scope, self.receive, self.send)


class Open(HTTPEndpoint):
    async def get(self, request: Request) -> Response:
        return await leak(request)


# An endpoint class, as Starlette takes it everywhere; FastAPI's add_route is typed for functions.
OPEN: Any = Open


class Blank(HTTPEndpoint):
    """Nothing that we could list."""


def _cached(endpoint: Callable[..., Any]) -> Any:
    """Answers whoever comes with what was once said to somebody."""

    @functools.wraps(endpoint)
    async def cached(*given: Any) -> Response:
        return await leak(given[-1])

    return cached


class CachedMethod(HTTPEndpoint):
    @_cached
    @authenticate
    async def get(self, request: Request) -> Response:
        return await leak(request)


def _in_a_router(*methods: str) -> Any:
    """An endpoint class in an included router. FastAPI makes its methods an empty set."""
    router = APIRouter()
    router.add_route("/x", OPEN, methods=methods or None)
    app = FastAPI(openapi_url=None)
    app.include_router(router, prefix="/in")
    return app.router.routes[0]


def _exchanged() -> Mount:
    mount = Mount("/x", Starlette(routes=[Route("/fine", fine)]))
    mount.app = raw
    return mount


def _lookalike() -> Any:
    """An opaque app that shows a list of routes, none of which it goes by."""

    class Lookalike:
        def __init__(self) -> None:
            self.routes: list[Any] = []

        async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
            await raw(scope, receive, send)

    return Lookalike()


@pytest.mark.parametrize(
    ("route", "named"),
    [
        (Route("/x", Half), "POST /x"),
        (Route("/x", Inherited), "POST /x"),
        (Route("/x", Overridden), "GET /x"),
        (Route("/x", Elsewhere), "ANY /x"),
        (Route("/x", Dispatched), "ANY /x"),
        (Route("/x", Open, methods=[]), "GET /x"),
        (Route("/x", Blank), "ANY /x"),
        (Route("/x", Open, methods=["TRACE"]), "TRACE /x"),
        (_in_a_router(), "GET /in/x"),
        (_in_a_router("GET"), "GET /in/x"),
        (Route("/x", _cached(authenticate(leak))), "GET /x"),
        (Route("/x", functools.partial(_cached(authenticate(leak)))), "GET /x"),
        (Route("/x", _cached(fine)), "GET /x"),
        (Route("/x", CachedMethod), "GET /x"),
        (_exchanged(), "mount /x"),
        (Mount("/x", Router([Mount("/y", leaky())])), "GET /x/y/secret"),
        (Mount("/x", _lookalike()), "mount /x"),
        (Mount("/x", Router(default=raw)), "mount /x/*"),
        (Host("x.example", leaky()), "GET //x.example/secret"),
        (Host("x.example", raw), "mount //x.example/"),
    ],
)
def test_what_is_there_at_the_start(auth: Authward, route: Any, named: str) -> None:
    app = Starlette(routes=[route])
    auth.install(app, deny_by_default=True)
    with pytest.raises(ConfigurationError) as caught, TestClient(app):
        raise AssertionError("it started")
    assert f"\n  {named} (" in str(caught.value)


def test_public_paths_reach_no_further_than_they_say(auth: Authward) -> None:
    app = Starlette(
        routes=[
            Route("/files", fine),
            Route("/files/", leak),
            Route("/filesystem", leak),
            Mount("/files", Router([Route("/inside", leak)])),
            Mount("/filesystem", raw),
        ]
    )
    auth.install(app, deny_by_default=True, public=["/files"])
    with pytest.raises(ConfigurationError) as caught, TestClient(app):
        raise AssertionError("it started")
    assert str(caught.value).count("\n  ") == 3
    assert "\n  GET /files/ (" in str(caught.value)
    assert "\n  GET /filesystem (" in str(caught.value)
    assert "\n  mount /filesystem (" in str(caught.value)


@pytest.mark.parametrize(
    "route",
    [
        Mount("/metrics", raw),
        Mount("/api", Router([Mount("/users/{id}", raw)])),
        Mount("/metrics", Starlette(routes=[Route("/fine", fine)])),
    ],
)
def test_a_mount_at_a_path_of_ours(auth: Authward, route: Mount) -> None:
    """`GET /metrics` would be ours and guarded, and `GET /metrics/` theirs."""
    with pytest.raises(ConfigurationError, match="would never be reached, as Authward serves"):
        auth.install(Starlette(routes=[route]))
