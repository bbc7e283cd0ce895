"""`install` on FastAPI and Starlette: what it adds, what it leaves alone, what it refuses."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, suppress
from typing import Annotated, Any

import pytest
from fastapi import APIRouter, BackgroundTasks, FastAPI, HTTPException, Request, WebSocket
from fastapi.exceptions import RequestValidationError
from fastapi.middleware.cors import CORSMiddleware
from fastapi.responses import JSONResponse, PlainTextResponse, Response, StreamingResponse
from fastapi.routing import APIRoute
from fastapi.testclient import TestClient
from httpx2 import ASGITransport, AsyncClient
from pydantic import BaseModel, field_validator
from starlette.applications import Starlette
from starlette.exceptions import HTTPException as StarletteHTTPException
from starlette.routing import Host, Mount, Route
from starlette.types import Receive, Scope, Send

from authward import Authward, ConfigurationError, Principal
from authward.errors import NotFound, Unavailable
from authward.testing import as_user

SECRET = "Zk3v9Qw1xT7rB5nY2mC8pL4sD6fG0hJ1aE3uO9iK7tR="
PRODUCTION = {"env": "production", "secret": SECRET, "public_url": "https://api.example.com"}
ORIGIN = {"origin": "https://app.example.com"}


@pytest.fixture
def app(auth: Authward) -> FastAPI:
    app = FastAPI()
    auth.install(app)
    return app


@pytest.fixture
def client(app: FastAPI) -> Iterator[TestClient]:
    with TestClient(app, raise_server_exceptions=False) as client:
        yield client


class TestRefused:
    def test_twice(self, auth: Authward, app: FastAPI) -> None:
        with pytest.raises(ConfigurationError, match="has Authward already"):
            auth.install(app)

    def test_too_late(self, auth: Authward) -> None:
        app = FastAPI()
        TestClient(app).get("/")
        with pytest.raises(ConfigurationError, match="begun to serve"):
            auth.install(app)

    def test_any_other_app(self, auth: Authward) -> None:
        async def app(scope: Scope, receive: Receive, send: Send) -> None: ...

        with pytest.raises(ConfigurationError, match=r"auth\.wrap"):
            auth.install(app)  # type: ignore[arg-type]

    def test_debug_in_production(self, make_auth: Callable[..., Authward]) -> None:
        with pytest.raises(ConfigurationError, match="debug"):
            make_auth(**PRODUCTION).install(FastAPI(debug=True))
        make_auth().install(FastAPI(debug=True))

    def test_cors_twice(self, auth: Authward, app: FastAPI) -> None:
        app.add_middleware(CORSMiddleware, allow_origins=["*"])
        with pytest.raises(ConfigurationError, match="CORSMiddleware"), TestClient(app):
            pass


def _endpoint() -> str:
    return "the app's"


def _router(path: str) -> APIRouter:
    router = APIRouter()
    router.get(path)(_endpoint)
    return router


def _included(path: str) -> FastAPI:
    app = FastAPI()
    outer = APIRouter()
    outer.include_router(_router(path), prefix="/api")
    app.include_router(outer)
    return app


def _mounted(path: str) -> FastAPI:
    inner = FastAPI()
    inner.include_router(_router(path))
    app = FastAPI()
    app.mount("/api", inner)
    return app


class TestClashes:
    """Our routes go first. What they would bury is refused by name."""

    @pytest.mark.parametrize(
        ("app", "path"),
        [
            (_included("/profile"), "/api/profile"),
            (_included("/users/{user_id}"), "/api/users/{user_id}"),
            (_included("/users/me"), "/api/users/me"),
            (_mounted("/users/{id}/role"), "/api/users/{id}/role"),
            (FastAPI(routes=[Route("/healthz", _endpoint)]), "/healthz"),
            (Starlette(routes=[Route("/healthz", _endpoint)]), "/healthz"),
            (Starlette(routes=[Mount("/api", routes=[Route("/users", _endpoint)])]), "/api/users"),
            (
                Starlette(routes=[Host("a.test", Starlette(routes=[Route("/readyz", _endpoint)]))]),
                "/readyz",
            ),
        ],
    )
    def test_at_install(self, auth: Authward, app: Starlette, path: str) -> None:
        with pytest.raises(ConfigurationError, match=f"install: {path} of the app") as refused:
            auth.install(app)
        assert "Rename" in str(refused.value)

    def test_what_is_none(self, auth: Authward) -> None:
        app = FastAPI()
        app.get("/api/reports")(_endpoint)
        app.get("/{anything:path}")(_endpoint)
        app.websocket("/api/profile")(_endpoint)
        app.mount("/static", PlainTextResponse("file"))
        auth.install(app)
        with TestClient(app) as client:
            assert client.get("/api/users/x/y/z").json() == "the app's"
            assert client.get("/healthz").json()["data"] == {"status": "ok"}

    def test_later(self, app: FastAPI) -> None:
        app.get("/api/profile")(_endpoint)
        with pytest.raises(ConfigurationError, match="/api/profile"), TestClient(app):
            pass

    def test_later_where_no_lifespan_runs(
        self, app: FastAPI, caplog: pytest.LogCaptureFixture
    ) -> None:
        app.get("/api/profile")(_endpoint)
        assert TestClient(app).get("/elsewhere").status_code == 500
        assert "/api/profile of the app would never be reached" in caplog.text


async def _boom() -> None:
    raise LookupError("boom")


def _sent_by(app: FastAPI, path: str) -> tuple[list[Any], Exception | None]:
    """What a started app sends a server for a GET, and what it raises."""
    sent: list[Any] = []
    raised: list[Exception] = []

    async def once(scope: Scope, receive: Receive, send: Send) -> None:
        async def keep(message: Any) -> None:
            sent.append(message)
            await send(message)

        try:
            await app(scope, receive, keep if scope["type"] == "http" else send)
        except Exception as error:
            raised.append(error)
            raise

    with TestClient(once) as client, suppress(Exception):
        client.get(path, headers=ORIGIN)
    assert len(raised) <= 1
    return sent, raised[0] if raised else None


class TestErrors:
    def test_defaults_become_envelopes(self, app: FastAPI, client: TestClient) -> None:
        @app.get("/teapot")
        async def teapot() -> None:
            raise HTTPException(418, "short and stout", headers={"x-spout": "1"})

        nowhere = client.get("/nowhere?secret=1").json()
        assert (nowhere["statusCode"], nowhere["error"], nowhere["path"]) == (
            404,
            "not_found",
            "/nowhere",
        )
        wrong = client.post("/teapot")
        assert wrong.json()["error"] == "method_not_allowed"
        assert wrong.headers["allow"] == "GET"
        hot = client.get("/teapot")
        assert hot.status_code == 418
        assert hot.headers["x-spout"] == "1"
        assert hot.json()["error"] == "im_a_teapot"
        assert hot.json()["message"] == "short and stout"

    @pytest.mark.parametrize(
        ("status", "code"),
        [
            (400, "malformed_request"),
            (401, "unauthorized"),
            (403, "forbidden"),
            (409, "conflict"),
            (429, "rate_limited"),
            (500, "internal_error"),
            (503, "unavailable"),
            (599, "internal_server_error"),
        ],
    )
    def test_codes(self, app: FastAPI, client: TestClient, status: int, code: str) -> None:
        @app.get("/it")
        async def it() -> None:
            raise HTTPException(status, {"any": ["json"]})

        answer = client.get("/it")
        assert answer.status_code == answer.json()["statusCode"] == status
        assert answer.json()["error"] == code
        assert answer.json()["detail"] == {"any": ["json"]}

    def test_statuses_without_a_body(self, app: FastAPI, client: TestClient) -> None:
        @app.get("/it")
        async def it() -> None:
            raise StarletteHTTPException(304, headers={"etag": '"1"'})

        answer = client.get("/it")
        assert (answer.status_code, answer.content, answer.headers["etag"]) == (304, b"", '"1"')

    def test_problem_details(self, client: TestClient) -> None:
        answer = client.get("/nowhere", headers={"accept": "application/problem+json"})
        assert answer.headers["content-type"] == "application/problem+json"
        assert answer.json()["title"] == "Not Found"

    def test_validation(self, app: FastAPI, client: TestClient) -> None:
        class Body(BaseModel):
            names: list[str]
            password: str

            @field_validator("password")
            @classmethod
            def check(cls, value: str) -> str:
                raise ValueError("Too weak")

        @app.post("/it")
        async def it(body: Body, page: int) -> None: ...

        sent = {"names": ["a", 1], "password": "hunter2"}
        answer = client.post("/it?page=two", json=sent)
        assert answer.status_code == 422
        assert answer.json()["error"] == "validation_error"
        assert "hunter2" not in answer.text
        found = {(one["field"], one["code"], one["message"]) for one in answer.json()["details"]}
        assert ("password", "value_error", "Too weak") in found
        assert {field for field, _, _ in found} == {"page", "names.1", "password"}
        assert client.post("/it?page=2", json=None).json()["details"][0]["field"] == "body"

    def test_not_json(self, app: FastAPI, client: TestClient) -> None:
        @app.post("/it")
        async def it(body: dict[str, Any]) -> None: ...

        broken = client.post("/it", content=b"{", headers={"content-type": "application/json"})
        assert broken.status_code == 400
        assert broken.json()["error"] == "malformed_request"

    def test_refusals_of_the_app(self, app: FastAPI, client: TestClient) -> None:
        @app.get("/it")
        async def it() -> None:
            raise NotFound("no such thing")

        assert client.get("/it").json()["error"] == "not_found"

    def test_500(self, app: FastAPI, client: TestClient) -> None:
        @app.get("/it")
        async def it() -> None:
            raise RuntimeError("the password is hunter2")

        answer = client.get("/it", headers={"origin": "http://localhost"})
        assert answer.status_code == 500
        assert answer.json()["error"] == "internal_error"
        assert answer.headers["vary"]
        assert "hunter2" not in answer.text

    def test_500_reaches_the_servers_log(self, auth: Authward, app: FastAPI) -> None:
        @app.get("/it")
        async def it() -> None:
            raise RuntimeError("for the log")

        with TestClient(app) as client, pytest.raises(RuntimeError, match="for the log"):
            client.get("/it")

    def test_an_error_is_raised_on_to_the_server_once(
        self, make_auth: Callable[..., Authward], caplog: pytest.LogCaptureFixture
    ) -> None:
        """Starlette's ServerErrorMiddleware is left out where all it does is what the shield does:
        the answer is whole, and who serves the app logs the error, not we.
        """
        app = FastAPI()
        make_auth(origins=[ORIGIN["origin"]]).install(app)
        app.get("/boom")(_boom)
        sent, raised = _sent_by(app, "/boom")
        assert [message["type"] for message in sent] == [
            "http.response.start",
            "http.response.body",
        ]
        assert sent[0]["status"] == 500
        headers = dict(sent[0]["headers"])
        assert {b"x-request-id", b"x-content-type-options", b"vary"} <= set(headers)
        assert headers[b"access-control-allow-origin"] == ORIGIN["origin"].encode()
        assert b"internal_error" in sent[1]["body"]
        assert str(raised) == "boom"
        assert "boom" not in caplog.text

    @pytest.mark.parametrize("debug", [False, True])
    def test_debug_and_a_handler_of_ones_own_stay(self, auth: Authward, debug: bool) -> None:
        async def oh(request: Request, error: Exception) -> Response:
            return PlainTextResponse("oh", 500)

        app = FastAPI(debug=True) if debug else FastAPI(exception_handlers={Exception: oh})
        auth.install(app)
        app.get("/boom")(_boom)
        sent, raised = _sent_by(app, "/boom")
        assert len([message for message in sent if message["type"] == "http.response.start"]) == 1
        assert sent[0]["status"] == 500
        assert b"x-request-id" in dict(sent[0]["headers"])
        assert (b"Traceback" if debug else b"oh") in sent[1]["body"]
        assert str(raised) == "boom"

    def test_an_error_after_the_answer(self, auth: Authward, app: FastAPI) -> None:
        @app.get("/it")
        async def it(tasks: BackgroundTasks) -> str:
            tasks.add_task(_boom)
            return "done"

        sent, raised = _sent_by(app, "/it")
        assert [message.get("status") for message in sent if "status" in message] == [200]
        assert b'"done"' in b"".join(message.get("body", b"") for message in sent)
        assert str(raised) == "boom"

    def test_an_error_within_the_answer(self, auth: Authward, app: FastAPI) -> None:
        @app.get("/it")
        async def it() -> StreamingResponse:
            async def parts() -> AsyncIterator[bytes]:
                yield b"begun"
                await _boom()

            return StreamingResponse(parts())

        sent, raised = _sent_by(app, "/it")
        assert [message.get("status") for message in sent if "status" in message] == [200]
        assert [message["body"] for message in sent if message.get("body")] == [b"begun"]
        assert "boom" in str(raised) or isinstance(raised, ExceptionGroup)

    def test_the_apps_own_handlers_stay(self, auth: Authward) -> None:
        async def oh(request: Request, error: Exception) -> Response:
            return PlainTextResponse("oh", 500)

        app = FastAPI(exception_handlers={500: oh})

        @app.exception_handler(StarletteHTTPException)
        async def http(request: Request, error: StarletteHTTPException) -> Response:
            return PlainTextResponse(f"http {error.status_code}", error.status_code)

        @app.exception_handler(RequestValidationError)
        async def invalid(request: Request, error: RequestValidationError) -> Response:
            return PlainTextResponse("invalid", 422)

        @app.exception_handler(401)
        async def unauthorized(request: Request, error: Exception) -> Response:
            return PlainTextResponse("who?", 401)

        @app.get("/it")
        async def it(page: int, me: Annotated[Principal, auth.authenticate]) -> None: ...

        @app.get("/boom")
        async def boom() -> None:
            raise RuntimeError

        auth.install(app)

        @app.exception_handler(NotFound)
        async def not_found(request: Request, error: NotFound) -> Response:
            return PlainTextResponse(f"not found: {error.reason}", 404)

        @app.get("/gone")
        async def gone() -> None:
            raise NotFound("gone")

        with TestClient(app, raise_server_exceptions=False) as client:
            assert client.get("/nowhere").text == "http 404"
            assert client.get("/boom").text == "oh"
            assert client.get("/gone").text == "not found: gone"
            assert client.get("/it?page=1").json()["error"] == "missing_token"
            with as_user(auth):
                assert client.get("/it?page=x").text == "invalid"
            assert "HTTPValidationError" in client.get("/openapi.json").text

    def test_starlette(self, auth: Authward) -> None:
        async def boom(request: Request) -> Response:
            raise RuntimeError

        async def me(request: Request) -> Response:
            return JSONResponse(auth.principal(request).id)

        app = Starlette(routes=[Route("/boom", boom), Route("/me", me)])
        auth.install(app)
        with TestClient(app, raise_server_exceptions=False) as client:
            assert client.get("/nowhere").json()["error"] == "not_found"
            assert client.get("/boom").json()["error"] == "internal_error"
            assert client.get("/me").json()["error"] == "missing_token"
            assert client.get("/api/public-data").status_code == 200
            with as_user(auth) as caller:
                assert client.get("/me").json() == caller.id


class TestHeaders:
    """Every answer passes our middleware, whoever makes it."""

    def test_cors_everywhere(self, make_auth: Callable[..., Authward]) -> None:
        app = FastAPI()
        make_auth(origins=[ORIGIN["origin"]]).install(app)

        @app.get("/boom")
        async def boom() -> None:
            raise RuntimeError

        @app.post("/it")
        async def it(body: dict[str, Any]) -> None: ...

        @app.middleware("http")
        async def break_down(request: Request, call_next: Any) -> Response:
            if request.url.path == "/broken":
                raise RuntimeError
            answer: Response = await call_next(request)
            answer.headers["x-app"] = "1"
            return answer

        with TestClient(app, raise_server_exceptions=False) as client:
            answers = [
                client.get("/nowhere", headers=ORIGIN),
                client.get("/boom", headers=ORIGIN),
                client.get("/broken", headers=ORIGIN),
                client.get("/it", headers=ORIGIN),
                client.post("/it", headers=ORIGIN),
                client.get("/api/profile", headers=ORIGIN),
            ]
            foreign = client.post("/it", headers={"origin": "https://evil.example"}, json={})
        assert [answer.status_code for answer in answers] == [404, 500, 500, 405, 422, 401]
        for answer in answers:
            assert answer.headers["access-control-allow-origin"] == ORIGIN["origin"]
            assert answer.json()["statusCode"] == answer.status_code
        assert foreign.json()["error"] == "origin_not_allowed"
        # The app's middleware sees what is the app's, and no password.
        assert [answer.headers.get("x-app") for answer in answers] == [
            "1",
            None,
            None,
            "1",
            "1",
            None,
        ]


class TestLifespan:
    def test_around_the_apps_own(self, auth: Authward) -> None:
        log: list[str] = []

        @asynccontextmanager
        async def lifespan(app: FastAPI) -> AsyncIterator[dict[str, str]]:
            await auth.services.store.ping()
            log.append("up")
            yield {"kept": "state"}
            await auth.services.store.ping()
            log.append("down")

        app = FastAPI(lifespan=lifespan)
        auth.install(app)

        @app.get("/it")
        async def it(request: Request) -> str:
            return str(request.state.kept)

        for _ in range(2):
            with TestClient(app) as client:
                assert client.get("/it").json() == "state"
            with pytest.raises(Unavailable):
                _ = auth.services
        assert log == ["up", "down"] * 2

    def test_a_start_that_fails(self, make_auth: Callable[..., Authward]) -> None:
        app = FastAPI()
        make_auth(database_url="sqlite:////nowhere/at/all.db").install(app)
        with pytest.raises(ConfigurationError, match="does not exist"), TestClient(app):
            pass

    def test_an_app_that_fails(self, auth: Authward) -> None:
        @asynccontextmanager
        async def lifespan(app: FastAPI) -> AsyncIterator[None]:
            raise RuntimeError("no")
            yield

        app = FastAPI(lifespan=lifespan)
        auth.install(app)
        with pytest.raises(RuntimeError, match="no"), TestClient(app):
            pass
        with pytest.raises(Unavailable):
            _ = auth.services

    def test_without_one_the_first_request_starts_us(self, auth: Authward, app: FastAPI) -> None:
        """A client of Starlette's without `with`: each request has an event loop of its own."""
        client = TestClient(app)
        body = {"email": "ada@example.com", "password": "correct horse battery", "name": "Ada"}
        token = client.post("/api/auth/register", json=body).json()["data"]["accessToken"]
        bearer = {"authorization": f"Bearer {token}"}
        assert client.get("/api/profile", headers=bearer).status_code == 200
        # We ended with the loop.
        with pytest.raises(Unavailable):
            _ = auth.services

    async def test_async_client(self, auth: Authward, app: FastAPI) -> None:
        transport = ASGITransport(app=app)
        async with AsyncClient(transport=transport, base_url="http://test") as client:
            answers = await asyncio.gather(*(client.get("/api/profile") for _ in range(5)))
        assert {answer.status_code for answer in answers} == {401}
        await auth.shutdown()
        await auth.shutdown()

    def test_a_loop_that_was_just_dropped(self, auth: Authward, app: FastAPI) -> None:
        async def start_and_break() -> None:
            await auth.startup()
            store = auth.services.store
            auth._running._keeper = None  # as if its loop had not cancelled it
            others = asyncio.all_tasks() - {asyncio.current_task()}
            for task in others:
                task.cancel()
            await asyncio.gather(*others, return_exceptions=True)
            await store.close()

        loop = asyncio.new_event_loop()
        loop.run_until_complete(start_and_break())
        loop.close()
        assert TestClient(app).get("/api/public-data").status_code == 200

    def test_two_loops_at_once(
        self, auth: Authward, app: FastAPI, client: TestClient, caplog: pytest.LogCaptureFixture
    ) -> None:
        assert TestClient(app).get("/api/public-data").status_code == 503
        assert "runs in another event loop already" in caplog.text
        assert client.get("/api/public-data").status_code == 200

    def test_mounted(self, auth: Authward, app: FastAPI) -> None:
        @app.get("/me")
        async def me(me: Annotated[Principal, auth.authenticate]) -> str:
            return me.id

        host = FastAPI()
        host.mount("/inner", app)
        host.get("/outer")(_endpoint)
        with TestClient(host) as client:
            assert client.get("/outer").json() == "the app's"
            assert client.get("/inner/me").json()["error"] == "missing_token"
            assert client.get("/inner/me").json()["path"] == "/inner/me"
            assert client.get("/inner/api/public-data").status_code == 200
            assert client.get("/inner").status_code == 404
            with as_user(auth) as caller:
                assert client.get("/inner/me").json() == caller.id


