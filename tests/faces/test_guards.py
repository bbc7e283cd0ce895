"""Guards on FastAPI routes: wherever FastAPI takes a dependency, and before the body."""

import functools
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager
from typing import Annotated, Any

import pytest
from fastapi import APIRouter, Depends, FastAPI, Request
from fastapi.params import Security
from fastapi.responses import StreamingResponse
from fastapi.testclient import TestClient
from pydantic import BaseModel
from starlette.requests import HTTPConnection

from authward import Authward, ConfigurationError, Principal
from authward.testing import access_token, as_user

NOT_JSON: dict[str, Any] = {"content": b"{", "headers": {"content-type": "application/json"}}


class Thing(BaseModel):
    size: int


@pytest.fixture
def app(auth: Authward) -> FastAPI:
    app = FastAPI()
    auth.install(app)
    return app


@pytest.fixture
def client(app: FastAPI) -> Iterator[TestClient]:
    with TestClient(app) as client:
        yield client


def test_annotated(auth: Authward, app: FastAPI, client: TestClient) -> None:
    @app.get("/me")
    async def me(me: Annotated[Principal, auth.authenticate]) -> dict[str, str]:
        return {"id": me.id, "email": me.email, "role": me.role, "session": me.session_id}

    answer = client.get("/me")
    assert answer.status_code == 401
    assert answer.json()["error"] == "missing_token"
    assert answer.headers["www-authenticate"] == 'Bearer realm="authward"'
    assert answer.headers["cache-control"] == "no-store"
    with as_user(auth, email="ada@example.com") as ada:
        assert client.get("/me").json() == {
            "id": ada.id,
            "email": "ada@example.com",
            "role": "user",
            "session": ada.session_id,
        }


def test_a_real_account(auth: Authward, app: FastAPI, client: TestClient) -> None:
    @app.get("/me")
    async def me(me: Annotated[Principal, auth.authenticate]) -> str:
        return me.id

    body = {"email": "ada@example.com", "password": "correct horse battery", "name": "Ada"}
    data = client.post("/api/auth/register", json=body).json()["data"]
    bearer = {"authorization": f"Bearer {data['accessToken']}"}
    assert client.get("/me", headers=bearer).json() == data["user"]["id"]
    assert client.post("/api/auth/logout-all", headers=bearer).status_code == 200
    assert client.get("/me", headers=bearer).json()["error"] == "token_revoked"


def test_role_and_permission(auth: Authward, app: FastAPI, client: TestClient) -> None:
    @app.get("/admin", dependencies=[auth.authorize("admin", "moderator")])
    async def admin() -> str:
        return "in"

    @app.get("/audit")
    async def audit(me: Annotated[Principal, auth.require("read:audit", "manage:keys")]) -> str:
        return me.role

    with as_user(auth):
        assert client.get("/admin").json()["error"] == "forbidden"
        assert client.get("/audit").status_code == 403
    with as_user(auth, role="moderator", permissions=["read:audit"]):
        assert client.get("/admin").json() == "in"
        assert client.get("/audit").status_code == 403
    with as_user(auth, role="admin"):
        assert client.get("/audit").json() == "admin"
    with as_user(auth, permissions=["read:audit", "manage:keys"]):
        assert client.get("/audit").json() == "user"


def test_two_authorization_headers(auth: Authward, app: FastAPI, client: TestClient) -> None:
    @app.get("/me", dependencies=[auth.authenticate])
    async def me() -> None: ...

    twice = [("authorization", "Bearer a"), ("authorization", "Bearer b")]
    assert client.get("/me", headers=twice).json()["error"] == "malformed_request"
    with as_user(auth) as caller:
        known = ("authorization", f"Bearer {access_token(auth, caller)}")
    assert client.get("/me", headers=[known]).status_code == 200
    for other in (known, ("authorization", "")):
        for two in ([known, other], [other, known]):
            assert client.get("/me", headers=two).json()["error"] == "malformed_request"


