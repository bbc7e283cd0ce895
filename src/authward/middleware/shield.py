"""All protections in one ASGI app with one `send` wrapper.

| order | decision | refused with |
| --- | --- | --- |
| 1 | Host is one of ours | 400 `malformed_request` |
| 2 | CORS preflight | answered with 204 |
| 3 | the client is under its limit | 429 `rate_limited` |
| 4 | Origin may make unsafe requests, or open a WebSocket | 403 `origin_not_allowed` |
| 5 | the body is within bounds, as it streams | 413 `payload_too_large`, 400 `malformed_request` |
| 6 | the app; its exceptions become envelopes | as raised, else 500 `internal_error` |

Every answer carries the security headers, a request id, `Vary: Origin`, and what CORS and the limit
have to say. Whose routes are authenticated by a cookie, and so need CSRF protection, only routes
know: ours check it themselves (`http/cookies.py`), an app's by `authward.middleware.CSRF`.
"""

from __future__ import annotations

import logging
from collections.abc import Collection, Iterable, Mapping

from starlette.types import ASGIApp, Receive, Scope, Send

from authward.core.cors import SAFE_METHODS, VARY, Header
from authward.core.hosts import host_allowed
from authward.core.limits import Decision, retry_after
from authward.core.origins import parse_origin
from authward.core.text import printable
from authward.errors import InternalError, MalformedRequest, OriginNotAllowed, RateLimited, Refusal
from authward.middleware.answers import refuse, send_answer, send_refusal
from authward.middleware.body import bounded
from authward.middleware.exchange import EXCHANGE, Exchange
from authward.middleware.headers import issue_nonce
from authward.middleware.protections import Behind, Protections, Take
from authward.middleware.request_id import REQUEST_ID, prepared_ids
from authward.ports import Chance, Clock

log = logging.getLogger("authward")

UNLIMITED = frozenset({"/healthz", "/readyz", "/metrics"})
"""Paths for whoever runs the server, which no limit counts."""
_HOSTS_KNOWN = 256
_CONFUSED = {b"host": b"", b"origin": b"null"}


