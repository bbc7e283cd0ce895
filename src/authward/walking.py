"""Every route of an app, found by walking all of it."""

from __future__ import annotations

import copy
import inspect
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, cast

from starlette.applications import Starlette
from starlette.endpoints import HTTPEndpoint, WebSocketEndpoint
from starlette.middleware import Middleware
from starlette.routing import BaseRoute, Host, Mount, Route, Router, WebSocketRoute
from starlette.types import ASGIApp

from authward.answering import app_answers, keeps, route_answers, router_answers, within
from authward.declared import (
    ANYONE,
    Declared,
    Kind,
    Need,
    Who,
    asked,
    bare,
    depends,
    plain,
    said,
)
from authward.holding import CORS_MIDDLEWARE, held_by
from authward.http.endpoint import Endpoint, Resource
from authward.middleware.answers import NoApp
from authward.ui.pages import File

# What HTTPEndpoint looks for; HEAD is its get's.
METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "QUERY")


@dataclass(frozen=True, slots=True)
class _Place:
    path: str = ""
    host: str = ""
    below: tuple[str, ...] = ()
    middleware: tuple[tuple[str, Middleware], ...] = ()

    def full(self, path: str = "") -> str:
        return plain((f"//{self.host}" if self.host else "") + (self.path + path or "/"))