@pytest.mark.parametrize("style", ["annotated", "default", "dependencies", "nested"])
def test_a_stranger_gets_401_whatever_was_sent(
    auth: Authward, app: FastAPI, client: TestClient, style: str
) -> None:
    def caller(me: Annotated[Principal, auth.authenticate]) -> Principal:
        return me

    async def annotated(thing: Thing, me: Annotated[Principal, auth.authenticate]) -> str:
        return me.id

    async def default(thing: Thing, me: Principal = auth.authenticate) -> str:  # type: ignore[assignment]
        return me.id

    async def dependencies(thing: Thing, request: Request) -> str:
        return auth.principal(request).id

    async def nested(thing: Thing, me: Annotated[Principal, Depends(caller)]) -> str:
        return me.id

    also = [auth.authenticate] if style == "dependencies" else []
    app.post("/things", dependencies=also)(locals()[style])
    assert client.post("/things", **NOT_JSON).status_code == 401
    assert client.post("/things", json={"size": "x"}).status_code == 401
    with as_user(auth) as someone:
        assert client.post("/things", **NOT_JSON).json()["error"] == "malformed_request"
        refused = client.post("/things", json={"size": "x"})
        assert refused.status_code == 422
        assert refused.json()["details"][0]["field"] == "size"
        assert client.post("/things", json={"size": 1}).json() == someone.id


def test_the_body_is_not_read_for_a_stranger(auth: Authward, app: FastAPI) -> None:
    @app.post("/things", dependencies=[auth.authenticate])
    async def things(thing: Thing) -> None: ...

    def body() -> Iterator[bytes]:
        pytest.fail("read")
        yield b""

    with TestClient(app) as client:
        answer = client.post("/things", content=body(), headers={"content-type": "text/plain"})
    assert answer.status_code == 401


