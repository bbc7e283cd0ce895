"""What of an app may answer by itself, before anybody is asked. What it does, nobody can tell, so
it is declared or not served.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from contextlib import suppress
from types import FunctionType
from typing import Any

from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.middleware.errors import ServerErrorMiddleware
from starlette.routing import Route, Router, WebSocketRoute
from starlette.types import ASGIApp

from authward.middleware.shield import Shield

# What of a class decides who answers.
_TRUSTED = frozenset({"authward", "fastapi", "starlette"})
# Tracing, which puts its own around theirs wherever an app is made, and answers nothing itself.
_TRACING = frozenset({"opentelemetry", "sentry_sdk"})
_ROUTER = ("__call__", "app", "handle", "matches")
_ROUTE = ("handle", "matches", "get_route_handler")
_CLASS = (
    *("dispatch", "method_not_allowed", "__await__"),
    *("__init__", "__new__", "__getattr__", "__getattribute__"),
)


class Rebuilt:
    """In place of an app's `build_middleware_stack`: `around` what that has built."""

    def __init__(self, build: Callable[[], ASGIApp], around: Callable[[ASGIApp], ASGIApp]) -> None:
        self.build = build
        self._around = around

    def __call__(self) -> ASGIApp:
        return self._around(self.build())


def app_answers(app: Starlette, *, mounted: bool) -> bool:
    """Whether an app may answer before its router does, by its class or by what it is wrapped in.
    The middleware of the app at the top is its own affair.
    """
    return differs(app, "__call__") or (mounted and not _ordinary_stack(app))


def router_answers(router: Router, *, included: bool) -> bool:
    """Whether a router may answer by itself. An included one is asked for its routes alone."""
    if differs(router, *_ROUTER):
        return True
    return not included and not _leads(router.middleware_stack, router.app)


def route_answers(route: Any) -> bool:
    """Whether a route may answer by itself, by its class or by an `app` that was not made of its
    endpoint.
    """
    if differs(route, *_ROUTE):
        return True
    return isinstance(route, Route | WebSocketRoute) and not _made_of_its_endpoint(route)


def keeps(endpoint: Any, base: Any) -> bool:
    """Whether it is an endpoint class that calls its methods as `base` does. One with a dispatch of
    its own may answer whatever its methods say.
    """
    if not (inspect.isclass(endpoint) and issubclass(endpoint, base)):
        return False
    return all(getattr(endpoint, name, None) is getattr(base, name, None) for name in _CLASS)


def within(app: object, base: ASGIApp) -> Any:
    """`base`, if `app` is middleware around it, as that of a mount; else `app` itself."""
    return base if _leads(app, base) else app


def differs(what: object, *names: str) -> bool:
    """Whether one of these is the app's own and not Starlette's, FastAPI's or ours: it may answer
    as it likes, whatever the routes say.
    """
    if not vars(what).keys().isdisjoint(names):
        return True
    for name in names:
        home = next((one for one in type(what).__mro__ if name in vars(one)), None)
        if home is not None and not trusted(home):
            return True
    return False


def trusted(what: object) -> bool:
    """Whether it is Starlette's, FastAPI's or ours, or of a tracer that stands around theirs."""
    named = _top(getattr(what, "__module__", None))
    # A wrapper may call itself what it wraps (functools.wraps); where it was written stays told.
    written = _written(what) if inspect.isfunction(what) else named
    return {named, written} <= _TRUSTED or written in _TRACING


def _traces(build: object) -> bool:
    function = getattr(build, "__func__", None)
    return inspect.isfunction(function) and _written(function) in _TRACING


def _written(function: FunctionType) -> str:
    return _top(function.__globals__.get("__name__"))


def _top(module: str | None) -> str:
    return (module or "").partition(".")[0]


def _leads(outer: object, inner: object) -> bool:
    """Whether `outer` is `inner`, or middleware around it that has what it wraps as its `app`."""
    while outer is not None and outer != inner:
        outer = getattr(outer, "app", None)
    return outer is not None


def _ordinary_stack(app: Starlette) -> bool:
    """Whether what stands around an app's router is what Starlette and FastAPI put there."""
    build: Any = app.build_middleware_stack
    rebuilt = isinstance(build, Rebuilt)
    while isinstance(build, Rebuilt) or _traces(build):
        # A tracer builds what it has found there, be it the app's own.
        build = build.build if isinstance(build, Rebuilt) else getattr(build, "__wrapped__", None)
    if getattr(build, "__self__", None) is not app or not trusted(getattr(build, "__func__", None)):
        return False
    stack = app.middleware_stack  # there once it has served
    if stack is None or (rebuilt and type(stack) is Shield):
        return True
    # Middleware of the app's own is not looked at, and may hide what it wraps.
    ours = type(stack) is ServerErrorMiddleware
    return ours and (bool(app.user_middleware) or _leads(stack, app.router))


def _made_of_its_endpoint(route: Route | WebSocketRoute) -> bool:
    endpoint: object = route.endpoint
    inner: Any = route.app
    while inner is not endpoint and not inspect.isfunction(inner) and inner is not None:
        inner = getattr(inner, "app", None)
    if inner is endpoint:
        return True
    if not inspect.isfunction(inner) or not trusted(inner):
        return False
    # What Starlette and FastAPI make of a function holds it, or their own that calls it.
    held = _held(inner)
    return bool(held) and all(_is_of(one, endpoint) for one in held)


def _is_of(held: object, endpoint: object) -> bool:
    if held is endpoint:
        return True
    if not inspect.isfunction(held) or not trusted(held):
        return False
    traces = _written(held) in _TRACING
    return not traces or any(_is_of(one, endpoint) for one in _held(held))


def _held(function: FunctionType) -> list[object]:
    held: list[object] = []
    for cell in function.__closure__ or ():
        with suppress(ValueError):  # of a name that has no value yet
            held.append(_plain(cell.cell_contents))
    return held


def _plain(held: Any) -> object:
    """The function that a thread is given to run."""
    if isinstance(held, functools.partial) and held.func is run_in_threadpool:
        return held.args[0]
    return held
