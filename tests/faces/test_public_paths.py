"""`public=[…]` opens what it names: a path, one method of it, or what is mounted there."""

from pathlib import Path
from typing import Any

import pytest
from fastapi import FastAPI
from starlette.applications import Starlette
from starlette.endpoints import HTTPEndpoint
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Mount, Route, Router, WebSocketRoute
from starlette.staticfiles import StaticFiles
from starlette.testclient import TestClient
from starlette.websockets import WebSocket

from authward import Authward, ConfigurationError
from authward.deny import known, walk
from authward.opened import with_public
from authward.starlette import authenticate


async def bare(request: Request) -> Response:
    return PlainTextResponse("bare")


@authenticate
async def guarded(request: Request) -> Response:
    return PlainTextResponse("guarded")


async def socket(websocket: WebSocket) -> None:
    await websocket.accept()
    await websocket.close()


class Both(HTTPEndpoint):
    async def get(self, request: Request) -> Response:
        return PlainTextResponse("got")

    @authenticate
    async def post(self, request: Request) -> Response:
        return PlainTextResponse("posted")


def started(auth: Authward, app: Starlette, paths: list[str]) -> TestClient:
    auth.install(app, deny_by_default=True, public=paths)
    return TestClient(app, raise_server_exceptions=False)


def refusal(auth: Authward, app: Starlette, *paths: str) -> str:
    """Why the app does not start."""
    with pytest.raises(ConfigurationError) as caught, started(auth, app, [*paths]):
        raise AssertionError("it started")
    return str(caught.value)


