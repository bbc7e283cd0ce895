"""Why not: a 403 says which grant was missing, in development alone."""

from collections.abc import Callable
from typing import Any

import pytest
from fastapi import FastAPI, WebSocket
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route, Router
from starlette.testclient import TestClient
from starlette.types import ASGIApp, Receive, Scope, Send
from starlette.websockets import WebSocketDisconnect

from authward import Authward, any_of, owner
from authward.core.permissions import DEFAULT_ROLES, Role
from authward.core.principal import Principal
from authward.errors import Detail, Forbidden
from authward.services import access as access_module
from authward.services.tokens import Tokens
from authward.starlette import authorize, require
from authward.testing import as_user
from tests.faces.serving import HOST

REPORTS = {
    "field": "permission",
    "code": "missing_grant",
    "message": "Needs read:reports. Roles that grant it: auditor, admin.",
}
STAFF = {
    "field": "role",
    "code": "missing_grant",
    "message": "Needs the role auditor or editor. Roles that include it: chief.",
}
EITHER = {
    "field": "permission",
    "code": "missing_grant",
    "message": "Needs update:posts or manage:posts. Roles that grant it: admin.",
}
USERS = {
    "field": "permission",
    "code": "missing_grant",
    "message": "Needs list:users. Roles that grant it: admin.",
}


def fastapi_app(auth: Authward) -> ASGIApp:
    app = FastAPI()

    @app.get("/reports", dependencies=[auth.require("read:reports")])
    async def reports() -> None: ...

    @app.get("/either", dependencies=[auth.require(any_of("update:posts", "manage:posts"))])
    def either() -> None: ...

    @app.get("/staff", dependencies=[auth.authorize("editor", "auditor")])
    async def staff() -> None: ...

    auth.install(app)
    return app


def starlette_app(auth: Authward) -> ASGIApp:
    async def inside(request: Request) -> Response:
        return PlainTextResponse("in")

    def sync(request: Request) -> Response:
        return PlainTextResponse("in")

    app = Starlette(
        routes=[
            Route("/reports", require("read:reports")(inside)),
            Route("/either", require(any_of("update:posts", "manage:posts"))(sync)),
            Route("/staff", authorize("editor", "auditor")(inside)),
        ]
    )
    auth.install(app)
    return app


def bare_app(auth: Authward) -> ASGIApp:
    needs: dict[str, Any] = {
        "/reports": {"permissions": ["read:reports"]},
        "/either": {"permissions": [any_of("update:posts", "manage:posts")]},
        "/staff": {"roles": ["editor", "auditor"]},
    }

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            return await Router()(scope, receive, send)
        auth.principal(scope, **needs[scope["path"]])
        await PlainTextResponse("in")(scope, receive, send)

    return auth.wrap(app)


def prepare(auth: Authward) -> None:
    feed = auth.services.feed
    feed.roles = {
        **DEFAULT_ROLES,
        "auditor": Role(frozenset({"read:reports"})),
        "editor": Role(),
        "chief": Role(includes=frozenset({"editor"})),
    }
    feed.roles_version += 1


@pytest.mark.parametrize("make", [fastapi_app, starlette_app, bare_app])
def test_in_development_it_says_what_was_missing(
    auth: Authward, make: Callable[[Authward], ASGIApp]
) -> None:
    with TestClient(make(auth)) as client:
        prepare(auth)
        with as_user(auth):
            for path, detail in (
                ("/reports", REPORTS),
                ("/either", EITHER),
                ("/staff", STAFF),
                ("/api/users", USERS),
            ):
                answer = client.get(path)
                assert answer.status_code == 403, path
                assert answer.json() | {"timestamp": ""} == {
                    "statusCode": 403,
                    "message": "Forbidden: insufficient permissions",
                    "error": "forbidden",
                    "path": path,
                    "timestamp": "",
                    "details": [detail],
                }
                problem = client.get(path, headers={"accept": "application/problem+json"})
                assert problem.headers["content-type"] == "application/problem+json"
                assert (problem.json()["status"], problem.json()["details"]) == (403, [detail])
        # Who is told nothing of who they are is told nothing of this.
        assert "details" not in client.get("/reports").json()
        with as_user(auth, permissions=["read:reports"]):
            assert client.get("/reports").status_code == 200


@pytest.mark.parametrize("make", [fastapi_app, starlette_app, bare_app])
def test_in_production_it_says_nothing(
    in_production: Callable[..., Authward],
    make: Callable[[Authward], ASGIApp],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    auth = in_production()
    with TestClient(make(auth), base_url=f"https://{HOST}") as client:
        prepare(auth)
        # There is no standing in for callers in production.
        caller = Principal("user-0000000001", "", "user", frozenset(), "session-01")
        monkeypatch.setattr(Tokens, "verify", lambda self, token, **_: caller)
        for path in ("/reports", "/either", "/staff", "/api/users"):
            for accept in ("application/json", "application/problem+json"):
                headers = {"authorization": "Bearer x", "accept": accept}
                answer = client.get(path, headers=headers)
                assert (answer.status_code, answer.json()["error"]) == (403, "forbidden")
                assert "details" not in answer.json()
                for word in ("reports", "posts", "auditor", "grant"):
                    assert word not in answer.text.replace(f'"{path}"', "")


def test_a_policys_refusal_says_nothing_of_roles(auth: Authward) -> None:
    auth.policies.allow("update:post", owner(lambda post: None))

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            return await Router()(scope, receive, send)
        auth.policies.check(auth.principal(scope), "update:post", None)

    with TestClient(auth.wrap(app)) as client, as_user(auth):
        assert "details" not in client.get("/").json()


def test_an_app_that_asks_our_services_is_told_too(auth: Authward) -> None:
    async def give(request: Request) -> Response:
        raise Forbidden("does not hold it", roles=("editor",))

    app = Starlette(routes=[Route("/", give)])
    auth.install(app)
    with TestClient(app) as client:
        prepare(auth)
        [detail] = client.get("/").json()["details"]
        assert detail["message"] == "Needs the role editor. Roles that include it: chief."


def test_a_websocket_is_refused_without_a_word(auth: Authward) -> None:
    app = FastAPI()
    auth.install(app)

    @app.websocket("/ws", dependencies=[auth.require("read:reports")])
    async def ws(websocket: WebSocket) -> None: ...

    with TestClient(app) as client, as_user(auth):
        with pytest.raises(WebSocketDisconnect) as closed, client.websocket_connect("/ws"):
            pass
        assert (closed.value.code, closed.value.reason) == (4403, "forbidden")


def test_it_costs_nothing_where_access_is_allowed(
    auth: Authward, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[Principal] = []

    def counted(principal: Principal, *given: Any) -> list[Detail]:
        asked.append(principal)
        return []

    monkeypatch.setattr(access_module, "missing", counted)
    with TestClient(fastapi_app(auth)) as client, as_user(auth, permissions=["read:reports"]):
        assert client.get("/reports").status_code == 200
        assert asked == []
        assert client.get("/either").status_code == 403
    assert len(asked) == 1
