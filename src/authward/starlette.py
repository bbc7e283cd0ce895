"""For Starlette: guards as decorators, and `Authward.install`.

>>> from authward.starlette import authenticate, authorize, principal, require
"""

from __future__ import annotations

import functools
import inspect
import sys
from collections.abc import AsyncIterator, Callable, Collection, Iterable, Iterator, Sequence
from contextlib import asynccontextmanager
from typing import Any, Protocol, TypeVar, cast

from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.middleware.errors import ServerErrorMiddleware
from starlette.requests import HTTPConnection, Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Host, Mount, Route
from starlette.types import ASGIApp, ExceptionHandler
from starlette.websockets import WebSocket

from authward.answering import Rebuilt
from authward.core.principal import Principal
from authward.core.requirements import Requirement, requirements
from authward.declared import ANYONE, Need, Who, mark, marked
from authward.deny import Denying, Known, keep_overrides, know, known, walk
from authward.errors import ConfigurationError, InternalError, Refusal
from authward.http.admission import ADMISSION, Admission, named
from authward.http.endpoint import Site
from authward.http.responses import http_error_response, refusal_response
from authward.middleware.websocket import close_code
from authward.opened import public_paths, with_public
from authward.ports import Clock
from authward.settings import Settings
from authward.setups import check_setups

E = TypeVar("E", bound=Callable[..., Any])


def authenticate(endpoint: E) -> E:
    """Any signed-in caller. Decorates functions that take a Request or WebSocket, and methods of
    Starlette's endpoint classes.
    """
    return _guarded(endpoint)


def authorize(*roles: str) -> Callable[[E], E]:
    """A caller with one of these roles."""
    return functools.partial(_guarded, roles=named("authorize", roles))


def require(*permissions: Requirement) -> Callable[[E], E]:
    """A caller with all of these permissions, granted directly or through the role."""
    return functools.partial(_guarded, permissions=requirements("require", permissions))


def public(endpoint: E) -> E:
    """Anyone. It says so, for an app that denies by default. Raises ConfigurationError for what has
    a guard.
    """
    if not inspect.isfunction(endpoint):
        raise ConfigurationError(
            f"{endpoint!r} cannot be decorated. Decorate functions, or the methods of a class; "
            "other endpoints are named by path: auth.install(app, public=['/…'])"
        )
    said = marked(endpoint)
    if said is not None and said.needs:
        raise ConfigurationError(
            f"public: {endpoint.__qualname__} has a guard: {said}. Remove one of the two"
        )
    mark(endpoint, ANYONE)
    return cast(E, endpoint)


def principal(connection: HTTPConnection) -> Principal:
    """The caller of a request or WebSocket. Raises a Refusal, as `Authward.principal` does."""
    return _admission(connection).principal(connection)


def _admission(connection: HTTPConnection) -> Admission:
    admission = connection.scope.get(ADMISSION)
    if not isinstance(admission, Admission):
        raise ConfigurationError(
            "this app is not behind Authward. Call auth.install(app), or serve auth.wrap(app)"
        )
    return admission


def _guarded(
    endpoint: E, *, roles: Sequence[str] = (), permissions: Sequence[Requirement] = ()
) -> E:
    if not inspect.isfunction(endpoint):
        raise ConfigurationError(
            f"{endpoint!r} cannot be decorated. Decorate functions, or the methods of a class"
        )
    waits = inspect.iscoroutinefunction(endpoint)

    @functools.wraps(endpoint)
    async def guarded(*given: Any, **also: Any) -> Any:
        connection = _connection((*given, *also.values()))
        admission = _admission(connection)
        try:
            admission.principal(connection, roles=roles, permissions=permissions)
        except Refusal as refusal:
            if isinstance(connection, WebSocket):
                raise
            return refusal_response(refusal, connection.scope, admission.clock)
        if waits:
            return await endpoint(*given, **also)
        return await run_in_threadpool(endpoint, *given, **also)

    mark(guarded, Who((Need(tuple(roles), tuple(permissions)),)) + marked(endpoint))
    return cast(E, guarded)


def _connection(arguments: Iterable[Any]) -> HTTPConnection:
    for argument in arguments:
        if isinstance(argument, HTTPConnection):
            return argument
    raise ConfigurationError("a guarded endpoint takes a Request or a WebSocket")


class Installing(Protocol):
    """What `install` needs of an Authward."""

    clock: Clock
    settings: Settings

    @property
    def site(self) -> Site: ...

    def routes(self) -> list[Route]: ...

    def protect(
        self,
        app: ASGIApp,
        check: Callable[[], None],
        *,
        intact: Callable[[], bool] | None,
        raises: bool,
    ) -> ASGIApp: ...

    async def startup(self) -> None: ...

    async def shutdown(self) -> None: ...