class TestMounts:
    """Apps mounted in an installed one keep their own error bodies; a guard's refusal is ours."""

    def test_fastapi(self, auth: Authward, app: FastAPI, client: TestClient) -> None:
        inner = FastAPI()

        @inner.post("/me")
        async def me(size: int, me: Annotated[Principal, auth.authorize("admin")]) -> str:
            return me.id

        app.mount("/inner", inner)
        assert client.post("/inner/me?size=1").json()["error"] == "missing_token"
        assert client.post("/inner/nowhere").json() == {"detail": "Not Found"}
        with as_user(auth, role="admin") as caller:
            assert client.post("/inner/me?size=1").json() == caller.id
            assert "detail" in client.post("/inner/me?size=x").json()

    def test_starlette(self, auth: Authward, app: FastAPI, client: TestClient) -> None:
        async def me(request: Request) -> Response:
            return JSONResponse(auth.principal(request).id)

        app.mount("/inner", Starlette(routes=[Route("/me", me)], debug=True))
        assert client.get("/inner/me").json()["error"] == "missing_token"
        with as_user(auth) as caller:
            assert client.get("/inner/me").json() == caller.id


def test_a_route_class_of_the_app(auth: Authward) -> None:
    class Own(APIRoute): ...

    app = FastAPI()
    app.router.route_class = Own
    auth.install(app)
    assert app.router.route_class is Own
    assert issubclass(auth.Route, APIRoute)


