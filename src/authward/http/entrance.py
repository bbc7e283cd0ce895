"""The way of a connection to one of our routes, or on to the app."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence

from starlette.routing import Match, Route
from starlette.types import ASGIApp, Receive, Scope, Send

from authward.core.bearer import SUBPROTOCOL
from authward.core.paths import below_mount
from authward.http.admission import ADMISSION, Admission
from authward.http.opening import OPENING, Opening
from authward.middleware.websocket import Socket


class Entrance:
    """Leads a connection to one of our routes or on to `app`, which may then ask `admission` who
    calls.
    """

    def __init__(self, admission: Admission, routes: Sequence[Route], app: ASGIApp) -> None:
        self._admission = admission
        self._app = app
        # Most requests are for the app: a look at the path tells, without trying our patterns.
        self._exact = {route.path: route for route in routes if "{" not in route.path}
        self._patterns = [route for route in routes if "{" in route.path]
        self._prefixes = tuple({route.path.partition("{")[0] for route in self._patterns})

    def __call__(self, scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        """Not `async` itself, which would cost a frame a request."""
        scope[ADMISSION] = self._admission
        if scope["type"] == "http":
            if self._admission.stand_in is not None:
                _stand_in(scope, self._admission.stand_in)
            root = scope.get("root_path")
            path = below_mount(scope["path"], root) if root else scope["path"]
            if path in self._exact or path.startswith(self._prefixes):
                return (self._route(scope, path) or self._app)(scope, receive, send)
        elif scope["type"] == "websocket":
            return self._websocket(scope, receive, send)
        return self._app(scope, receive, send)

    async def _websocket(self, scope: Scope, receive: Receive, send: Send) -> None:
        socket = Socket(receive, send, scope.get("subprotocols", ()))
        token = None
        if self._admission.stand_in is not None and SUBPROTOCOL not in socket.offered:
            token = self._admission.stand_in()
        scope[OPENING] = opening = Opening(socket, token)
        try:
            await socket.run(self._app, scope)
        finally:
            if opening.leave is not None:
                opening.leave()

    def _route(self, scope: Scope, path: str) -> ASGIApp | None:
        found = self._exact.get(path)
        for route in self._patterns if found is None else (found,):
            match, child = route.matches(scope)
            if match is not Match.NONE:
                scope.update(child)
                return route.handle
        return None


def _stand_in(scope: Scope, mint: Callable[[], str]) -> None:
    if not any(name == b"authorization" for name, _ in scope["headers"]):
        scope["headers"] = [*scope["headers"], (b"authorization", b"Bearer " + mint().encode())]
