"""CORS around any ASGI app."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Container, Iterable

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from authward.clock import SystemClock
from authward.core.cors import (
    ALLOWED_HEADERS,
    EXPOSED_HEADERS,
    MAX_AGE,
    METHODS,
    SAFE_METHODS,
    VARY,
    CorsPolicy,
)
from authward.core.flags import flag
from authward.core.origins import configured_own, parse_origin
from authward.core.text import printable
from authward.errors import OriginNotAllowed
from authward.middleware.answers import refuse
from authward.middleware.reports import Reports
from authward.ports import Clock

_ASKS = b"access-control-request-method"
_ASKS_PRIVATE = b"access-control-request-private-network"
_STARTS = frozenset({"http.response.start", "websocket.http.response.start"})


class CORS:
    """Tells browsers which pages of other origins may read answers, answers their preflights, and
    refuses unsafe requests and WebSockets of any other page with 403 `origin_not_allowed`. What has
    no Origin comes from no other page, and passes.

    `own` are the origins this server itself is reached at: browsers send Origin with a POST of its
    own pages too. The other options are those of `core.cors.CorsPolicy`. With `report_only`
    refusals are counted in `reports` and logged, and the request goes on; no other origin gets
    headers for that. Raises ConfigurationError.
    """

    def __init__(
        self,
        app: ASGIApp,
        *,
        origins: Iterable[str] = (),
        subdomains_of: Iterable[str] = (),
        allow: Callable[[str], bool] | None = None,
        own: Container[str] = (),
        credentials: bool = True,
        methods: Iterable[str] = METHODS,
        allowed_headers: Iterable[str] = ALLOWED_HEADERS,
        exposed_headers: Iterable[str] = EXPOSED_HEADERS,
        max_age: int = MAX_AGE,
        private_network: bool = False,
        dangerously_allow_any_origin: bool = False,
        report_only: bool = False,
        clock: Clock | None = None,
    ) -> None:
        self._app = app
        self._policy = CorsPolicy(
            origins,
            subdomains_of=subdomains_of,
            allow=allow,
            credentials=credentials,
            methods=methods,
            allowed_headers=allowed_headers,
            exposed_headers=exposed_headers,
            max_age=max_age,
            private_network=private_network,
            dangerously_allow_any_origin=dangerously_allow_any_origin,
        )
        self._own = configured_own(own, "own")
        self._report_only = flag("report_only", report_only)
        self._clock = SystemClock() if clock is None else clock
        self.reports = Reports()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        kind = scope["type"]
        if kind not in ("http", "websocket"):
            return await self._app(scope, receive, send)
        added = [VARY]
        origin = _origin(scope)
        if origin is not None:
            method = "" if kind == "websocket" else scope["method"]
            if method == "OPTIONS" and _told(scope, _ASKS):
                return await self._preflight(scope, origin, send)
            headers = self._policy.actual(origin)
            # A browser sends cookies with a handshake, and asks nobody whether it may.
            allowed = headers if kind == "http" else self._policy.trusts(origin)
            if not allowed and method not in SAFE_METHODS and not self._is_own(origin):
                refusal = OriginNotAllowed(f"origin {printable(origin, 100)}")
                if not self._report_only:
                    now = self._clock.now()
                    return await refuse(scope, receive, send, refusal, now, (VARY,))
                self.reports.note("cors", refusal, scope)
            added += headers

        def sending(message: Message) -> Awaitable[None]:
            if message["type"] in _STARTS:
                message = {**message, "headers": [*message.get("headers", ()), *added]}
            return send(message)

        await self._app(scope, receive, sending)

    async def _preflight(self, scope: Scope, origin: str, send: Send) -> None:
        # What it asks for is not echoed: the answer is the whole list, and so varies by Origin
        # alone. And 204 has no Content-Length (RFC 9110 section 8.6).
        asked = _told(scope, _ASKS_PRIVATE)
        headers = [VARY, *self._policy.preflight(origin, private_network=asked)]
        await send({"type": "http.response.start", "status": 204, "headers": headers})
        await send({"type": "http.response.body", "body": b""})

    def _is_own(self, origin: str) -> bool:
        parsed = parse_origin(origin)
        return parsed is not None and parsed in self._own


def _origin(scope: Scope) -> str | None:
    found: bytes | None = None
    for name, value in scope["headers"]:
        if name == b"origin":
            # Two Origins are no origin at all.
            found = value if found is None else b"null"
    return None if found is None else found.decode("latin-1")


def _told(scope: Scope, header: bytes) -> bool:
    return any(name == header for name, _ in scope["headers"])
