"""An override of a guard that was forgotten where it counts: CWE-489 (active debug code), CWE-862.
`dependency_overrides` are for tests; in production they would take a guard away in silence.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Annotated, Any

import httpx2
import pytest
from fastapi import APIRouter, Depends, FastAPI, WebSocket
from starlette.testclient import TestClient
from starlette.types import ASGIApp
from starlette.websockets import WebSocketDisconnect

from authward import Authward, ConfigurationError, Principal
from authward.guards import KeptOverrides
from tests.serving import SECRET

PRODUCTION: dict[str, Any] = {
    "env": "production",
    "hosts": ["localhost", "testserver"],
    "dangerously_plain_http": True,
}
FAKE = Principal("x", "x@example.com", "admin", frozenset({"*:*"}), "session")
WAYS = ["/plain", "/nested", "/ours", "/direct", "/me", "/composed", "/mounted/plain"]
SET: dict[str, Callable[[Any, Any, Any], Any]] = {
    "item": lambda overrides, key, by: overrides.__setitem__(key, by),
    "update": lambda overrides, key, by: overrides.update({key: by}),
    "setdefault": lambda overrides, key, by: overrides.setdefault(key, by),
    "or": lambda overrides, key, by: overrides.__ior__({key: by}),
}


def fake() -> Principal:
    return FAKE


class Made:
    """An app whose guards lie wherever they may."""

    def __init__(self, url: str, how: str = "install", **settings: Any) -> None:
        self.auth = auth = Authward(database_url=url, secret=SECRET, **settings)
        self.guard = auth.authorize("admin")
        self.app, self.mounted = FastAPI(), FastAPI(openapi_url=None)
        if how != "wrap":
            auth.install(self.app, deny_by_default=how == "deny")
        plain, ours = APIRouter(), APIRouter(route_class=auth.Route)

        async def reached() -> str:
            return "reached"

        async def mine(me: Annotated[Principal, auth.authenticate]) -> str:
            return me.role

        def composed(me: Annotated[Principal, self.guard]) -> str:
            return me.role

        def setting() -> str:
            return "real"

        async def composing(role: Annotated[str, Depends(composed)]) -> str:
            return role

        async def other(setting: Annotated[str, Depends(setting)]) -> str:
            return setting

        async def socket(websocket: WebSocket, me: Annotated[Principal, self.guard]) -> None:
            await websocket.accept()

        self.composed, self.setting = composed, setting
        plain.add_api_route("/plain", reached, dependencies=[self.guard])
        ours.add_api_route("/ours", reached, dependencies=[self.guard])
        nested = APIRouter()
        nested.add_api_route("/nested", reached, dependencies=[self.guard])
        plain.include_router(nested)
        for router in (plain, ours):
            self.app.include_router(router)
        self.app.add_api_route("/direct", reached, dependencies=[self.guard])
        self.app.add_api_route("/me", mine)
        self.app.add_api_route("/composed", composing)
        self.app.add_api_route("/other", other, dependencies=[auth.public])
        self.app.add_api_websocket_route("/ws", socket)
        self.mounted.add_api_route("/plain", reached, dependencies=[self.guard])
        self.app.mount("/mounted", self.mounted)
        self.served: ASGIApp = auth.wrap(self.app) if how == "wrap" else self.app

    @property
    def keys(self) -> list[Any]:
        return [self.guard.dependency, self.auth.authenticate.dependency, self.composed]

    @contextmanager
    def client(self) -> Iterator[TestClient]:
        with TestClient(self.served, raise_server_exceptions=False) as client:
            yield client


async def first(served: ASGIApp, path: str) -> httpx2.Response:
    """Where no lifespan runs, the first request starts it."""
    transport = httpx2.ASGITransport(served, raise_app_exceptions=False)
    async with httpx2.AsyncClient(transport=transport, base_url="http://localhost") as client:
        return await client.get(path)


@pytest.mark.parametrize("where", ["app", "mounted"])
@pytest.mark.parametrize("how", ["install", "deny", "wrap"])
async def test_with_one_the_app_does_not_start(sqlite_url: str, how: str, where: str) -> None:
    made = Made(sqlite_url, how, **PRODUCTION)
    getattr(made, where).dependency_overrides[made.guard.dependency] = fake
    told = "dependency_overrides: the guard 'role admin'.*production.*for tests"
    if how == "wrap":
        said: list[Any] = []

        async def receive() -> Any:
            return {"type": "lifespan.startup"}

        async def send(message: Any) -> None:
            said.append(message)

        with pytest.raises(ConfigurationError):
            await made.served({"type": "lifespan", "app": made.app, "state": {}}, receive, send)
        assert said[-1]["type"] == "lifespan.startup.failed"
        assert "the guard 'role admin'" in said[-1]["message"]
    else:
        with pytest.raises(ConfigurationError, match=told):
            async with made.app.router.lifespan_context(made.app):
                pass
    for path in WAYS:
        assert (await first(made.served, path)).status_code == 500, path


@pytest.mark.parametrize("way", SET)
@pytest.mark.parametrize("how", ["install", "deny", "wrap"])
def test_none_is_set_later(sqlite_url: str, how: str, way: str) -> None:
    made = Made(sqlite_url, how, **PRODUCTION)
    with made.client() as client:
        for app in (made.app, made.mounted):
            for key in made.keys:
                with pytest.raises(ConfigurationError, match="dependency_overrides: "):
                    SET[way](app.dependency_overrides, key, fake)
            assert app.dependency_overrides == {}
        for path in WAYS:
            assert client.get(path).status_code == 401, path
        with pytest.raises(WebSocketDisconnect), client.websocket_connect("/ws"):
            pass


@pytest.mark.parametrize("way", SET)
def test_others_work(sqlite_url: str, way: str) -> None:
    made = Made(sqlite_url, **PRODUCTION)
    made.app.dependency_overrides.update({made.auth.public.dependency: lambda: None})  # type: ignore[dict-item]
    with made.client() as client:
        assert client.get("/other").json() == "real"
        SET[way](made.app.dependency_overrides, made.setting, lambda: "another")
        assert client.get("/other").json() == "another"
        assert client.get("/direct").status_code == 401
        SET[way](made.app.dependency_overrides, "what nobody can call", fake)
        assert made.app.dependency_overrides.setdefault(made.setting, list)() == "another"


def test_the_text_names_what_asks_it(sqlite_url: str) -> None:
    made = Made(sqlite_url, **PRODUCTION)
    with pytest.raises(ConfigurationError, match=r"composed, with the guard 'role admin'"):
        KeptOverrides({made.composed: list})


@pytest.mark.parametrize("how", ["install", "deny"])
def test_another_dict(sqlite_url: str, how: str) -> None:
    """Given to the app once it serves. Without deny by default, routes of ours look at it."""
    made = Made(sqlite_url, how, **PRODUCTION)
    with made.client() as client:
        made.app.dependency_overrides = {made.setting: lambda: "another"}
        assert client.get("/other").json() == "another"
        assert client.get("/direct").status_code == 401
        made.app.dependency_overrides = dict.fromkeys(made.keys, fake)
        paths = WAYS if how == "deny" else ["/ours", "/direct"]
        for path in paths:
            assert client.get(path).status_code == 500, path


@pytest.mark.parametrize("how", ["install", "deny", "wrap"])
def test_in_development_they_work(sqlite_url: str, how: str) -> None:
    made = Made(sqlite_url, how)
    for app in (made.app, made.mounted):
        for key in made.keys[:2]:
            app.dependency_overrides[key] = fake
    with made.client() as client:
        for path in WAYS:
            assert client.get(path).status_code == 200, path
        with client.websocket_connect("/ws"):
            pass
