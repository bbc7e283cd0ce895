"""An app that denies by default serves no route that does not say who may call it."""

import functools
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import pytest
from fastapi import APIRouter, Depends, FastAPI
from fastapi import WebSocket as FastAPIWebSocket
from fastapi.staticfiles import StaticFiles
from starlette.applications import Starlette
from starlette.endpoints import HTTPEndpoint, WebSocketEndpoint
from starlette.middleware import Middleware
from starlette.middleware.gzip import GZipMiddleware
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import BaseRoute, Host, Mount, Route, Router, WebSocketRoute
from starlette.testclient import TestClient
from starlette.types import ASGIApp, Receive, Scope, Send
from starlette.websockets import WebSocket

from authward import Authward, ConfigurationError, Principal
from authward.declared import ANYONE, Need, Who, mark, marked
from authward.deny import require_declared, walk
from authward.http import health
from authward.http.endpoint import Endpoint
from authward.http.routes import ENDPOINTS
from authward.starlette import authenticate, authorize, principal, public, require
from authward.testing import as_user
from authward.ui.pages import File
from authward.walking import METHODS


async def bare(request: Request) -> Response:
    return PlainTextResponse("bare")


@public
async def everybody(request: Request) -> Response:
    return PlainTextResponse("everybody")


@authenticate
async def me(request: Request) -> Response:
    return PlainTextResponse(principal(request).id)


async def opaque(scope: Scope, receive: Receive, send: Send) -> None:
    await PlainTextResponse("opaque")(scope, receive, send)


def said(app: ASGIApp) -> dict[str, str | None]:
    """Who may call each route, as text."""
    found = walk(app).found
    told = {f"{one.how} {one.path}": None if one.who is None else str(one.who) for one in found}
    assert len(told) == len(found)
    return told


def denying(auth: Authward, app: Starlette, **options: Any) -> TestClient:
    auth.install(app, deny_by_default=True, **options)
    return TestClient(app, raise_server_exceptions=False)


def refusal(auth: Authward, app: Starlette, **options: Any) -> str:
    """Why the app does not start."""
    with (
        pytest.raises(ConfigurationError) as caught,
        denying(auth, app, **options),
    ):
        raise AssertionError("it started")
    return str(caught.value)