def test_url_for(app: FastAPI, client: TestClient) -> None:
    @app.get("/things/{thing}")
    async def thing(request: Request, thing: str) -> str:
        return str(request.url_for("thing", thing="b"))

    assert client.get("/things/a").json() == "http://testserver/things/b"


def test_root_path(auth: Authward) -> None:
    app = FastAPI()
    auth.install(app)
    with TestClient(app, root_path="/v1") as client:
        assert client.get("/api/public-data").status_code == 200
        assert client.get("/v1/api/public-data").status_code == 200
        assert client.get("/v1x/api/public-data").status_code == 404


def test_websockets(auth: Authward, app: FastAPI, client: TestClient) -> None:
    @app.websocket("/ws")
    async def ws(websocket: WebSocket) -> None:
        await websocket.accept()
        await websocket.send_text("open to all")
        await websocket.close()

    with client.websocket_connect("/ws") as socket:
        assert socket.receive_text() == "open to all"


class TestOpenAPI:
    def test_our_routes(self, app: FastAPI, client: TestClient) -> None:
        @app.post("/things")
        async def things(body: dict[str, int]) -> None: ...

        document = client.get("/openapi.json").json()
        assert {"/things", "/api/auth/login", "/api/users/{id}", "/healthz"} <= set(
            document["paths"]
        )
        # Its 422 is our envelope now.
        answers = document["paths"]["/things"]["post"]["responses"]
        assert answers["422"]["content"]["application/json"]["schema"] == {
            "$ref": "#/components/schemas/HTTPValidationError"
        }
        assert document["components"]["schemas"]["HTTPValidationError"] == {
            "$ref": "#/components/schemas/AuthwardError"
        }
        assert app.openapi() is app.openapi()

        @app.get("/more")
        async def more() -> None: ...

        assert "/more" in app.openapi()["paths"]

    def test_every_reference_leads_somewhere(self, app: FastAPI) -> None:
        document = app.openapi()

        def references(node: Any) -> Iterator[str]:
            if isinstance(node, dict):
                if "$ref" in node:
                    yield node["$ref"]
                for value in node.values():
                    yield from references(value)
            elif isinstance(node, list):
                for value in node:
                    yield from references(value)

        for reference in set(references(document)):
            found: Any = document
            for part in reference.removeprefix("#/").split("/"):
                found = found[part]


