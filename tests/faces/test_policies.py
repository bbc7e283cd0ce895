"""Policies on objects in the endpoints of apps: who is refused gets 403, and that is written
down.
"""

import logging
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated

import pytest
from fastapi import FastAPI
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route, Router, WebSocketRoute
from starlette.testclient import TestClient
from starlette.types import Receive, Scope, Send
from starlette.websockets import WebSocket, WebSocketDisconnect

from authward import Authward, Principal, owner, role
from authward.core.audit import Event
from authward.core.permissions import DEFAULT_ROLES, Role
from authward.starlette import authenticate, principal
from authward.testing import as_user

ADA, EVE = "ada-lovelace", "eve-malory"


@dataclass
class Post:
    author_id: str | None


POSTS = {"adas": Post(ADA), "nobodys": Post(None)}


def fastapi_app(auth: Authward) -> FastAPI:
    app = FastAPI()

    @app.put("/posts/{name}")
    async def edit(name: str, me: Annotated[Principal, auth.authenticate]) -> str:
        auth.policies.check(me, "update:post", POSTS[name])
        return "edited"

    @app.put("/sync/{name}")
    def edit_sync(name: str, me: Annotated[Principal, auth.authenticate]) -> str:
        auth.policies.check(me, "update:post", POSTS[name])
        return "edited"

    @app.get("/posts/{name}")
    async def show(name: str, me: Annotated[Principal, auth.authenticate]) -> dict[str, bool]:
        return {"mayEdit": auth.policies.can(me, "update:post", POSTS[name])}

    @app.delete("/posts/{name}")
    def remove(name: str, me: Annotated[Principal, auth.authenticate]) -> None:
        auth.policies.check(me, "delete:post", POSTS[name])

    @app.websocket("/ws/{name}")
    async def ws(
        name: str, websocket: WebSocket, me: Annotated[Principal, auth.authenticate]
    ) -> None:
        await websocket.accept()
        auth.policies.check(me, "update:post", POSTS[name])
        await websocket.close()

    return app


def starlette_app(auth: Authward) -> Starlette:
    def check(request: Request | WebSocket, action: str = "update:post") -> None:
        post = POSTS[request.path_params["name"]]
        auth.policies.check(principal(request), action, post)

    async def edit(request: Request) -> Response:
        check(request)
        return PlainTextResponse("edited")

    @authenticate
    def edit_sync(request: Request) -> Response:
        check(request)
        return PlainTextResponse("edited")

    async def show(request: Request) -> Response:
        may = auth.policies.can(
            principal(request), "update:post", POSTS[request.path_params["name"]]
        )
        return PlainTextResponse(f'{{"mayEdit":{str(may).lower()}}}')

    def remove(request: Request) -> Response:
        check(request, "delete:post")
        return Response()

    async def ws(websocket: WebSocket) -> None:
        principal(websocket)
        await websocket.accept()
        check(websocket)
        await websocket.close()

    return Starlette(
        routes=[
            Route("/posts/{name}", edit, methods=["PUT"]),
            Route("/sync/{name}", edit_sync, methods=["PUT"]),
            Route("/posts/{name}", show),
            Route("/posts/{name}", remove, methods=["DELETE"]),
            WebSocketRoute("/ws/{name}", ws),
        ]
    )


@pytest.fixture(params=["fastapi", "starlette"])
def client(auth: Authward, request: pytest.FixtureRequest) -> Iterator[TestClient]:
    auth.policies.allow("update:post", owner("author_id"))
    auth.policies.allow("update:post", role("editor"))
    app = (fastapi_app if request.param == "fastapi" else starlette_app)(auth)
    auth.install(app)
    with TestClient(app) as client:
        feed = auth.services.feed
        feed.roles = {
            **DEFAULT_ROLES,
            "editor": Role(),
            "chief": Role(includes=frozenset({"editor"})),
        }
        feed.roles_version += 1
        yield client


