"""Guards as decorators on Starlette's endpoints."""

from collections.abc import Callable

import pytest
from starlette.applications import Starlette
from starlette.endpoints import HTTPEndpoint, WebSocketEndpoint
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route, Router, WebSocketRoute
from starlette.testclient import TestClient
from starlette.websockets import WebSocket, WebSocketDisconnect

from authward import Authward, ConfigurationError
from authward.starlette import authenticate, authorize, principal, require
from authward.testing import as_user


@authenticate
async def me(request: Request) -> Response:
    """Who is it?"""
    return PlainTextResponse(principal(request).id)


@authorize("admin", "moderator")
def sync(request: Request) -> Response:
    return PlainTextResponse(principal(request).role)


class Reports(HTTPEndpoint):
    @require("read:reports")
    async def get(self, request: Request) -> Response:
        return PlainTextResponse(principal(request).id)

    @authorize("admin")
    def post(self, request: Request) -> Response:
        return PlainTextResponse("made", 201)


@require("join:chat")
async def chat(websocket: WebSocket) -> None:
    await websocket.accept()
    await websocket.send_text(principal(websocket).id)
    await websocket.close()


class Echo(WebSocketEndpoint):
    encoding = "text"

    @authenticate
    async def on_connect(self, websocket: WebSocket) -> None:
        await websocket.accept()

    async def on_receive(self, websocket: WebSocket, data: str) -> None:
        await websocket.send_text(f"{principal(websocket).id} {data}")


ROUTES = [
    Route("/me", me),
    Route("/sync", sync),
    Route("/reports", Reports),
    WebSocketRoute("/chat", chat),
    WebSocketRoute("/echo", Echo),
]


@pytest.fixture(params=["installed", "wrapped", "router"])
def client(auth: Authward, request: pytest.FixtureRequest) -> TestClient:
    app = Starlette(routes=ROUTES)
    if request.param == "installed":
        auth.install(app)
        return TestClient(app)
    return TestClient(auth.wrap(app if request.param == "wrapped" else Router(ROUTES)))


def test_http(auth: Authward, client: TestClient) -> None:
    with client:
        for path in ("/me", "/sync", "/reports"):
            refused = client.get(path)
            assert refused.status_code == 401
            assert refused.json()["error"] == "missing_token"
            assert refused.headers["www-authenticate"].startswith("Bearer")
        with as_user(auth) as caller:
            assert client.get("/me").text == caller.id
            assert client.get("/sync").json()["error"] == "forbidden"
            assert client.get("/reports").status_code == 403
            assert client.post("/reports").status_code == 403
        with as_user(auth, role="admin", permissions=["read:reports"]) as caller:
            assert client.get("/sync").text == "admin"
            assert client.get("/reports").text == caller.id
            assert client.post("/reports").text == "made"


def test_websocket(auth: Authward, client: TestClient) -> None:
    with client:
        for path in ("/chat", "/echo"):
            with pytest.raises(WebSocketDisconnect), client.websocket_connect(path):
                pass
        with as_user(auth) as caller:
            with pytest.raises(WebSocketDisconnect), client.websocket_connect("/chat"):
                pass
            with client.websocket_connect("/echo") as socket:
                socket.send_text("hello")
                assert socket.receive_text() == f"{caller.id} hello"
        with (
            as_user(auth, permissions=["join:chat"]) as caller,
            client.websocket_connect("/chat") as socket,
        ):
            assert socket.receive_text() == caller.id


def test_what_a_decorator_keeps() -> None:
    assert me.__name__ == "me"
    assert me.__doc__ == "Who is it?"


def test_what_cannot_be_decorated(auth: Authward) -> None:
    with pytest.raises(ConfigurationError, match="cannot be decorated"):
        authenticate(Reports)
    with pytest.raises(ConfigurationError, match="name at least one"):
        authorize()
    with pytest.raises(ConfigurationError, match="A permission is written verb:resource"):
        require("")


def test_without_a_request(make_auth: Callable[..., Authward]) -> None:
    @authenticate
    async def nothing() -> None: ...

    with pytest.raises(ConfigurationError, match="takes a Request"):
        nothing().send(None)


def test_not_behind_us() -> None:
    with pytest.raises(ConfigurationError, match="not behind Authward"):
        TestClient(Starlette(routes=ROUTES)).get("/me")
