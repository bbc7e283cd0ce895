"""For FastAPI: guards that are dependencies, and a route class that asks them before it reads the
body. An app uses them through `Authward`.
"""

from __future__ import annotations

import copy
import functools
import inspect
from collections.abc import Callable, Collection, Coroutine, Iterator, Mapping
from typing import Any, cast

from fastapi import FastAPI
from fastapi.dependencies.models import Dependant
from fastapi.exception_handlers import (
    http_exception_handler,
    request_validation_exception_handler,
)
from fastapi.exceptions import RequestValidationError
from fastapi.openapi.models import HTTPBearer
from fastapi.params import Security
from fastapi.routing import APIRoute, iter_route_contexts
from fastapi.security.base import SecurityBase
from starlette.exceptions import HTTPException
from starlette.requests import HTTPConnection, Request
from starlette.responses import Response
from starlette.routing import Match
from starlette.types import Scope

from authward.core.principal import Principal
from authward.core.requirements import Requirement
from authward.declared import ANYONE, Need, Who, mark
from authward.errors import Detail, MalformedRequest, Refusal, ValidationError
from authward.http.admission import Admission
from authward.http.openapi import openapi_paths
from authward.http.responses import refusal_response
from authward.http.shapes import PREFIX, ref
from authward.starlette import Installing
from authward.ui.pages import docs_routes

Handler = Callable[[Request], Coroutine[Any, Any, Response]]
Overrides = Mapping[Callable[..., Any], Callable[..., Any]]

_ADMITTED = "authward.admitted"
_OWN = "authward_request"
_PLACES = ("body", "query", "path", "header", "cookie")


class Guard(SecurityBase):
    """Lets a request or WebSocket in, or raises a Refusal. Equal guards ask the same."""

    model = HTTPBearer(bearerFormat="JWT")
    scheme_name = f"{PREFIX}Bearer"

    def __init__(
        self, admission: Admission, roles: tuple[str, ...], permissions: tuple[Requirement, ...]
    ) -> None:
        self._asked = (admission, roles, permissions)
        self.admit: Callable[[Scope], Principal] = functools.partial(
            admission.principal, roles=roles, permissions=permissions
        )
        """The caller. Raises a Refusal."""
        mark(self, Who((Need(roles, permissions),)))

    async def __call__(self, connection: HTTPConnection) -> Principal:
        return self.admit(connection.scope)

    @property
    def overridable(self) -> bool:
        return self._asked[0].overridable

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Guard) and self._asked == other._asked

    def __hash__(self) -> int:
        return hash(self._asked)


def guard(
    admission: Admission, *, roles: tuple[str, ...] = (), permissions: tuple[Requirement, ...] = ()
) -> Security:
    """A guard as FastAPI takes it: in `Annotated[…]`, `dependencies=[…]` or as a default."""
    return Security(Guard(admission, roles, permissions))


class Public:
    """Lets anyone in, and says so."""

    def __init__(self) -> None:
        mark(self, ANYONE)

    async def __call__(self) -> None:
        """Nothing to ask."""


def public() -> Security:
    """What says that anyone may call, as FastAPI takes it."""
    return Security(Public())


class Route(APIRoute):
    """Asks the guards of a route before its body is read, so that a stranger gets 401 whatever was
    sent. Overridden dependencies (`app.dependency_overrides`) stay overridden. With a body, they
    are asked again once it is read: a slow one may outlive its sender's session (CWE-367).
    """

    def get_route_handler(self) -> Handler:
        ordinary = super().get_route_handler()
        full, self.dependant = self.dependant, _lifted(self.dependant)
        try:
            lifted = super().get_route_handler()
        finally:
            self.dependant = full
        guards: tuple[Guard, ...] | None = None
        dependant = full
        if self.body_field is not None:
            lifted = ordinary

        async def guarded(request: Request) -> Response:
            nonlocal guards, dependant
            if guards is None:
                dependant = _included(self, request)
                guards = tuple(dict.fromkeys(_guards(dependant, {})))
            scope = request.scope
            overrides: Overrides = getattr(scope["app"], "dependency_overrides", None) or {}
            if overrides:
                # Those are for tests. In production nobody talks a guard away.
                tests = all(one.overridable for one in guards)
                for one in _guards(dependant, overrides) if tests else guards:
                    one.admit(scope)
                return await ordinary(request)
            for one in guards:
                scope[_ADMITTED] = one.admit(scope)  # one token, so one caller
            return await lifted(request)

        return guarded


def _included(route: APIRoute, request: Request) -> Dependant:
    """What the route depends on where the request met it: `include_router` adds dependencies."""
    for context in iter_route_contexts(request.app.routes):
        if context.original_route is route and context.matches(request.scope)[0] is Match.FULL:
            return cast(Dependant, context.dependant)
    return route.dependant


def _guards(dependant: Dependant, overrides: Overrides) -> Iterator[Guard]:
    """Every guard that is sure to be asked."""
    for one in dependant.dependencies:
        if one.call in overrides:
            continue
        if isinstance(one.call, Guard):
            yield one.call
        yield from _guards(one, overrides)