class TestWalk:
    def test_fastapi(self, auth: Authward, tmp_path: Path) -> None:
        async def nested(caller: Annotated[Principal, auth.require("a:b", "c:d")]) -> str:
            return caller.id

        app = FastAPI(openapi_url=None, dependencies=[auth.authenticate])
        inner = APIRouter(prefix="/inner", dependencies=[auth.authorize("admin", "moderator")])
        outer = APIRouter(prefix="/outer")

        @app.get("/whoever")
        async def whoever() -> None: ...

        @outer.post("/nested")
        async def posted(by: Annotated[str, Depends(nested)]) -> None: ...

        @inner.websocket("/socket")
        async def socket(websocket: FastAPIWebSocket) -> None: ...

        @inner.get("/public/{id:int}", dependencies=[auth.public])
        async def open_(id: int) -> None: ...

        inner.frontend("/ui", directory=tmp_path)
        inner.add_route("/plain", bare)
        outer.include_router(inner)
        app.include_router(outer, prefix="/v1")
        bare_router = APIRouter()
        bare_router.frontend("/", directory=tmp_path)
        app.include_router(bare_router, prefix="/site")
        assert said(app) == {
            "GET /whoever": "signed in",
            "POST /v1/outer/nested": "permission a:b and c:d",
            "websocket /v1/outer/inner/socket": "role admin or moderator",
            # A guard goes before what says public.
            "GET /v1/outer/inner/public/{id}": "role admin or moderator",
            "frontend /v1/outer/inner/ui": "role admin or moderator",
            # FastAPI applies neither dependencies nor its prefix to a Starlette route of a router.
            "GET /v1/outer/plain": None,
            "frontend /site": "signed in",
        }
        (tmp_path / "index.html").write_text("front")
        auth.install(app)
        with TestClient(app) as client:
            # What it says is so.
            assert client.get("/v1/outer/plain").text == "bare"
            assert client.post("/v1/outer/nested").status_code == 401
            for path in ("/whoever", "/v1/outer/inner/public/1", "/v1/outer/inner/ui/", "/site/"):
                assert client.get(path).status_code == 401, path

    def test_starlette(self, auth: Authward) -> None:
        class Things(HTTPEndpoint):
            @authorize("admin")
            async def get(self, request: Request) -> Response:
                return PlainTextResponse()

            @public
            def post(self, request: Request) -> Response:
                return PlainTextResponse()

            async def delete(self, request: Request) -> Response:
                return PlainTextResponse()

        class Echo(WebSocketEndpoint):
            @require("join:chat")
            async def on_connect(self, websocket: WebSocket) -> None: ...

        class Late(WebSocketEndpoint):
            @require("join:chat")
            async def on_receive(self, websocket: WebSocket, data: str) -> None: ...

        class Own(HTTPEndpoint):
            async def dispatch(self) -> None: ...

            @authenticate
            async def get(self, request: Request) -> Response:
                return PlainTextResponse()

        both = authorize("admin")(require("a:b")(bare))
        routes: list[BaseRoute] = [
            Route("/things", Things),
            Route("/some-things", Things, methods=["GET"]),
            Route("/own", Own),
            WebSocketRoute("/echo", Echo),
            WebSocketRoute("/late", Late),
            Route("/both", functools.partial(both), methods=["POST", "PUT"]),
            Route("/raw", _Raw()),
            Mount("/a/{tenant:int}", routes=[Mount("/b", app=Starlette(routes=[Route("/c", me)]))]),
            Mount("/static", app=opaque),
            Host("{sub}.example.com", app=Router([Route("/h", everybody)])),
            _Unknown(),
        ]
        app = Starlette(routes=routes)
        app.router.default = opaque
        assert said(app) == {
            "GET /things": "role admin",
            "POST /things": "anyone",
            "DELETE /things": None,
            "GET /some-things": "role admin",
            "ANY /own": None,
            "websocket /echo": "permission join:chat",
            "websocket /late": None,
            "POST,PUT /both": "role admin; permission a:b",
            "ANY /raw": None,
            "GET /a/{tenant}/b/c": "signed in",
            "mount /static": None,
            "GET //{sub}.example.com/h": "anyone",
            "mount /": None,
            "mount /*": None,
        }

    def test_middleware_of_a_mount_hides_nothing(self) -> None:
        around = [Middleware(GZipMiddleware), Middleware(GZipMiddleware)]
        mount = Mount("/m", routes=[Route("/x", everybody)], middleware=around)
        assert said(Starlette(routes=[mount])) == {"GET /m/x": "anyone"}

    def test_an_app_that_is_mounted_in_itself_ends(self) -> None:
        app = Starlette(routes=[Route("/x", everybody)])
        app.mount("/again", app)
        assert said(app) == {"GET /x": "anyone"}

    def test_our_own_apps_are_looked_into(self, auth: Authward) -> None:
        inner = auth.wrap(Starlette(routes=[Route("/x", bare)]))
        assert said(Starlette(routes=[Mount("/m", inner)])) == {"GET /m/x": None}

    def test_the_methods_of_endpoint_classes_are_those_that_starlette_looks_for(self) -> None:
        every: Any = type("Every", (HTTPEndpoint,), {m.lower(): lambda self: None for m in METHODS})
        assert tuple(every({"type": "http"}, None, None)._allowed_methods) == METHODS

    def test_requirements_are_told_by_their_text(self) -> None:
        class AnyOf:
            def __str__(self) -> str:
                return "a:b or c:d"

        assert str(Who((Need((), (AnyOf(),)),))) == "permission a:b or c:d"
        assert str(Who((Need((), (AnyOf(), "x:y")),))) == "permission (a:b or c:d) and x:y"

    def test_a_mark_of_any_other_kind_is_none(self) -> None:
        assert marked(type("Yes", (), {"__getattr__": lambda self, name: True})()) is None

    def test_a_decorated_function_is_no_dependency_that_refuses(self) -> None:
        # As a dependency it would answer to nobody, and the endpoint would run.
        app = FastAPI(openapi_url=None)
        app.add_api_route("/x", lambda: 1, dependencies=[Depends(me)])
        assert said(app) == {"GET /x": None}

    def test_every_list_of_routes_that_fastapi_has_is_known(self, tmp_path: Path) -> None:
        app = FastAPI()
        app.frontend("/", directory=tmp_path)
        lists = {
            name
            for name, value in vars(app.router).items()
            if isinstance(value, list) and any(isinstance(one, BaseRoute) for one in value)
        }
        assert lists == {name for holder, name in walk(app).lists if holder is app.router}