def _with(auth: Authward) -> dict[str, Callable[..., Any]]:
    """Endpoints of every kind that FastAPI knows."""
    caller = auth.authenticate

    async def plain(me: Annotated[Principal, caller]) -> str:
        return me.email

    def sync(me: Annotated[Principal, caller], request: Request) -> str:
        return auth.principal(request).email

    async def connection(me: Annotated[Principal, caller], connection: HTTPConnection) -> str:
        return me.email + ("" if connection.scope["type"] == "http" else "!")

    async def streaming(me: Annotated[Principal, caller]) -> StreamingResponse:
        async def parts() -> AsyncIterator[str]:
            for letter in me.email:
                yield letter

        return StreamingResponse(parts())

    async def generating(me: Annotated[Principal, caller]) -> AsyncIterator[str]:
        yield me.email
        yield me.role

    def generating_sync(me: Annotated[Principal, caller]) -> Iterator[str]:
        yield me.email
        yield me.role

    def logged(call: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(call)
        async def logging(*given: Any, **also: Any) -> Any:
            return await call(*given, **also)

        return logging

    class Callable_:
        async def __call__(self, me: Annotated[Principal, caller]) -> str:
            return me.email

        async def method(self, me: Annotated[Principal, caller]) -> str:
            return me.email

    async def two(
        me: Annotated[Principal, caller], also: Annotated[Principal, auth.authorize("user")]
    ) -> str:
        return me.email if me.id == also.id else ""

    return {
        "plain": plain,
        "sync": sync,
        "connection": connection,
        "streaming": streaming,
        "generating": generating,
        "generating_sync": generating_sync,
        "decorated": logged(plain),
        "instance": Callable_(),
        "method": Callable_().method,
        "partial": functools.partial(plain),
        "two": two,
    }


def test_every_kind_of_endpoint(auth: Authward, app: FastAPI, client: TestClient) -> None:
    for kind, endpoint in _with(auth).items():
        app.get(f"/{kind}")(endpoint)
        assert client.get(f"/{kind}").status_code == 401, kind
        with as_user(auth, email="ada@example.com"):
            answer = client.get(f"/{kind}")
        assert answer.status_code == 200, kind
        assert "ada@example.com" in answer.text
        if kind.startswith("generating"):
            assert answer.text.splitlines() == ['"ada@example.com"', '"user"']


def test_dependencies_with_yield(auth: Authward, app: FastAPI, client: TestClient) -> None:
    log: list[str] = []

    async def database() -> AsyncIterator[str]:
        log.append("open")
        yield "database"
        log.append("close")

    def files(me: Annotated[Principal, auth.authenticate]) -> Iterator[str]:
        log.append("take")
        yield f"files of {me.role}"
        log.append("give back")

    @app.get("/it")
    async def it(
        me: Annotated[Principal, auth.authenticate],
        database: Annotated[str, Depends(database)],
        files: Annotated[str, Depends(files)],
    ) -> list[str]:
        return [me.role, database, files]

    assert client.get("/it").status_code == 401
    assert log == []
    with as_user(auth):
        assert client.get("/it").json() == ["user", "database", "files of user"]
    assert log == ["open", "take", "give back", "close"]


class TestRouters:
    """A router is another place to put guards, and another place where routes are made."""

    def test_its_own_dependencies(self, auth: Authward, app: FastAPI, client: TestClient) -> None:
        router = APIRouter(
            prefix="/a", route_class=auth.Route, dependencies=[auth.authorize("admin")]
        )

        @router.post("/things")
        async def things(thing: Thing, me: Annotated[Principal, auth.authenticate]) -> str:
            return me.role

        app.include_router(router, prefix="/b")
        assert client.post("/b/a/things", **NOT_JSON).status_code == 401
        with as_user(auth):
            assert client.post("/b/a/things", **NOT_JSON).status_code == 403
        with as_user(auth, role="admin"):
            assert client.post("/b/a/things", json={"size": 1}).json() == "admin"

    def test_dependencies_of_an_inclusion(
        self, auth: Authward, app: FastAPI, client: TestClient
    ) -> None:
        """The same router, included twice: what one place asks for is not asked at the other."""
        router = APIRouter(route_class=auth.Route)

        @router.post("/things")
        async def things(thing: Thing) -> int:
            return thing.size

        outer = APIRouter()
        outer.include_router(router, prefix="/deep", dependencies=[auth.authorize("moderator")])
        app.include_router(router, prefix="/open")
        app.include_router(router, prefix="/shut", dependencies=[auth.authorize("admin")])
        app.include_router(outer, prefix="/outer", dependencies=[auth.authenticate])
        assert client.post("/open/things", **NOT_JSON).status_code == 400
        for path in ("/shut/things", "/outer/deep/things"):
            assert client.post(path, **NOT_JSON).status_code == 401
            with as_user(auth):
                assert client.post(path, **NOT_JSON).status_code == 403
        with as_user(auth, role="moderator"):
            assert client.post("/outer/deep/things", json={"size": 1}).json() == 1
            assert client.post("/shut/things", json={"size": 1}).status_code == 403

    def test_without_our_route_class_the_body_comes_first(
        self, auth: Authward, app: FastAPI, client: TestClient
    ) -> None:
        router = APIRouter()

        @router.post("/things", dependencies=[auth.authenticate])
        async def things(thing: Thing) -> int:
            return thing.size

        app.include_router(router)
        assert client.post("/things", **NOT_JSON).status_code == 400
        assert client.post("/things", json={"size": 1}).status_code == 401
        with as_user(auth):
            assert client.post("/things", json={"size": 1}).json() == 1

    def test_dependencies_of_the_whole_app(self, auth: Authward) -> None:
        app = FastAPI(dependencies=[auth.authenticate])
        auth.install(app)

        @app.post("/things")
        async def things(thing: Thing) -> int:
            return thing.size

        with TestClient(app) as client:
            assert client.post("/things", **NOT_JSON).status_code == 401
            assert client.get("/api/public-data").status_code == 200
            with as_user(auth):
                assert client.post("/things", json={"size": 1}).json() == 1

    def test_a_router_that_is_mounted(self, auth: Authward, app: FastAPI) -> None:
        router = APIRouter(route_class=auth.Route)

        @router.post("/things")
        async def things(thing: Thing, me: Annotated[Principal, auth.authenticate]) -> int:
            return thing.size

        app.mount("/mounted", router)
        with TestClient(app) as client:
            assert client.post("/mounted/things", **NOT_JSON).status_code == 401
            with as_user(auth):
                assert client.post("/mounted/things", json={"size": 1}).json() == 1


class TestOverrides:
    """`app.dependency_overrides`, as an app's tests know them."""

    @contextmanager
    def overriding(self, app: FastAPI, what: Any, by: Any) -> Iterator[None]:
        app.dependency_overrides[what] = by
        yield
        app.dependency_overrides.clear()

    def test_a_guard(self, auth: Authward, app: FastAPI, client: TestClient) -> None:
        @app.post("/things")
        async def things(me: Annotated[Principal, auth.require("make:things")]) -> str:
            return me.id

        stand_in = Principal("me", "me@example.com", "user", frozenset(), "session")
        with self.overriding(app, auth.require("make:things").dependency, lambda: stand_in):
            assert client.post("/things").json() == "me"
        assert client.post("/things").status_code == 401

    def test_the_others_are_asked_first_all_the_same(
        self, auth: Authward, app: FastAPI, client: TestClient
    ) -> None:
        def caller(me: Annotated[Principal, auth.authorize("admin")]) -> str:
            return me.id

        @app.post("/things", dependencies=[auth.authenticate])
        async def things(thing: Thing, me: Annotated[str, Depends(caller)]) -> str:
            return me

        with self.overriding(app, caller, lambda: "me"):
            assert client.post("/things", **NOT_JSON).status_code == 401
            with as_user(auth):
                assert client.post("/things", json={"size": 1}).json() == "me"

    def test_something_else(self, auth: Authward, app: FastAPI, client: TestClient) -> None:
        def setting() -> str:
            return "real"

        @app.get("/it")
        async def it(
            me: Annotated[Principal, auth.authenticate], setting: Annotated[str, Depends(setting)]
        ) -> list[str]:
            return [me.role, setting]

        with self.overriding(app, setting, lambda: "test"):
            assert client.get("/it").status_code == 401
            with as_user(auth):
                assert client.get("/it").json() == ["user", "test"]
        with as_user(auth):
            assert client.get("/it").json() == ["user", "real"]


def test_openapi(auth: Authward, app: FastAPI, client: TestClient) -> None:
    @app.get("/me")
    async def me(me: Annotated[Principal, auth.authenticate]) -> None: ...

    @app.get("/open")
    async def open_() -> None: ...

    document = client.get("/openapi.json").json()
    assert document["paths"]["/me"]["get"]["security"] == [{"AuthwardBearer": []}]
    assert "security" not in document["paths"]["/open"]["get"]
    assert document["components"]["securitySchemes"]["AuthwardBearer"] == {
        "type": "http",
        "scheme": "bearer",
        "bearerFormat": "JWT",
    }


def test_equal_guards(auth: Authward, make_auth: Callable[..., Authward]) -> None:
    assert isinstance(auth.authenticate, Security)
    assert auth.authenticate is auth.authenticate
    assert auth.require("a:b", "c:d").dependency == auth.require("a:b", "c:d").dependency
    assert auth.require("a:b").dependency != auth.authorize("a:b").dependency
    assert auth.require("a:b").dependency != make_auth().require("a:b").dependency
    assert auth.require("a:b").dependency != object()


def test_guards_that_would_let_everybody_in(auth: Authward) -> None:
    with pytest.raises(ConfigurationError, match="authorize: name at least one"):
        auth.authorize()
    with pytest.raises(ConfigurationError, match="require: name at least one"):
        auth.require()
    with pytest.raises(ConfigurationError, match="as text"):
        auth.authorize(["admin", "moderator"])  # type: ignore[arg-type]
    with pytest.raises(ConfigurationError):
        auth.require("")


async def test_denials_are_audited_once(auth: Authward) -> None:
    from httpx2 import ASGITransport, AsyncClient

    app = FastAPI()
    auth.install(app)

    @app.get("/it", dependencies=[auth.authenticate, auth.authorize("admin")])
    async def it() -> None: ...

    async with AsyncClient(transport=ASGITransport(app=app), base_url="http://test") as client:
        with as_user(auth) as someone:
            assert (await client.get("/it")).status_code == 403
        assert (await client.get("/it")).status_code == 401
    await auth.services.refusals.flush()
    rows = [row.event for row in await auth.services.store.audit.latest(10)]
    denied = [(row.kind, row.subject, row.detail["count"]) for row in rows]
    assert sorted(denied, key=str) == [
        ("access.denied", someone.id, 1),
        ("access.denied", None, 1),
    ]
    await auth.shutdown()


def test_a_guard_without_install(auth: Authward) -> None:
    app = FastAPI()

    @app.get("/it", dependencies=[auth.authenticate])
    async def it() -> None: ...

    with pytest.raises(ConfigurationError, match="not behind Authward"):
        TestClient(app).get("/it")


def test_a_token_made_by_hand(auth: Authward, app: FastAPI, client: TestClient) -> None:
    @app.get("/it", dependencies=[auth.require("read:it")])
    async def it() -> str:
        return "in"

    with as_user(auth, permissions=["read:it"]) as caller:
        token = access_token(auth, caller)
    assert client.get("/it", headers={"authorization": f"bearer {token}"}).json() == "in"