class Walk:
    """Every route below `app`: of included routers, mounts, hosts and frontends, of WebSockets too.

    `found` are the routes, `apps` the apps with their paths, `lists` the holder and the name of
    every list of routes, `fixed` those of what else leads to routes, `providers` whatever holds
    `dependency_overrides` that are heeded. `held` are the apps that something opaque holds, and
    the middleware that states CORS, with its path: who may call them, nobody can tell, but how they
    are set up counts there too.

    `instead` names lists by id that are read as if they were others. `opened` says what lies behind
    an app of ours. `met` are the ids of apps that have been seen.
    """

    def __init__(
        self,
        app: ASGIApp,
        opened: Callable[[ASGIApp], ASGIApp],
        instead: Mapping[int, Sequence[BaseRoute]] | None = None,
        met: set[int] | None = None,
    ) -> None:
        self.found: list[Declared] = []
        self.apps: list[tuple[ASGIApp, str]] = []
        self.lists: list[tuple[object, str]] = []
        self.fixed: list[tuple[object, str]] = []
        self.providers: list[object] = []
        self.held: list[tuple[ASGIApp, str]] = []
        self._met = set() if met is None else met
        self._opened = opened
        self._instead = instead or {}
        self._within: list[Router] = []
        self._top = opened(app)
        self._app(app, _Place(), "")

    def _app(self, app: ASGIApp, place: _Place, rest: str) -> None:
        self.apps.append((app, place.full()))
        self._met.add(id(app))
        app = self._opened(app)
        self._met.add(id(app))
        if isinstance(app, Starlette):
            self.providers.append(app)
            self._look_into(app.user_middleware, place)
            if app_answers(app, mounted=app is not self._top):
                self._opaque(app, place, rest)
            own = ((place.path, one) for one in app.user_middleware)
            place = replace(place, middleware=(*place.middleware, *own))
            self.fixed.append((app, "router"))
            app = app.router
        if isinstance(app, Router):
            self._router(app, place)
        elif not isinstance(app, NoApp):
            self._opaque(app, place, rest)

    def _opaque(self, what: object, place: _Place, path: str) -> None:
        self._add("mount", (), path, _name(what), None, place, below=True)
        self._look_into(what, place)

    def _look_into(self, what: object, place: _Place) -> None:
        for app in held_by(what):
            if isinstance(app, CORS_MIDDLEWARE):
                self.held.append((app, place.full()))
            elif id(app) not in self._met:
                inner = Walk(app, self._opened, self._instead, self._met)
                self.held += [(one, place.full()) for one, _ in (*inner.apps, *inner.held)]
                self.providers += inner.providers

    def _add(
        self,
        kind: Kind,
        methods: Iterable[str],
        path: str,
        name: str,
        who: Who | None,
        place: _Place,
        *,
        below: bool = False,
        endpoint: Endpoint | None = None,
    ) -> None:
        full, shown = place.full(path), set(methods)
        if "GET" in shown:
            shown.discard("HEAD")
        mounts = (*place.below, full) if below else place.below
        self.found.append(
            Declared(
                kind, tuple(sorted(shown)), full, name, who, mounts, endpoint, place.middleware
            )
        )

    def _router(self, router: Router, place: _Place) -> None:
        if any(one is router for one in self._within):
            return
        self._within.append(router)
        self._met.add(id(router))
        self.providers.append(getattr(router, "dependency_overrides_provider", None))
        if router_answers(router, included=False):
            self._opaque(router, place, "")
        routes = [self._apart(route, place) for route in self._list(router, "routes")]
        fastapi: Any = sys.modules.get("fastapi.routing")
        # FastAPI keeps included routers whole; this is its way to look inside.
        for route in routes if fastapi is None else fastapi.iter_route_contexts(routes):
            self._route(route, place)
        if hasattr(router, "_low_priority_routes"):
            for low in self._list(router, "_low_priority_routes"):
                self._low(low, place)
        for route in routes:
            if _included(route):
                for low in cast(Any, route).effective_low_priority_routes():
                    self._low(low, place)
        self.fixed.append((router, "default"))
        if getattr(router.default, "__func__", None) is not Router.not_found:
            self._app(router.default, place, "/*")
        self._look_into(router.middleware_stack, place)
        self._within.pop()

    def _list(self, holder: Any, name: str) -> Sequence[BaseRoute]:
        self.lists.append((holder, name))
        routes = getattr(holder, name)
        return self._instead.get(id(routes), cast(Sequence[BaseRoute], routes))

    def _apart(self, route: Any, place: _Place, prefix: str = "") -> Any:
        """An included router as FastAPI would serve it with its lists as they are, or as they would
        be: it remembers what it saw when it last looked. `prefix` is that of what includes it.
        """
        if not _included(route):
            return route
        prefix += route.include_context.prefix
        if router_answers(route.original_router, included=True):
            self._opaque(route.original_router, place, prefix)
        router = copy.copy(route.original_router)
        inner = self._list(route.original_router, "routes")
        router.routes = [self._apart(one, place, prefix) for one in inner]
        if hasattr(router, "_low_priority_routes"):
            router._low_priority_routes = self._list(route.original_router, "_low_priority_routes")
        return type(route)(router, route.include_context)

    def _route(self, given: Any, place: _Place) -> None:
        route = getattr(given, "original_route", given)
        self.providers.append(getattr(given, "dependency_overrides_provider", None))
        if isinstance(route, BaseRoute) and route_answers(route):
            self._opaque(route, place, getattr(given, "path", None) or "")
        if isinstance(route, Route | WebSocketRoute) and not inspect.isroutine(route.app):
            self._look_into(route.app, place)  # middleware, or an ASGI app as the endpoint
        if isinstance(route, Mount):
            self.fixed.append((route, "app"))
            base = within(route.app, getattr(route, "_base_app", route.app))
            path = place.path + given.path
            below = (*place.below, _Place(path, place.host).full())
            inner = _Place(path, place.host, below, place.middleware)
            self._app(base, inner, "")
            if route.app is not base:
                self._look_into(route.app, inner)
        elif isinstance(route, Host):
            self.fixed.append((route, "app"))
            self._app(given.app, replace(place, host=given.host), "")
        elif isinstance(route, Route):
            self._http(given, place)
        elif isinstance(route, WebSocketRoute):
            self._websocket(given, place)
        else:
            self._opaque(route, place, getattr(given, "path", None) or "")

    def _http(self, route: Any, place: _Place) -> None:
        # To Starlette no methods are all of them, and FastAPI makes None an empty set.
        endpoint, path, methods = bare(route.endpoint), route.path_format, route.methods or ()
        before = len(self.found)
        if isinstance(endpoint, Resource):
            for one in endpoint.endpoints.values():
                name = _name(one.handler)
                self._add("http", (one.method,), path, name, _own(one), place, endpoint=one)
        elif keeps(endpoint, HTTPEndpoint):
            for method in METHODS:
                handler = getattr(endpoint, method.lower(), None)
                if handler is not None and (not methods or method in methods):
                    name = f"{_name(endpoint)}.{method.lower()}"
                    self._add("http", (method,), path, name, said(handler), place)
        elif isinstance(endpoint, File):
            self._add("http", ("GET",), path, _name(endpoint), ANYONE, place)
        else:
            self._add("http", methods, path, _name(endpoint), asked(route, endpoint), place)
        if len(self.found) == before:
            # An endpoint class without a handler that we can see. What is not listed is not judged.
            self._add("http", methods, path, _name(endpoint), None, place)

    def _websocket(self, route: Any, place: _Place) -> None:
        endpoint = bare(route.endpoint)
        if keeps(endpoint, WebSocketEndpoint):
            who = said(endpoint.on_connect)  # by default it lets everybody in
        else:
            who = asked(route, endpoint)
        self._add("websocket", (), route.path_format, _name(endpoint), who, place)

    def _low(self, given: Any, place: _Place) -> None:
        """What FastAPI looks at last: frontends."""
        group = getattr(given, "original_route", given)
        if not hasattr(group, "add_frontend_route"):
            return self._opaque(group, place, getattr(group, "path", None) or "")
        prefix = getattr(given, "frontend_prefix", "")
        who = depends(given.dependant)
        for route in self._list(group, "routes"):
            own = cast(Any, route).path
            path = prefix + own if own != "/" else prefix or "/"
            self._add("frontend", ("GET",), path, _name(route), who, place, below=True)
        return None


def _included(route: object) -> bool:
    return hasattr(route, "effective_low_priority_routes")


def _own(endpoint: Endpoint) -> Who | None:
    if endpoint.who == "anyone":
        return ANYONE
    if endpoint.who == "cookie":
        return _COOKIE
    return Who((Need((), () if endpoint.permission is None else (endpoint.permission,)),))


class _Cookie(Need):
    def texts(self) -> Iterator[str]:
        yield "session cookie"


_COOKIE = Who((_Cookie(),))


def _name(what: object) -> str:
    """What something is called, without the addresses and paths that a repr may hold."""
    known = what if hasattr(what, "__qualname__") else type(what)
    module, name = getattr(known, "__module__", None), getattr(known, "__qualname__", "?")
    return f"{module}.{name}" if module else str(name)