class Shield:
    """Protects `app` as `protections` say."""

    def __init__(
        self, app: ASGIApp, protections: Protections, behind: Behind, clock: Clock, chance: Chance
    ) -> None:
        self._app = app
        self._on = protections
        self._behind = behind
        self._clock = clock
        self._chance = chance
        self._added = (*protections.headers.headers(https=protections.https), VARY)
        self._names = protections.headers.names
        self._noncing = protections.headers.uses_nonce
        self._hosts_seen: set[bytes] = set()
        self._ids = prepared_ids(chance)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        kind = scope["type"]
        if kind == "http":
            await self._http(scope, receive, send)
        elif kind == "websocket":
            await self._websocket(scope, receive, send)
        else:
            await self._app(scope, receive, send)

    async def _http(self, scope: Scope, receive: Receive, send: Send) -> None:
        exchange = self._exchange(scope, send)
        headers = exchange.headers
        try:
            self._check_host(scope, headers)
            origin = headers.get(b"origin")
            if origin is not None:
                exchange.cors = self._on.cors.actual(origin.decode("latin-1"))
                if scope["method"] == "OPTIONS" and b"access-control-request-method" in headers:
                    return await self._preflight(scope, origin, exchange)
            if self._behind.idle():
                await self._behind.before()
            if self._on.take is not None:
                await self._limit(scope, exchange, self._on.take)
            if origin is not None and scope["method"] not in SAFE_METHODS:
                self._check_origin(scope, origin)
            if announces_body(scope, headers):
                await bounded(self._app, scope, receive, exchange.send, self._on.body, self._clock)
            else:
                await self._app(scope, receive, exchange.send)
            if exchange.held is not None:
                await exchange.release()
        except Exception as error:
            await self._failed(scope, exchange, error)

    async def _websocket(self, scope: Scope, receive: Receive, send: Send) -> None:
        exchange = self._exchange(scope, send)
        headers = exchange.headers
        try:
            self._check_host(scope, headers)
            # Browsers send cookies and let any page connect: Origin is all that tells a foreign
            # page (CSWSH).
            origin = headers.get(b"origin")
            if origin is not None:
                self._check_origin(scope, origin)
            if self._behind.idle():
                await self._behind.before()
            if self._on.take is not None:
                await self._limit(scope, exchange, self._on.take)
        except Refusal as refusal:
            self._behind.refused(scope, refusal)
            return await refuse(scope, receive, send, refusal, self._clock.now())
        await self._app(scope, receive, send)

    def _exchange(self, scope: Scope, send: Send) -> Exchange:
        raw = scope["headers"]
        headers = dict(raw)
        if len(headers) != len(raw):
            headers = _told_once(raw)
        added = self._added
        if self._noncing:
            nonce = issue_nonce(scope, self._chance)
            added = (*self._on.headers.with_nonce(nonce, https=self._on.https), VARY)
        exchange = Exchange(send, headers, added, self._names, self._on.style)
        peer = scope.get("client")
        address = self._on.clients.address(peer[0] if peer else None, raw)
        if peer and address != peer[0]:
            scope["client"] = (address, 0)
        exchange.client = self._on.clients.key(address)
        scope[EXCHANGE] = exchange
        scope[REQUEST_ID] = exchange.request_id = self._ids()
        return exchange

    def _check_host(self, scope: Scope, headers: Mapping[bytes, bytes]) -> None:
        host = headers.get(b"host", b"")
        if host in self._hosts_seen:
            return
        text = host.decode("latin-1")
        if not host_allowed(text, self._on.hosts):
            raise MalformedRequest(
                f"host {printable(text, 100)}",
                text="This Host is not served here. In development use localhost; "
                "otherwise set AUTHWARD_ENV=production and AUTHWARD_PUBLIC_URL or AUTHWARD_HOSTS",
            )
        if len(self._hosts_seen) < _HOSTS_KNOWN:
            self._hosts_seen.add(host)

    async def _preflight(self, scope: Scope, origin: bytes, exchange: Exchange) -> None:
        exchange.cors = ()
        allowed = self._on.cors.preflight(origin.decode("latin-1"))
        await send_answer(exchange.send, 204, allowed, b"")

    async def _limit(self, scope: Scope, exchange: Exchange, take: Take) -> None:
        if _below_mount(scope) in UNLIMITED:
            return
        found = take(exchange.client)
        decision = found if isinstance(found, Decision) else await found
        exchange.decision = decision
        if decision is not None and not decision.allowed:
            refusal = RateLimited("general limit", retry_after=retry_after(decision))
            self._refuse("rate_limit", refusal, scope)

    def _check_origin(self, scope: Scope, origin: bytes) -> None:
        text = origin.decode("latin-1")
        if self._on.cors.allows(text) or parse_origin(text) in self._behind.own_origins(scope):
            return
        self._refuse("cors", OriginNotAllowed(f"origin {printable(text, 100)}"), scope)

    def _refuse(self, protection: str, refusal: Refusal, scope: Scope) -> None:
        """Raise, unless this protection only reports."""
        if protection not in self._on.report_only:
            raise refusal
        self._on.reports.note(protection, refusal, scope)

    async def _failed(self, scope: Scope, exchange: Exchange, error: Exception) -> None:
        """Answer what was raised."""
        refusal = _refusal_behind(error, exchange.refusals or ())
        if refusal is None:
            await exchange.release()
        if exchange.started:
            raise error
        if refusal is None:
            path = printable(scope["path"], 512)
            log.error("%s %s failed", scope["method"], path, exc_info=error)
            refusal = InternalError()
        else:
            self._behind.refused(scope, refusal)
        exchange.drop()
        await send_refusal(scope, exchange.send, refusal, self._clock.now())


def _refusal_behind(error: BaseException | None, noted: Collection[Refusal]) -> Refusal | None:
    """The refusal that was raised, or that a framework wrapped in an exception of its own."""
    if isinstance(error, Refusal):
        return error
    while error is not None:
        if isinstance(error, Refusal) and error in noted:
            return error
        error = error.__cause__
    return None


def _told_once(raw: Iterable[Header]) -> dict[bytes, bytes]:
    """The headers by name. Of those that decide something two are worth none: two Hosts are
    malformed, two Origins no origin at all.
    """
    headers: dict[bytes, bytes] = {}
    for name, value in raw:
        headers[name] = _CONFUSED.get(name, value) if name in headers else value
    return headers


def announces_body(scope: Scope, headers: Mapping[bytes, bytes]) -> bool:
    """Whether a body may follow. Since HTTP/2 one may come unannounced."""
    return (
        b"content-length" in headers
        or b"transfer-encoding" in headers
        or scope.get("http_version", "1.1")[0] != "1"
    )


def _below_mount(scope: Scope) -> str:
    root = scope.get("root_path")
    path: str = scope["path"]
    return path.removeprefix(root) if root else path
