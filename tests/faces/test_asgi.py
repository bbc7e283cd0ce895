"""`wrap` and `principal` on any ASGI app, whatever framework made it."""

import asyncio
import subprocess
import sys
from collections.abc import Callable
from contextlib import suppress
from typing import Annotated, Any

import pytest
from fastapi import FastAPI
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route
from starlette.testclient import TestClient
from starlette.types import ASGIApp, Receive, Scope, Send

from authward import Authward, ConfigurationError, Principal
from authward.errors import MissingToken, Refusal, Unavailable
from authward.testing import as_user


def bare(handle: Callable[[Scope], Any]) -> ASGIApp:
    """An app that knows HTTP alone and answers with what `handle` returns."""

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            raise RuntimeError("HTTP only")
        await JSONResponse(handle(scope))(scope, receive, send)

    return app


def test_a_bare_app(auth: Authward) -> None:
    client = TestClient(auth.wrap(bare(lambda scope: auth.principal(scope).email)))
    refused = client.get("/anything")
    assert refused.status_code == 401
    assert refused.json()["error"] == "missing_token"
    assert refused.headers["www-authenticate"].startswith("Bearer")
    assert client.get("/api/public-data").status_code == 200
    with as_user(auth, email="ada@example.com"):
        assert client.get("/anything").json() == "ada@example.com"


def test_roles_and_permissions(auth: Authward) -> None:
    def handle(scope: Scope) -> str:
        caller = auth.principal(scope, roles=["admin", "moderator"], permissions=["read:audit"])
        return caller.role

    client = TestClient(auth.wrap(bare(handle)))
    with as_user(auth, permissions=["read:audit"]):
        assert client.get("/").json()["error"] == "forbidden"
    with as_user(auth, role="moderator"):
        assert client.get("/").json()["error"] == "forbidden"
    with as_user(auth, role="moderator", permissions=["read:audit"]):
        assert client.get("/").json() == "moderator"


def test_a_caller_is_optional(auth: Authward) -> None:
    def handle(scope: Scope) -> str:
        with suppress(MissingToken):
            return auth.principal(scope).id
        return "anyone"

    client = TestClient(auth.wrap(bare(handle)))
    assert client.get("/").json() == "anyone"
    with as_user(auth) as caller:
        assert client.get("/").json() == caller.id


def test_from_a_worker_thread(auth: Authward) -> None:
    """What verifies tokens belongs to the event loop; sync code is led there."""

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        caller = await run_in_threadpool(auth.principal, scope)
        await PlainTextResponse(caller.id)(scope, receive, send)

    client = TestClient(auth.wrap(app))
    assert client.get("/").status_code == 401
    with as_user(auth) as caller:
        assert client.get("/").text == caller.id


def test_not_behind_us(auth: Authward) -> None:
    with pytest.raises(ConfigurationError, match="not behind Authward"):
        TestClient(bare(lambda scope: auth.principal(scope).id)).get("/")
    with pytest.raises(Unavailable):
        _ = auth.services


class TestFrameworks:
    """Frameworks turn exceptions into error pages of their own. A refusal still becomes ours."""

    def test_starlette(self, auth: Authward) -> None:
        async def me(request: Request) -> Response:
            return PlainTextResponse(auth.principal(request).id)

        async def url(request: Request) -> Response:
            return PlainTextResponse(str(request.url_for("url")))

        async def boom(request: Request) -> Response:
            raise RuntimeError

        routes = [Route("/me", me), Route("/url", url, name="url"), Route("/boom", boom)]
        app = auth.wrap(Starlette(routes=routes))
        with TestClient(app, raise_server_exceptions=False) as client:
            assert client.get("/me").json()["error"] == "missing_token"
            assert client.get("/url").text == "http://testserver/url"
            assert client.get("/nowhere").text == "Not Found"
            assert client.get("/boom").text == "Internal Server Error"
            with as_user(auth) as caller:
                assert client.get("/me").text == caller.id
        with pytest.raises(Unavailable):
            _ = auth.services

    def test_fastapi(self, auth: Authward) -> None:
        app = FastAPI()

        @app.get("/me")
        async def me(me: Annotated[Principal, auth.require("read:me")]) -> str:
            return me.id

        with TestClient(auth.wrap(app)) as client:
            assert client.get("/me").json()["error"] == "missing_token"
            with as_user(auth):
                assert client.get("/me").json()["error"] == "forbidden"

    def test_one_that_wraps_exceptions(self, auth: Authward) -> None:
        async def app(scope: Scope, receive: Receive, send: Send) -> None:
            try:
                auth.principal(scope)
            except Refusal as refusal:
                await PlainTextResponse("sorry", 500)(scope, receive, send)
                raise RuntimeError("while answering") from refusal

        client = TestClient(auth.wrap(app))
        assert client.get("/").json()["error"] == "missing_token"

    def test_one_that_swallows_them(self, auth: Authward) -> None:
        async def app(scope: Scope, receive: Receive, send: Send) -> None:
            with suppress(Refusal):
                auth.principal(scope)
            await PlainTextResponse("out of order", 503)(scope, receive, send)

        answer = TestClient(auth.wrap(app)).get("/")
        assert (answer.status_code, answer.text) == (503, "out of order")

    def test_another_fault_after_a_refusal(self, auth: Authward) -> None:
        async def app(scope: Scope, receive: Receive, send: Send) -> None:
            with suppress(Refusal):
                auth.principal(scope)
            await PlainTextResponse("sorry", 500)(scope, receive, send)
            raise ValueError("unrelated")

        client = TestClient(auth.wrap(app), raise_server_exceptions=False)
        assert client.get("/").text == "sorry"
        with pytest.raises(ValueError, match="unrelated"):
            TestClient(auth.wrap(app)).get("/")

    def test_a_refusal_once_the_answer_has_begun(self, auth: Authward) -> None:
        async def app(scope: Scope, receive: Receive, send: Send) -> None:
            await send({"type": "http.response.start", "status": 200, "headers": []})
            auth.principal(scope)

        with pytest.raises(MissingToken):
            TestClient(auth.wrap(app)).get("/")

    def test_a_fault(self, auth: Authward, caplog: pytest.LogCaptureFixture) -> None:
        def handle(scope: Scope) -> None:
            raise RuntimeError("for the log")

        answer = TestClient(auth.wrap(bare(handle))).get("/")
        assert answer.json()["error"] == "internal_error"
        assert "for the log" not in answer.text
        assert "for the log" in caplog.text