def _lifted(full: Dependant) -> Dependant:
    """`full` without its own guards: solving a dependency costs more than asking them. The endpoint
    finds who was admitted in the scope.
    """
    call = full.call
    named = [
        one.name
        for one in full.dependencies
        if one.name is not None and isinstance(one.call, Guard)
    ]
    if named and (not inspect.isfunction(call) or hasattr(call, "__wrapped__")):
        return full  # FastAPI judges the kind of an endpoint by what it wraps
    lean = copy.copy(full)
    lean.dependencies = [
        one for one in full.dependencies if not isinstance(one.call, Guard | Public)
    ]
    if named and call is not None:
        theirs = full.request_param_name or full.http_connection_param_name
        lean.request_param_name = full.request_param_name or (None if theirs else _OWN)

        @functools.wraps(call)
        def with_principals(**values: Any) -> Any:
            request = values[theirs] if theirs else values.pop(_OWN)
            caller = request.scope[_ADMITTED]
            for name in named:
                values[name] = caller
            return call(**values)

        lean.call = with_principals
    return lean


def prepare(app: FastAPI, auth: Installing) -> frozenset[str]:
    """What `Authward.install` does for FastAPI beside what it does for Starlette. The paths of the
    app's documentation.
    """
    if app.router.route_class is APIRoute:
        app.router.route_class = Route
    pages = _serve_docs(app, auth)
    handlers = app.exception_handlers

    async def invalid(request: Request, error: Exception) -> Response:
        refusal = _refusal_of(cast(RequestValidationError, error))
        return refusal_response(refusal, request.scope, auth.clock)

    if handlers.get(HTTPException) is http_exception_handler:
        del handlers[HTTPException]
    describes = handlers.get(RequestValidationError) is request_validation_exception_handler
    if describes:
        handlers[RequestValidationError] = invalid
    _describe(app, auth, envelopes=describes)
    return pages


def _refusal_of(error: RequestValidationError) -> Refusal:
    """What was wrong, without the values: they may be secrets."""
    found = error.errors()
    if any(one["type"] == "json_invalid" for one in found):
        return MalformedRequest("JSON", text="The body is not valid JSON")
    details = [
        Detail(_field(one["loc"]), one["type"], one["msg"].removeprefix("Value error, "))
        for one in found[:50]
    ]
    return ValidationError(details=details)


def _field(location: Collection[Any]) -> str:
    parts = [str(part) for part in location]
    return ".".join(parts[1:] if len(parts) > 1 and parts[0] in _PLACES else parts)[:200]


def _serve_docs(app: FastAPI, auth: Installing) -> frozenset[str]:
    """Take the app's own documentation pages away: they load scripts from a CDN, which our policy
    blanks. Show its document on a page of ours instead; or, where documentation is off, hide that
    too, as it tells strangers every route there is.
    """
    shown = auth.settings.serve_docs
    pages = (app.docs_url, app.redoc_url, app.openapi_url)
    gone = {app.docs_url, app.redoc_url, app.swagger_ui_oauth2_redirect_url}
    if not shown:
        gone.add(app.openapi_url)
    gone.discard(None)  # as what is switched off has no path, and neither have other routes
    kept = [route for route in app.router.routes if getattr(route, "path", None) not in gone]
    app.router.routes[:] = kept
    if shown and app.docs_url is not None and app.openapi_url is not None:
        ours = docs_routes(auth.clock, path=app.docs_url, document=app.openapi_url, title=app.title)
        app.router.routes.extend(ours)
    for route in kept:
        # Whoever shows documentation has said that anyone may read it.
        endpoint = getattr(route, "endpoint", None)
        if (
            getattr(route, "path", None) == app.openapi_url
            and getattr(endpoint, "__module__", None) == FastAPI.__module__
        ):
            mark(endpoint, ANYONE)
    return frozenset(path for path in pages if path is not None)


def _describe(app: FastAPI, auth: Installing, *, envelopes: bool) -> None:
    """Let the app's OpenAPI document show our routes, and its 422 as it now is."""
    own = app.openapi
    seen: dict[str, Any] = {}
    merged: dict[str, Any] = {}

    def openapi() -> dict[str, Any]:
        nonlocal seen, merged
        document = own()
        if document is not seen:
            seen, merged = document, _merged(document, openapi_paths(cookies=auth.site.cookies))
            schemas = merged["components"]["schemas"]
            if envelopes and "HTTPValidationError" in schemas:
                schemas["HTTPValidationError"] = ref("schemas", "Error")
        return merged

    app.openapi = openapi  # type: ignore[method-assign]


def _merged(document: dict[str, Any], ours: dict[str, Any]) -> dict[str, Any]:
    components = dict(document.get("components", {}))
    for kind, entries in ours["components"].items():
        components[kind] = {**components.get(kind, {}), **entries}
    paths = {**document.get("paths", {}), **ours["paths"]}
    return {**document, "paths": paths, "components": components}
