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
from asyncio import CancelledError, current_task, get_running_loop
from collections.abc import Callable, Collection, Iterable
from functools import partial

from starlette.types import ASGIApp, Receive, Scope, Send

from authward.core.cors import SAFE_METHODS, VARY, Header
from authward.core.hosts import host_allowed
from authward.core.limits import Decision, retry_after
from authward.core.origins import parse_origin
from authward.core.paths import below_mount
from authward.core.text import printable
from authward.errors import InternalError, MalformedRequest, OriginNotAllowed, RateLimited, Refusal
from authward.middleware.answers import refuse, send_answer, send_refusal
from authward.middleware.body import bounded
from authward.middleware.exchange import EXCHANGE, Exchange, exchanges
from authward.middleware.headers import issue_nonce
from authward.middleware.protections import Behind, Protections
from authward.middleware.request_id import CURRENT, REQUEST_ID, prepared_ids
from authward.ports import Chance, Clock

log = logging.getLogger("authward")

UNLIMITED = frozenset({"/healthz", "/readyz", "/metrics"})
"""Paths for whoever runs the server, which no limit counts."""
_HOSTS_KNOWN = 256
_CONFUSED = {b"host": b"", b"origin": b"null", b"authorization": b""}


class Shield:
    """Protects `app` as `protections` say. `lifespan` is what starts and stops; `app` if None. What
    fails is answered and logged, or `raises` on to the server, for it to log.
    """

    def __init__(
        self,
        app: ASGIApp,
        protections: Protections,
        behind: Behind,
        clock: Clock,
        chance: Chance,
        *,
        lifespan: ASGIApp | None = None,
        raises: bool = False,
    ) -> None:
        self._app = app
        self._raises = raises
        self._lifespan = app if lifespan is None else lifespan
        self._on = protections
        self._clients = protections.clients
        self._windows = protections.windows
        self._shared = protections.shared
        self._behind = behind
        self._clock = clock
        self._chance = chance
        added = (*protections.headers.headers(https=protections.https), VARY)
        # What is only reported is not told to clients either.
        style = None if "rate_limit" in protections.report_only else protections.style
        self._exchange = exchanges(added, protections.headers.names, style)
        self._hosts_seen: set[bytes | None] = set()
        self._ids = prepared_ids(chance)
        self._monotonic = clock.monotonic
        self._named = protections.cors.named
        self._noncing = protections.headers.uses_nonce

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One frame for the whole way in: this is where every request of every app pays."""
        if scope["type"] != "http":
            return await self._other(scope, receive, send)
        exchange = self._begin(scope, send)
        current = CURRENT.set(exchange.request_id)
        headers = exchange.headers
        try:
            if headers.get(b"host") not in self._hosts_seen:
                self._check_host(headers.get(b"host", b""))
            origin = headers.get(b"origin")
            if origin is not None:
                named = self._named.get(origin)
                if named is None:
                    named = self._on.cors.actual(origin.decode("latin-1"))
                exchange.cors = named
                if scope["method"] == "OPTIONS" and b"access-control-request-method" in headers:
                    return await self._preflight(origin, exchange)
            if self._behind.running.home is not get_running_loop():
                await self._behind.before()
            root = scope.get("root_path")
            path = below_mount(scope["path"], root) if root else scope["path"]
            if path in UNLIMITED:
                pass
            elif self._windows is not None:
                decision = self._windows.take(exchange.client, self._monotonic())
                exchange.decision = decision
                if not decision[0]:
                    self._refuse("rate_limit", _limited(decision), scope)
            elif self._shared is not None:
                await self._count(scope, exchange)
            if origin is not None and scope["method"] not in SAFE_METHODS:
                self._check_origin(scope, origin, self._on.cors.allows)
            if (
                b"content-length" in headers
                or b"transfer-encoding" in headers
                or scope.get("http_version", "1.1")[0] != "1"  # since 2 one may come unannounced
            ):
                # Whoever held the token may be signed out by the time a slow body is here.
                again = partial(exchange.ask_again, scope)
                caps, clock = self._on.body, self._clock
                await bounded(self._app, scope, receive, exchange.send, caps, clock, again)
            else:
                await self._app(scope, receive, exchange.send)
            if exchange.held is not None:
                await exchange.release()
        except CancelledError as error:
            # Who waits for what was cancelled elsewhere raises this, and the request goes on.
            task = current_task()
            if task is None or task.cancelling():
                raise
            await self._failed(scope, exchange, error)
        except Exception as error:
            await self._failed(scope, exchange, error)
        finally:
            if exchange.stream is not None:
                exchange.stream.leave()
            # The server's request holds the scope, and the exchange its send: a circle, which only
            # the garbage collector would find. Another Authward, mounted behind this one, has taken
            # its own away already.
            scope.pop(EXCHANGE, None)
            CURRENT.reset(current)

    async def _other(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "websocket":
            return await self._lifespan(scope, receive, send)
        exchange = self._begin(scope, send)
        current = CURRENT.set(exchange.request_id)
        try:
            await self._websocket(scope, receive, send, exchange)
        finally:
            CURRENT.reset(current)

    async def _websocket(
        self, scope: Scope, receive: Receive, send: Send, exchange: Exchange
    ) -> None:
        headers = exchange.headers
        try:
            self._check_host(headers.get(b"host", b""))
            # Browsers send cookies and let any page connect: Origin is all that tells a foreign
            # page (CSWSH), and one that may come without cookies only is foreign here.
            origin = headers.get(b"origin")
            if origin is not None:
                self._check_origin(scope, origin, self._on.cors.trusts)
            if self._behind.running.home is not get_running_loop():
                await self._behind.before()
            await self._count(scope, exchange)
        except Refusal as refusal:
            self._behind.refused(scope, refusal)
            return await refuse(scope, receive, send, refusal, self._clock.now())
        # A handshake may be answered with a page (ASGI's websocket.http.response).
        await self._app(scope, receive, exchange.send)

    def _begin(self, scope: Scope, send: Send) -> Exchange:
        raw = scope["headers"]
        headers = dict(raw)
        if len(headers) != len(raw):
            headers = _told_once(raw)
        peer = scope.get("client")
        seen = self._clients.seen.get(peer[0]) if peer else None
        if seen is None or seen.trusted:
            seen = self._clients.find(peer[0] if peer else None, raw)
        # A Unix socket has no peer, but a proxy behind it may tell the client.
        if (seen.address != peer[0]) if peer else seen.valid:
            scope["client"] = (seen.address, 0)
        ready = self._ids.ready
        request_id = scope[REQUEST_ID] = ready.pop() if ready else self._ids()
        exchange = scope[EXCHANGE] = self._exchange(send, headers, seen.key, request_id)
        if self._noncing:
            nonce = issue_nonce(scope, self._chance)
            exchange.added = (*self._on.headers.with_nonce(nonce, https=self._on.https), VARY)
        return exchange

    async def _count(self, scope: Scope, exchange: Exchange) -> None:
        if self._windows is not None:
            found: Decision | None = self._windows.take(exchange.client, self._monotonic())
        else:
            found = None if self._shared is None else await self._shared(exchange.client)
        exchange.decision = found
        if found is not None and not found.allowed:
            self._refuse("rate_limit", _limited(found), scope)

    def _check_host(self, host: bytes) -> None:
        text = host.decode("latin-1")
        if not host_allowed(text, self._on.hosts):
            raise MalformedRequest(
                f"host {printable(text, 100)}",
                text="This Host is not served here. In development use localhost; "
                "otherwise set AUTHWARD_ENV=production and AUTHWARD_PUBLIC_URL or AUTHWARD_HOSTS",
            )
        if len(self._hosts_seen) < _HOSTS_KNOWN:
            self._hosts_seen.add(host)

    async def _preflight(self, origin: bytes, exchange: Exchange) -> None:
        private = b"access-control-request-private-network" in exchange.headers
        allowed = self._on.cors.preflight(origin.decode("latin-1"), private_network=private)
        exchange.cors = allowed
        await send_answer(exchange.send, 204, (), b"")

    def _check_origin(self, scope: Scope, origin: bytes, allows: Callable[[str], bool]) -> None:
        text = origin.decode("latin-1")
        if allows(text) or parse_origin(text) in self._behind.own_origins(scope):
            return
        self._refuse("cors", OriginNotAllowed(f"origin {printable(text, 100)}"), scope)

    def _refuse(self, protection: str, refusal: Refusal, scope: Scope) -> None:
        """Raise, unless this protection only reports."""
        if protection not in self._on.report_only:
            raise refusal
        self._on.reports.note(protection, refusal, scope)

    async def _failed(self, scope: Scope, exchange: Exchange, error: BaseException) -> None:
        """Answer what was raised."""
        refusal = _refusal_behind(error, exchange.refusals or ())
        if refusal is None:
            await exchange.release()
        if exchange.stream is not None and exchange.stream.refusal is not None:
            # Left without an end, so that the server closes the connection.
            path, code = printable(scope["path"], 512), exchange.stream.refusal.code
            return log.info("%s %s broken off: %s", scope["method"], path, code)
        if exchange.started:
            raise error
        # What keeps us from starting is ours to tell.
        begun = self._behind.running.home is get_running_loop()
        raises = refusal is None and self._raises and begun
        if refusal is not None:
            self._behind.refused(scope, refusal)
        elif not raises:
            path = printable(scope["path"], 512)
            log.error("%s %s failed", scope["method"], path, exc_info=error)
        exchange.drop()
        await send_refusal(scope, exchange.send, refusal or InternalError(), self._clock.now())
        if raises:
            raise error


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


def _limited(decision: Decision) -> RateLimited:
    return RateLimited("general limit", retry_after=retry_after(decision))