def denials(auth: Authward, client: TestClient) -> list[Event]:
    """What was written down as denied, oldest first."""

    async def read() -> list[Event]:
        await auth.services.refusals.flush()
        return [row.event for row in await auth.services.store.audit.latest(20)][::-1]

    assert client.portal is not None
    found: list[Event] = client.portal.call(read)
    return [event for event in found if event.kind == "access.denied"]


@pytest.mark.parametrize(
    ("who", "role", "post", "may"),
    [
        (ADA, "user", "adas", True),
        (EVE, "user", "adas", False),
        (EVE, "moderator", "adas", False),
        (EVE, "editor", "adas", True),
        (EVE, "chief", "adas", True),
        (ADA, "user", "nobodys", False),
        (EVE, "editor", "nobodys", True),
    ],
)
def test_authors_edit_their_own_posts_editors_any(
    auth: Authward, client: TestClient, who: str, role: str, post: str, may: bool
) -> None:
    with as_user(auth, id=who, role=role):
        assert client.get(f"/posts/{post}").json() == {"mayEdit": may}
        for path in (f"/posts/{post}", f"/sync/{post}"):
            answer = client.put(path)
            assert answer.status_code == (200 if may else 403), path
            if not may:
                assert answer.json() | {"timestamp": ""} == {
                    "statusCode": 403,
                    "message": "Forbidden: insufficient permissions",
                    "error": "forbidden",
                    "path": path,
                    "timestamp": "",
                }
    events = denials(auth, client)
    # Written down each second: both may be in one row, or in one each.
    assert sum(int(one.detail["count"]) for one in events) == (0 if may else 2)
    assert {(one.subject, one.detail["error"]) for one in events} == (
        set() if may else {(who, "forbidden")}
    )
    assert all(one.detail["reason"] == "no rule allows update:post" for one in events)
    assert all(one.client.ip for one in events)


def test_what_nobody_wrote_a_rule_for(
    auth: Authward, client: TestClient, caplog: pytest.LogCaptureFixture
) -> None:
    with as_user(auth, id=ADA), caplog.at_level(logging.WARNING):
        refused = client.delete("/posts/adas")
    assert (refused.status_code, refused.json()["error"]) == (403, "forbidden")
    assert "auth.policies" not in refused.text
    cure = "nobody wrote a rule for delete:post: auth.policies.allow('delete:post', …)"
    assert cure in caplog.text
    [event] = denials(auth, client)
    assert (event.subject, event.detail["reason"]) == (ADA, cure)


def test_on_a_websocket(auth: Authward, client: TestClient) -> None:
    def ending(who: str) -> int:
        with (
            as_user(auth, id=who),
            client.websocket_connect("/ws/adas") as socket,
            pytest.raises(WebSocketDisconnect) as closed,
        ):
            socket.receive_text()
        return closed.value.code

    assert ending(ADA) == 1000
    assert denials(auth, client) == []
    assert ending(EVE) == 4403
    [event] = denials(auth, client)
    assert (event.subject, event.detail["error"]) == (EVE, "forbidden")


def test_nobody_asked_who_calls(auth: Authward, client: TestClient) -> None:
    """A guard is what lets in; the refusal of one that was asked is written down once."""
    assert client.put("/posts/adas").status_code == 401
    [event] = denials(auth, client)
    assert (event.subject, event.detail["error"], event.detail["count"]) == (
        None,
        "missing_token",
        1,
    )


def test_on_a_bare_app(auth: Authward) -> None:
    auth.policies.allow("update:post", owner("author_id"))

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            return await Router()(scope, receive, send)
        auth.policies.check(auth.principal(scope), "update:post", POSTS["adas"])
        await PlainTextResponse("edited")(scope, receive, send)

    with TestClient(auth.wrap(app)) as client:
        with as_user(auth, id=ADA):
            assert client.get("/").text == "edited"
        with as_user(auth, id=EVE):
            assert client.get("/").json()["error"] == "forbidden"
        [event] = denials(auth, client)
        assert event.detail["reason"] == "no rule allows update:post"