@pytest.mark.parametrize(("docs", "status"), [(None, 404), (True, 200)])
def test_documentation_in_production_only_if_asked_for(
    sqlite_url: str, docs: bool | None, status: int
) -> None:
    """A host app's own pages tell strangers every route it has."""
    auth = Authward(
        database_url=sqlite_url,
        env="production",
        secret="Zk3v9Qw1xT7rB5nY2mC8pL4sD6fG0hJ1aE3uO9iK7tR=",
        public_url="https://api.example.com",
        docs=docs,
    )
    app = FastAPI()
    auth.install(app)
    with TestClient(app, base_url="https://api.example.com") as client:
        for path in ("/docs", "/openapi.json"):
            assert client.get(path).status_code == status
        assert client.get("/redoc").status_code == 404


@pytest.mark.parametrize("off", ["docs_url", "redoc_url", "openapi_url"])
def test_documentation_that_is_off_takes_no_route_along(
    make_auth: Callable[..., Authward], off: str
) -> None:
    """Routes without a path, such as included routers and hosts, are none of its pages."""
    router = APIRouter()
    router.add_api_route("/a", lambda: "a")
    app = FastAPI(**{off: None})  # type: ignore[arg-type]
    app.include_router(router)
    make_auth().install(app)
    with TestClient(app, base_url="http://localhost") as client:
        assert client.get("/a").json() == "a"