class _Raw:
    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None: ...


class _Unknown(BaseRoute):
    pass


class TestSayingPublic:
    def test_a_guard_cannot_be_declared_public(self) -> None:
        with pytest.raises(ConfigurationError, match="public: me has a guard: signed in"):
            public(me)

    def test_only_functions_are_decorated(self) -> None:
        with pytest.raises(ConfigurationError, match="cannot be decorated"):
            public(_Raw())

    def test_a_guard_over_public_still_asks(self, auth: Authward) -> None:
        both = authenticate(public(_copy()))
        app = Starlette(routes=[Route("/x", both)])
        with denying(auth, app) as client:
            assert client.get("/x").status_code == 401
        assert said(app) == {"GET /x": "signed in"}

    def test_in_fastapi_it_asks_nothing(self, auth: Authward) -> None:
        app = FastAPI()
        app.add_api_route("/x", lambda: "open", dependencies=[auth.public])
        app.add_api_route("/y", lambda: "mine", dependencies=[auth.public, auth.authenticate])
        with denying(auth, app) as client:
            assert client.get("/x").json() == "open"
            assert client.get("/y").status_code == 401
            document = client.get("/openapi.json").json()
        assert "security" not in document["paths"]["/x"]["get"]

    @pytest.mark.parametrize(
        ("paths", "why"),
        [
            (["health"], "'health' is not a path"),
            ("/health", "this is a text"),
            ([None], "no list of texts"),
        ],
    )
    def test_what_is_no_path(self, auth: Authward, paths: Any, why: str) -> None:
        with pytest.raises(ConfigurationError, match=why):
            auth.install(Starlette(), public=paths)

    @pytest.mark.parametrize("deny", [True, False])
    def test_a_path_of_nothing(self, auth: Authward, deny: bool) -> None:
        app = Starlette(routes=[Route("/health/", everybody)])
        auth.install(app, deny_by_default=deny, public=["/health", "/health/"])
        with (
            pytest.raises(ConfigurationError, match=r"nothing lies at /health\. "),
            TestClient(app),
        ):
            pass

    def test_a_path_of_what_has_a_guard(self, auth: Authward) -> None:
        why = refusal(auth, Starlette(routes=[Route("/me", me)]), public=["/me"])
        assert why.startswith("public: /me is named, and GET /me (tests.")
        assert "has a guard: signed in. Remove one of the two" in why

    def test_paths_of_routes_mounts_and_frontends(self, auth: Authward, tmp_path: Path) -> None:
        (tmp_path / "index.html").write_text("front")
        app = FastAPI()
        app.add_api_route("/health/{of:path}", lambda: "well")
        app.mount("/static", StaticFiles(directory=tmp_path))
        app.mount("/sub", Starlette(routes=[Route("/open", bare), Route("/me", me)]))
        app.frontend("/", directory=tmp_path)
        paths = ["/health/{of:path}", "/static/", "/sub", "/", "/docs"]
        with denying(auth, app, public=paths) as client:
            assert client.get("/health/x").json() == "well"
            assert client.get("/static/index.html").text == "front"
            assert client.get("/sub/open").text == "bare"
            assert client.get("/sub/me").status_code == 401
            assert client.get("/").text == "front"

    def test_documentation_that_is_off_may_be_named(
        self, make_auth: Callable[..., Authward]
    ) -> None:
        with denying(make_auth(docs=False), FastAPI(), public=["/docs", "/openapi.json"]) as client:
            assert client.get("/docs").status_code == 404

    def test_a_path_of_one_host_is_that_hosts(self, auth: Authward) -> None:
        app = Starlette(routes=[Host("x.example", Router([Route("/h", bare)])), Route("/h", me)])
        assert "GET //x.example/h" in refusal(auth, app)


def _copy() -> Callable[[Request], Any]:
    async def endpoint(request: Request) -> Response:
        return await bare(request)

    return endpoint


