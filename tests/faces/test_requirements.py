"""Any of several permissions, all of them, wildcards and included roles, wherever guards stand."""

from collections.abc import Iterator
from typing import Annotated

import pytest
from fastapi import FastAPI
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import BaseRoute, Route, WebSocketRoute
from starlette.testclient import TestClient
from starlette.websockets import WebSocket, WebSocketDisconnect

from authward import Authward, Principal, all_of, any_of
from authward.core.permissions import DEFAULT_ROLES, Role
from authward.starlette import authorize, require
from authward.testing import as_user

EITHER = any_of("update:posts", "manage:posts")
NESTED = any_of("manage:posts", all_of("update:posts", any_of("read:drafts", "read:all-drafts")))
STAFF = {
    **DEFAULT_ROLES,
    "author": Role(frozenset({"update:posts"})),
    "editor": Role(frozenset({"read:drafts"}), frozenset({"author"})),
    "chief": Role(frozenset({"manage:*"}), frozenset({"editor"})),
}
PATHS = ("either", "nested", "both", "author")


def fastapi_app(auth: Authward) -> FastAPI:
    app = FastAPI()
    guards = (
        auth.require(EITHER),
        auth.require(NESTED),
        auth.require(EITHER, "read:drafts"),
        auth.authorize("author", "admin"),
    )
    for path, guard in zip(PATHS, guards, strict=True):

        async def annotated(me: Annotated[Principal, guard]) -> str:
            return me.id

        def sync() -> None: ...

        async def socket(websocket: WebSocket, me: Annotated[Principal, guard]) -> None:
            await websocket.accept()
            await websocket.close()

        app.get(f"/{path}")(annotated)
        app.get(f"/{path}/sync", dependencies=[guard])(sync)
        app.websocket(f"/{path}/ws")(socket)
    return app


def starlette_app(auth: Authward) -> Starlette:
    routes: list[BaseRoute] = []
    guards = (
        require(EITHER),
        require(NESTED),
        require(EITHER, "read:drafts"),
        authorize("author", "admin"),
    )
    for path, guard in zip(PATHS, guards, strict=True):

        @guard
        async def endpoint(request: Request) -> Response:
            return PlainTextResponse("in")

        @guard
        def sync(request: Request) -> Response:
            return PlainTextResponse("in")

        @guard
        async def socket(websocket: WebSocket) -> None:
            await websocket.accept()
            await websocket.close()

        routes += [
            Route(f"/{path}", endpoint),
            Route(f"/{path}/sync", sync),
            WebSocketRoute(f"/{path}/ws", socket),
        ]
    return Starlette(routes=routes)


@pytest.fixture(params=["fastapi", "starlette"])
def client(auth: Authward, request: pytest.FixtureRequest) -> Iterator[TestClient]:
    app = (fastapi_app if request.param == "fastapi" else starlette_app)(auth)
    auth.install(app)
    with TestClient(app) as client:
        feed = auth.services.feed
        feed.roles = STAFF
        feed.roles_version += 1
        yield client


def lets_in(client: TestClient, path: str) -> bool:
    """Whether an endpoint, a sync one and a WebSocket let the caller in; all three agree."""
    statuses = [client.get(f"/{path}{kind}").status_code for kind in ("", "/sync")]
    try:
        with client.websocket_connect(f"/{path}/ws"):
            opened = True
    except WebSocketDisconnect:
        opened = False
    assert statuses == ([200, 200] if opened else [403, 403])
    return opened


@pytest.mark.parametrize(
    ("permissions", "expected"),
    [
        ([], ""),
        (["update:posts"], "either"),
        (["manage:posts"], "either nested"),
        (["read:drafts"], ""),
        (["update:posts", "read:drafts"], "either nested both"),
        (["update:posts", "read:all-drafts"], "either nested"),
        # Wildcards that the caller holds.
        (["update:*"], "either"),
        (["*:posts"], "either nested"),
        (["read:*"], ""),
        (["update:*", "read:*"], "either nested both"),
        (["*:*"], "either nested both"),
        (["*:post", "updat:*"], ""),
    ],
)
def test_what_is_held(
    auth: Authward, client: TestClient, permissions: list[str], expected: str
) -> None:
    with as_user(auth, permissions=permissions):
        assert [path for path in PATHS if lets_in(client, path)] == expected.split()


@pytest.mark.parametrize(
    ("role", "expected"),
    [
        ("user", ""),
        ("author", "either author"),
        ("editor", "either nested both author"),
        ("chief", "either nested both author"),
        ("admin", "either nested both author"),
        ("moderator", ""),
    ],
)
def test_what_a_role_brings_through_those_it_includes(
    auth: Authward, client: TestClient, role: str, expected: str
) -> None:
    with as_user(auth, role=role):
        assert [path for path in PATHS if lets_in(client, path)] == expected.split()


def test_a_stranger_is_no_caller(client: TestClient) -> None:
    for path in PATHS:
        assert client.get(f"/{path}").json()["error"] == "missing_token"
