"""An app that denies by default, and tracing around all that Starlette and FastAPI make of its
endpoints: as Sentry has it, whose functions are made here as its integrations make them.
"""

import functools
import inspect
from collections.abc import Callable
from types import FunctionType, MethodType
from typing import Any

import fastapi.routing
import pytest
import starlette.routing
from fastapi import APIRouter, FastAPI
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Mount, Route
from starlette.testclient import TestClient

from authward import Authward, ConfigurationError
from authward.starlette import authenticate, public

SENTRY = "sentry_sdk.integrations.starlette"


def around_handlers(made: Callable[..., Any]) -> Callable[..., Any]:
    def get_request_handler(*given: Any, **also: Any) -> Any:
        inner = made(*given, **also)

        async def traced(*given: Any, **also: Any) -> Any:
            return await inner(*given, **also)

        return traced

    return get_request_handler


def around_functions(made: Callable[..., Any]) -> Callable[..., Any]:
    def request_response(function: Callable[..., Any], *given: Any) -> Any:
        if inspect.iscoroutinefunction(function):

            async def traced(*given: Any, **also: Any) -> Any:
                return await function(*given, **also)

            return made(traced, *given)

        @functools.wraps(function)
        def traced_in_a_thread(*given: Any, **also: Any) -> Any:
            return function(*given, **also)

        return made(traced_in_a_thread, *given)

    return request_response


@pytest.fixture
def trace(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """From now on endpoints are wrapped in functions of this module."""

    def patch(module: str) -> None:
        for home, name, around in (
            (fastapi.routing, "get_request_handler", around_handlers),
            (starlette.routing, "request_response", around_functions),
        ):
            code, names = around.__code__, {**around.__globals__, "__name__": module}
            there: Any = FunctionType(code, names)
            monkeypatch.setattr(home, name, there(getattr(home, name)))

    return patch


@authenticate
async def me(request: Request) -> Response:
    return PlainTextResponse("who signed in")


@public
def everybody(request: Request) -> Response:
    return PlainTextResponse("everybody")


def fast(auth: Authward) -> FastAPI:
    app, router = FastAPI(), APIRouter()
    auth.install(app, deny_by_default=True)

    @app.get("/a", dependencies=[auth.authenticate])
    async def in_the_app() -> None: ...

    @router.get("/b", dependencies=[auth.authenticate])
    def in_a_router() -> None: ...

    app.include_router(router)
    app.mount("/c", Starlette(routes=[Route("/me", me), Route("/everybody", everybody)]))
    return app


def test_a_traced_app_starts(auth: Authward, trace: Callable[[str], None]) -> None:
    trace(SENTRY)
    with TestClient(fast(auth)) as client:
        asked = {path: client.get(path).status_code for path in ("/a", "/b", "/c/me")}
        assert asked == dict.fromkeys(asked, 401)
        assert client.get("/c/everybody").text == "everybody"
        assert client.get("/openapi.json").status_code == 200


def test_an_undeclared_route_is_found_behind_it(
    auth: Authward, trace: Callable[[str], None]
) -> None:
    trace(SENTRY)
    app = fast(auth)
    app.add_api_route("/d", lambda: None)
    with pytest.raises(ConfigurationError, match=r"may call\n  GET /d .*\n"), TestClient(app):
        pass


def test_what_is_made_of_another_endpoint_is_not_its_own(
    auth: Authward, trace: Callable[[str], None]
) -> None:
    trace(SENTRY)
    route = Route("/x", me)
    route.app = starlette.routing.request_response(everybody)
    app = Starlette(routes=[route])
    auth.install(app, deny_by_default=True)
    with pytest.raises(ConfigurationError, match=r"may call\n  mount /x "), TestClient(app):
        pass


def test_what_somebody_else_puts_around_is_opaque(
    auth: Authward, trace: Callable[[str], None]
) -> None:
    trace("sentry_sdk_of_somebody")
    app = Starlette(routes=[Mount("/c", routes=[Route("/me", me)])])
    auth.install(app, deny_by_default=True)
    with pytest.raises(ConfigurationError, match=r"may call\n  mount /c/me "), TestClient(app):
        pass


def test_a_class_of_a_tracer_in_place_of_fastapi(
    auth: Authward, monkeypatch: pytest.MonkeyPatch
) -> None:
    """OpenTelemetry puts one there, and whoever imports it later gets that."""
    inner = type("Instrumented", (FastAPI,), {"__module__": "opentelemetry.instrumentation"})
    monkeypatch.setattr("authward.fastapi.FastAPI", inner)
    app = inner()
    auth.install(app, deny_by_default=True)
    with TestClient(app) as client:
        assert client.get("/openapi.json").status_code == 200


def around_stack(inner: Any) -> Any:
    @functools.wraps(inner)
    def build_middleware_stack(app: Any) -> Any:
        return inner()

    return build_middleware_stack


@pytest.mark.parametrize("own", [False, True])
def test_a_stack_of_the_apps_own_does_not_hide_behind_tracing(auth: Authward, own: bool) -> None:
    """OpenTelemetry builds what it has found there."""
    inner = Starlette(routes=[Route("/me", me)])
    if own:
        inner.build_middleware_stack = lambda: PlainTextResponse("for anyone")  # type: ignore[method-assign]
    names = {**around_stack.__globals__, "__name__": "opentelemetry.instrumentation.fastapi"}
    traced: Any = FunctionType(around_stack.__code__, names)(inner.build_middleware_stack)
    inner.build_middleware_stack = MethodType(traced, inner)  # type: ignore[method-assign]
    app = Starlette(routes=[Mount("/c", inner)])
    auth.install(app, deny_by_default=True)
    if own:
        with pytest.raises(ConfigurationError, match=r"may call\n  mount /c"), TestClient(app):
            pass
    else:
        with TestClient(app) as client:
            assert client.get("/c/me").status_code == 401