class TestStart:
    def test_names_every_undeclared_route_and_the_cure(self, auth: Authward) -> None:
        app = FastAPI()
        app.add_api_route("/x", _api, methods=["POST"])
        app.add_api_route("/open", _api, dependencies=[auth.public])
        app.add_api_websocket_route("/ws", _api)
        app.mount("/files", opaque)
        assert refusal(auth, app) == (
            "deny_by_default: nothing says who may call\n"
            f"  POST /x ({__name__}._api)\n"
            f"  websocket /ws ({__name__}._api)\n"
            f"  mount /files ({__name__}.opaque)\n"
            "Give it a guard. If anyone may: dependencies=[auth.public] in FastAPI, the decorator "
            "public of authward.starlette, or its path in install(…, public=[…]), which is the "
            "way for what is mounted and for frontends too"
        )

    def test_routes_may_come_between_install_and_start(self, auth: Authward) -> None:
        app = FastAPI()
        auth.install(app, deny_by_default=True)
        app.add_api_route("/x", _api, dependencies=[auth.authenticate])
        with TestClient(app) as client:
            assert client.get("/x").status_code == 401

    def test_where_no_lifespan_runs_the_first_request_is_refused(self, auth: Authward) -> None:
        client = denying(auth, Starlette(routes=[Route("/x", bare), Route("/me", me)]))
        for path in ("/x", "/me", "/api/public-data"):
            assert client.get(path).status_code == 500

    def test_an_app_that_does_not_deny_starts(self, auth: Authward) -> None:
        app = Starlette(routes=[Route("/x", bare)])
        auth.install(app)
        with TestClient(app) as client:
            assert client.get("/x").text == "bare"
            app.add_route("/y", bare)
            assert client.get("/y").text == "bare"

    def test_all_else_goes_on_working(self, auth: Authward) -> None:
        app = FastAPI()
        app.add_api_route("/x", _api, dependencies=[auth.public])
        app.add_api_route("/slash/", _api, dependencies=[auth.public])
        with denying(auth, app) as client, as_user(auth):
            assert client.get("/nothing").status_code == 404
            assert client.head("/x").status_code == 405
            assert client.options("/x").status_code == 405
            assert client.post("/x").status_code == 405
            assert client.get("/slash").json() == "api"
            assert client.get("/docs").status_code == 200
            assert client.get("/api/profile").status_code in (200, 404)

    def test_starting_again(self, auth: Authward) -> None:
        app = Starlette(routes=[Route("/x", everybody)])
        client = denying(auth, app)
        for _ in range(2):
            with client:
                assert client.get("/x").text == "everybody"


async def _api() -> str:
    return "api"


class TestOurOwnServer:
    def test_every_route_and_page_says_who(self, auth: Authward) -> None:
        found = said(auth.asgi()) | said(Router(auth.routes()))
        assert None not in found.values()
        assert {"GET /docs", "GET /openapi.json", "GET /authward.js"} < found.keys()
        assert found["POST /api/auth/logout"] == "session cookie"
        assert found["GET /api/users"].startswith("permission ")  # type: ignore[union-attr]
        assert len(said(Router(auth.routes()))) == len(ENDPOINTS) + 3

    @pytest.mark.parametrize("who", ["", "nobody", None])
    def test_an_endpoint_that_does_not_say_cannot_be_made(self, who: Any) -> None:
        with pytest.raises(ConfigurationError, match="GET /x: who may call it"):
            Endpoint("GET", "/x", health.healthz, who, "")

    @pytest.mark.parametrize("who", ["anyone", "cookie"])
    def test_nor_can_one_whose_permission_nobody_would_be_asked_for(self, who: Any) -> None:
        with pytest.raises(ConfigurationError, match="nobody would be asked for a:b"):
            Endpoint("GET", "/x", health.healthz, who, "", permission="a:b")

    def test_a_page_that_does_not_say_is_not_served(
        self, auth: Authward, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("authward.app.api_routes", lambda *_, **__: [Route("/page", bare)])
        with pytest.raises(ConfigurationError, match="GET /page"):
            auth.asgi()

    def test_nor_is_a_route_beside_an_app(
        self, auth: Authward, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("authward.app.module_route", lambda clock: Route("/page", _Raw()))
        with pytest.raises(ConfigurationError, match="ANY /page"):
            auth.wrap(opaque)

    def test_a_file_is_for_anyone(self, auth: Authward) -> None:
        file = File(b"text/plain", lambda: b"", auth.clock)
        require_declared(walk(Router([Route("/f", file)])).found)


def test_marks_of_public_and_guard_add_up() -> None:
    assert ANYONE + Who((Need(),)) == Who((Need(),))
    assert str(ANYONE + None) == "anyone"

    def target() -> None: ...

    mark(target, ANYONE)
    assert marked(target) is ANYONE
