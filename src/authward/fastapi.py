"""For FastAPI: a route class that asks guards before it reads the body, and what `install` does for
such an app. An app uses them through `Authward`.
"""

from __future__ import annotations

import copy
import functools
import inspect
from collections.abc import Callable, Collection, Coroutine
from typing import Any, cast

from fastapi import FastAPI
from fastapi.dependencies.models import Dependant
from fastapi.exception_handlers import (
    http_exception_handler,
    request_validation_exception_handler,
)
from fastapi.exceptions import RequestValidationError
from fastapi.routing import APIRoute, iter_route_contexts
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Match

from authward.declared import ANYONE, mark
from authward.errors import Detail, MalformedRequest, Refusal, ValidationError
from authward.guards import Guard, Overrides, Public, guards_of, require_kept
from authward.http.openapi import openapi_paths
from authward.http.responses import refusal_response
from authward.http.shapes import ref
from authward.starlette import Installing
from authward.ui.pages import docs_routes

Handler = Callable[[Request], Coroutine[Any, Any, Response]]
_ADMITTED = "authward.admitted"
_OWN = "authward_request"
_PLACES = ("body", "query", "path", "header", "cookie")


class Route(APIRoute):
    """Asks the guards of a route before its body is read, so that a stranger gets 401 whatever was
    sent. Overridden dependencies (`app.dependency_overrides`) stay overridden.
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

        async def guarded(request: Request) -> Response:
            nonlocal guards, dependant
            if guards is None:
                dependant = _included(self, request)
                guards = tuple(dict.fromkeys(guards_of(dependant, {})))
            scope = request.scope
            overrides: Overrides = getattr(scope["app"], "dependency_overrides", None) or {}
            if overrides:
                tests = all(one.overridable for one in guards)
                if not tests:
                    require_kept(overrides)  # the app may have another dict than at its start
                for one in guards_of(dependant, overrides) if tests else guards:
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
            and getattr(endpoint, "__module__", None) == "fastapi.applications"
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