class TestLifespan:
    def test_one_of_the_apps(self, auth: Authward) -> None:
        log: list[str] = []

        async def app(scope: Scope, receive: Receive, send: Send) -> None:
            while scope["type"] == "lifespan":
                message = await receive()
                log.append(f"{message['type']}: {auth._running.current is not None}")
                await send({"type": f"{message['type']}.complete"})
                if message["type"] == "lifespan.shutdown":
                    return

        with TestClient(auth.wrap(app)):
            pass
        assert log == ["lifespan.startup: True", "lifespan.shutdown: True"]
        with pytest.raises(Unavailable):
            _ = auth.services

    def test_a_start_that_fails(self, make_auth: Callable[..., Authward]) -> None:
        sent: list[Any] = []

        async def send(message: Any) -> None:
            sent.append(message)

        async def receive() -> Any:
            return {"type": "lifespan.startup"}

        app = make_auth(database_url="sqlite:////nowhere/at/all.db").asgi()
        with pytest.raises(ConfigurationError):
            asyncio.run(app({"type": "lifespan"}, receive, send))  # type: ignore[arg-type]
        assert sent[0]["type"] == "lifespan.startup.failed"
        assert "does not exist" in sent[0]["message"]


async def goes_on(scope: Any, receive: Any, send: Any) -> None:
    with suppress(Exception):
        await receive()
    await send({"type": "lifespan.startup.complete"})


async def goes_on_and_waits(scope: Any, receive: Any, send: Any) -> None:
    await goes_on(scope, receive, send)
    await asyncio.Event().wait()


async def makes_another_error_of_it(scope: Any, receive: Any, send: Any) -> None:
    with suppress(Exception):
        await receive()
    raise RuntimeError("of the app")


@pytest.mark.parametrize(
    "app", [Starlette(), goes_on, goes_on_and_waits, makes_another_error_of_it]
)
def test_a_start_that_fails_ends_a_test_with_its_error(
    make_auth: Callable[..., Authward], app: Any
) -> None:
    """Told and not raised, Starlette's client took it for a start, and waited for ever at its
    end.
    """
    sent: list[str] = []

    async def send(message: Any) -> None:
        sent.append(message["type"])

    async def receive() -> Any:
        return {"type": "lifespan.startup"}

    served: Any = make_auth(database_url="sqlite:////nowhere/at/all.db").wrap(app)
    with pytest.raises(ConfigurationError, match="does not exist"):
        asyncio.run(served({"type": "lifespan", "state": {}}, receive, send))
    assert sent == ["lifespan.startup.failed"]


def test_tests_of_an_app_that_does_not_start_say_why(make_auth: Callable[..., Authward]) -> None:
    served = make_auth(database_url="sqlite:////nowhere/at/all.db").asgi()
    with pytest.raises(ConfigurationError, match="does not exist"), TestClient(served):
        pass


@pytest.mark.parametrize("told", [False, True])
def test_what_the_app_itself_refuses_is_told_once(auth: Authward, told: bool) -> None:
    sent: list[str] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        if told:
            await send({"type": "lifespan.startup.failed", "message": "wrong"})
        raise ConfigurationError("wrong")

    async def send(message: Any) -> None:
        sent.append(message["type"])

    async def receive() -> Any:
        return {"type": "lifespan.startup"}

    async def start() -> None:
        served: Any = auth.wrap(app)
        try:
            await served({"type": "lifespan", "state": {}}, receive, send)
        finally:
            await auth.shutdown()

    with pytest.raises(ConfigurationError, match="wrong"):
        asyncio.run(start())
    assert sent == ["lifespan.startup.failed"]


def test_our_own_app(auth: Authward) -> None:
    with TestClient(auth.asgi()) as client:
        assert client.get("/api/public-data").status_code == 200
        assert client.get("/nowhere").json()["error"] == "not_found"
        assert client.get("/openapi.json").status_code == 200


def test_fastapi_is_not_loaded_for_others() -> None:
    code = """
import sys, tempfile
from authward import Authward, Principal
from authward.starlette import authenticate, authorize, require, principal
import authward.testing
from starlette.applications import Starlette
folder = tempfile.mkdtemp()
auth = Authward(database_url=f"sqlite:///{folder}/test.db")
auth.wrap(Starlette())
auth.install(Starlette())
auth.asgi()
sys.exit("fastapi" in sys.modules)
"""
    subprocess.run([sys.executable, "-c", code], check=True)