def install(
    app: Starlette,
    auth: Installing,
    *,
    deny_by_default: bool = False,
    public: Collection[str] = (),
) -> None:
    """What `Authward.install` does."""
    if not isinstance(cast(object, app), Starlette):
        raise ConfigurationError(
            "install: takes a FastAPI or Starlette app. Any other: app = auth.wrap(app)"
        )
    has = known(app) is not None
    if has or app.middleware_stack is not None:
        what = "has Authward already" if has else "has begun to serve. Install before"
        raise ConfigurationError(f"install: the app {what}")
    paths = public_paths(public)
    _check(app, auth)
    pages: frozenset[str] = frozenset()
    fastapi: Any = sys.modules.get("fastapi")
    if fastapi is not None and isinstance(app, fastapi.FastAPI):
        from authward.fastapi import prepare

        pages = prepare(app, auth)
    know(app, Known(auth, paths, pages, deny_by_default))
    production = auth.settings.production
    denying = Denying(app, paths, pages, production=production) if deny_by_default else None

    def check() -> None:
        _check(app, auth)
        if denying is not None:
            return denying.check()
        if paths or production:
            seen = walk(app)
            with_public(seen.found, paths, pages, strict=True)
            if production:
                keep_overrides(seen)

    failed = _handle_exceptions(app, auth.clock)
    _start_with(app, auth, check)
    intact = None if denying is None else denying.intact

    # add_middleware would leave the answers of the server error handler outside.
    def protected(stack: ASGIApp) -> ASGIApp:
        inner = _below_server_errors(stack, failed)
        return auth.protect(inner, check, intact=intact, raises=inner is not stack)

    build = Rebuilt(app.build_middleware_stack, protected)
    app.build_middleware_stack = build  # type: ignore[method-assign]


def _below_server_errors(stack: ASGIApp, failed: ExceptionHandler) -> ASGIApp:
    """`stack` without Starlette's ServerErrorMiddleware, where all that it does is to ask `failed`:
    the shield says the same, and two frames less stand around each message.
    """
    if type(stack) is ServerErrorMiddleware and stack.handler is failed and not stack.debug:
        return stack.app
    return stack


def _check(app: Starlette, auth: Installing) -> None:
    """Refuse what would be unsafe or silently dead. Raises ConfigurationError."""
    check_setups(walk(app), production=auth.settings.production)
    ours = auth.routes()
    for path in _paths(app.routes):
        for route in ours:
            if route.path_regex.match(path):
                raise ConfigurationError(
                    f"install: {path} of the app would never be reached, as Authward serves "
                    f"{route.path}. Rename the app's route"
                )


def _paths(routes: Iterable[BaseRoute], prefix: str = "") -> Iterator[str]:
    """The HTTP paths of an app, those of its mounts and in them too."""
    fastapi: Any = sys.modules.get("fastapi.routing")
    # FastAPI keeps included routers whole; this is its way to look inside.
    found: Iterable[Any] = routes if fastapi is None else fastapi.iter_route_contexts(routes)
    for route in found:
        kind = getattr(route, "original_route", route)
        if isinstance(kind, Mount):
            # Ours would answer at the very path, and theirs below it: two guards for one name.
            yield prefix + route.path
            yield from _paths(route.routes, prefix + route.path)
        elif isinstance(kind, Host):
            yield from _paths(route.routes, prefix)
        elif isinstance(kind, Route):
            yield prefix + route.path_format


def _start_with(app: Starlette, auth: Installing, check: Callable[[], None]) -> None:
    own = app.router.lifespan_context

    @asynccontextmanager
    async def lifespan(host: Any) -> AsyncIterator[Any]:
        check()
        await auth.startup()
        try:
            async with own(host) as state:
                yield state
        finally:
            await auth.shutdown()

    app.router.lifespan_context = lifespan


def _handle_exceptions(app: Starlette, clock: Clock) -> ExceptionHandler:
    """Our envelopes, where the app has no handler of its own. Returns the one for what failed."""
    handlers = app.exception_handlers

    async def refused(connection: HTTPConnection, error: Exception) -> Response | None:
        refusal = cast(Refusal, error)
        _admission(connection).denied(connection.scope, refusal)
        if isinstance(connection, WebSocket):
            await connection.close(close_code(refusal), refusal.code)
            return None
        return refusal_response(refusal, connection.scope, clock)

    async def http_error(request: Request, error: Exception) -> Response:
        return http_error_response(cast(HTTPException, error), request.scope, clock)

    async def failed(request: Request, error: Exception) -> Response:
        # It is raised on, so that the server logs it with its traceback.
        return refusal_response(InternalError(), request.scope, clock)

    handlers.setdefault(Refusal, cast(Any, refused))
    handlers.setdefault(HTTPException, http_error)
    if 500 not in handlers:
        handlers.setdefault(Exception, failed)
    return failed