def shown(app: Starlette) -> dict[str, str | None]:
    """Who may call each route, with what `public` says of it."""
    what = known(app)
    assert what is not None
    found = with_public(walk(app).found, what.public, what.pages, strict=True)
    return {f"{one.how} {one.path}": None if one.who is None else str(one.who) for one in found}


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("get /x", "public: 'get /x'? Did you mean 'GET /x'?"),
        ("Get /x", "public: 'Get /x'? Did you mean 'GET /x'?"),
        ("GET/x", "public: 'GET/x'? Did you mean 'GET /x'?"),
        ("GET  /x", "public: 'GET  /x'? Did you mean 'GET /x'?"),
        ("GET\n/x", "public: 'GET\\n/x'? Did you mean 'GET /x'?"),
        ("MOUNT /x", "public: 'MOUNT /x'? Did you mean 'mount /x'?"),
        (
            "FETCH /x",
            "public: in 'FETCH /x' 'FETCH' is no method. Before a path stands one of GET, HEAD, "
            "POST, PUT, PATCH, DELETE, OPTIONS, QUERY, or websocket, mount, frontend, or nothing",
        ),
        ("* /x", "public: in '* /x' '*' is no method"),
        ("GET,POST /x", "public: in 'GET,POST /x' 'GET,POST' is no method"),
        ("GET x", "public: 'GET x' is not a path"),
        ("GET", "public: 'GET' is not a path"),
        (" /x", "public: ' /x' is not a path"),
        ("", "public: '' is not a path"),
    ],
)
def test_what_is_no_path_of_a_method(auth: Authward, text: str, why: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        auth.install(Starlette(), public=[text])
    assert str(caught.value).startswith(why)


def test_one_method_is_opened_and_no_other(auth: Authward) -> None:
    app = Starlette(routes=[Route("/x", bare), Route("/x", bare, methods=["POST"])])
    why = refusal(auth, app, "GET /x")
    assert why.count("\n  ") == 1
    assert "\n  POST /x (" in why


def test_the_path_alone_opens_each_method(auth: Authward) -> None:
    app = Starlette(routes=[Route("/x", bare), Route("/x", bare, methods=["POST"])])
    with started(auth, app, ["/x"]) as client:
        assert client.get("/x").text == client.post("/x").text == "bare"


def test_one_endpoint_of_several_methods_is_opened_for_one(auth: Authward) -> None:
    app = Starlette(routes=[Route("/x/{id:int}", bare, methods=["GET", "POST", "DELETE"])])
    assert "\n  DELETE,POST /x/{id} (" in refusal(auth, app, "GET /x/{id:int}")


def test_all_named_one_by_one(auth: Authward) -> None:
    app = Starlette(routes=[Route("/x", bare, methods=["GET", "POST"])])
    with started(auth, app, ["GET /x", "POST /x"]) as client:
        assert client.post("/x").text == "bare"
        assert client.head("/x").status_code == 200
    assert shown(app) == {"GET /x": "anyone", "POST /x": "anyone"}


def test_of_an_endpoint_of_all_methods_the_others_stay_closed(auth: Authward) -> None:
    class Any_:
        async def __call__(self, scope: Any, receive: Any, send: Any) -> None: ...

    assert "\n  ANY /x (" in refusal(auth, Starlette(routes=[Route("/x", Any_())]), "GET /x")


def test_a_method_beside_one_with_a_guard(auth: Authward) -> None:
    """The path alone would name the guarded one too."""
    app = Starlette(routes=[Route("/x", Both)])
    with started(auth, app, ["GET /x"]) as client:
        assert client.get("/x").text == "got"
        assert client.post("/x").status_code == 401
    assert shown(app) == {"GET /x": "anyone", "POST /x": "signed in"}


def test_a_method_with_a_guard(auth: Authward) -> None:
    why = refusal(auth, Starlette(routes=[Route("/x", Both)]), "POST /x")
    assert why.startswith("public: POST /x is named, and POST /x (")
    assert "has a guard: signed in. Remove one of the two" in why


@pytest.mark.parametrize(
    ("named", "there"),
    [
        ("POST /x", "(but GET)"),
        ("HEAD /x", "(but GET)"),
        ("websocket /x", "(but GET)"),
        ("mount /x", "(but GET)"),
        ("GET /ws", "(but websocket)"),
        ("GET /sub", "(but mount)"),
        ("frontend /sub", "(but mount)"),
    ],
)
def test_what_is_there_otherwise_is_said(auth: Authward, named: str, there: str) -> None:
    routes = [
        Route("/x", bare),
        WebSocketRoute("/ws", socket),
        Mount("/sub", StaticFiles(directory=".")),
    ]
    app = Starlette(routes=routes)
    auth.install(app, public=["/x", "/ws", "/sub", named])
    with pytest.raises(ConfigurationError) as caught, TestClient(app):
        pass
    assert f"nothing lies at {named} {there}. Name" in str(caught.value)


def test_a_method_that_nothing_has(auth: Authward) -> None:
    why = refusal(auth, Starlette(), "GET /gone")
    assert why.startswith("public: nothing lies at GET /gone. Name")


def test_a_websocket_beside_a_route(auth: Authward) -> None:
    routes = [Route("/x", guarded), WebSocketRoute("/x", socket)]
    app = Starlette(routes=routes)
    with started(auth, app, ["websocket /x"]) as client:
        assert client.get("/x").status_code == 401
        with client.websocket_connect("/x"):
            pass
    assert shown(app) == {"GET /x": "signed in", "websocket /x": "anyone"}


class TestMounts:
    """A path of a page, and of files that are mounted there, is told apart."""

    @pytest.mark.parametrize("way", ["beside", "inside"])
    def test_a_path_with_two_meanings(self, auth: Authward, tmp_path: Path, way: str) -> None:
        if way == "beside":
            routes = [Route("/", bare), Mount("/", StaticFiles(directory=tmp_path))]
        else:
            routes = [Mount("/", Router([Route("/", bare), Route("/secret", bare)]))]
        why = refusal(auth, Starlette(routes=routes), "/")
        assert why.startswith("public: / is the path of GET / (")
        assert why.endswith(
            ", and of a mount with all below it. Say which you mean, or each of them: "
            "'GET /', 'mount /'"
        )

    def test_the_page_alone(self, auth: Authward, tmp_path: Path) -> None:
        routes = [Route("/", bare), Mount("/", StaticFiles(directory=tmp_path))]
        why = refusal(auth, Starlette(routes=routes), "GET /")
        assert "\n  mount / (" in why
        assert "\n  GET / (" not in why

    def test_the_mount_alone(self, auth: Authward, tmp_path: Path) -> None:
        routes = [Route("/", bare), Mount("/", StaticFiles(directory=tmp_path))]
        why = refusal(auth, Starlette(routes=routes), "mount /")
        assert "\n  GET / (" in why
        assert "\n  mount / (" not in why

    def test_both(self, auth: Authward, tmp_path: Path) -> None:
        (tmp_path / "file").write_text("of all")
        routes = [Route("/", bare), Mount("/", StaticFiles(directory=tmp_path))]
        with started(auth, Starlette(routes=routes), ["GET /", "mount /"]) as client:
            assert client.get("/").text == "bare"
            assert client.get("/file").text == "of all"

    @pytest.mark.parametrize("named", ["/", "mount /", "/sub", "/sub/", "mount /sub/"])
    def test_a_mount_with_nothing_beside_it(
        self, auth: Authward, tmp_path: Path, named: str
    ) -> None:
        (tmp_path / "file").write_text("of all")
        at = "/sub" if "sub" in named else "/"
        app = Starlette(routes=[Mount(at, StaticFiles(directory=tmp_path))])
        with started(auth, app, [named]) as client:
            assert client.get(f"{at.rstrip('/')}/file").text == "of all"

    def test_the_first_page_of_a_mount_is_not_the_mount(self, auth: Authward) -> None:
        def app() -> Starlette:
            return Starlette(routes=[Mount("/sub", Router([Route("/", bare), Route("/in", bare)]))])

        assert "'GET /sub/', 'mount /sub/'" in refusal(auth, app(), "/sub/")
        assert "\n  GET /sub/in (" in refusal(auth, app(), "GET /sub/")
        with started(auth, app(), ["/sub"]) as client:
            assert client.get("/sub/in").text == "bare"

    def test_a_frontend_beside_a_page(self, auth: Authward, tmp_path: Path) -> None:
        (tmp_path / "index.html").write_text("front")

        def app() -> FastAPI:
            made = FastAPI(openapi_url=None)
            made.add_api_route("/", lambda: "page", methods=["GET", "POST"])
            made.frontend("/", directory=tmp_path)
            return made

        assert "'GET /', 'POST /', 'frontend /'" in refusal(auth, app(), "/")
        assert "\n  frontend / (" in refusal(auth, app(), "GET /", "POST /")
        with started(auth, app(), ["GET /", "POST /", "frontend /"]) as client:
            assert client.get("/").json() == "page"
            assert client.get("/index.html").text == "front"

    def test_a_websocket_or_any_method_beside_it(self, auth: Authward, tmp_path: Path) -> None:
        class Any_:
            async def __call__(self, scope: Any, receive: Any, send: Any) -> None: ...

        files = Mount("/x", StaticFiles(directory=tmp_path))
        why = refusal(auth, Starlette(routes=[WebSocketRoute("/x", socket), files]), "/x")
        assert "'websocket /x', 'mount /x'" in why
        why = refusal(auth, Starlette(routes=[Route("/x", Any_()), files]), "/x")
        assert "'GET /x', 'mount /x'" in why

    def test_a_route_that_says_it_itself_leaves_one_meaning(
        self, auth: Authward, tmp_path: Path
    ) -> None:
        app = FastAPI(openapi_url=None)
        app.add_api_route("/", lambda: "page", dependencies=[auth.public])
        app.mount("/", StaticFiles(directory=tmp_path))
        with started(auth, app, ["/"]) as client:
            assert client.get("/").json() == "page"
