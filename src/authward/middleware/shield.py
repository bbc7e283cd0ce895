"""All protections in one ASGI app with one `send` wrapper.

| order | decision | refused with |
| --- | --- | --- |
| 1 | Host is one of ours | 400 `malformed_request` |
| 2 | CORS preflight | answered with 204 |
| 3 | Origin may make unsafe requests, or open a WebSocket | 403 `origin_not_allowed` |
| 4 | the app; its exceptions become envelopes | as raised, else 500 `internal_error` |
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Container, Iterable

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from authward.core.cors import SAFE_METHODS, VARY, CorsPolicy, Header
from authward.core.hosts import host_allowed
from authward.core.origins import parse_origin
from authward.core.text import printable
from authward.errors import InternalError, MalformedRequest, OriginNotAllowed, Refusal
from authward.middleware.answers import refuse, send_answer, send_refusal
from authward.ports import Clock

log = logging.getLogger("authward")

OwnOrigins = Callable[[Scope], Container[str]]
Refused = Callable[[Scope, Refusal], None]

REFUSALS = "authward.refusals"
"""The key of the scope under which an app's guards note what they raise."""


class _Answer:
    """The `send` of one request, which adds headers. While a guard's refusal is under way it holds
    an error page back: a framework that does not know refusals makes one of them, and then lets
    them through.
    """

    __slots__ = ("_added", "_refusals", "_send", "held", "started")

    def __init__(self, send: Send, added: Iterable[Header], refusals: list[Refusal]) -> None:
        self._send = send
        self._added = added
        self._refusals = refusals
        self.held: list[Message] = []
        self.started = False

    async def __call__(self, message: Message) -> None:
        if self.held or (self._refusals and not self.started and message.get("status", 0) >= 500):
            self.held.append(message)
            return
        if message["type"] == "http.response.start":
            self.started = True
            message = {**message, "headers": [*message.get("headers", ()), *self._added]}
        await self._send(message)

    def drop(self) -> list[Message]:
        """Forget what was held back; hold back no more."""
        held, self.held = self.held, []
        self._refusals.clear()
        return held

    async def release(self) -> None:
        """Send what was held back after all."""
        for message in self.drop():
            await self(message)


class Shield:
    """Protects `app`. `own_origins` are those this server itself is reached at; `hosts` None lets
    any well-formed Host in.

    `before` runs ahead of the first request of a process, where no lifespan ran it; `refused` hears
    of each refusal that reaches us.
    """

    def __init__(
        self,
        app: ASGIApp,
        *,
        cors: CorsPolicy,
        hosts: Container[str] | None,
        own_origins: OwnOrigins,
        clock: Clock,
        before: Callable[[], Awaitable[None]],
        refused: Refused,
    ) -> None:
        self._app = app
        self._cors = cors
        self._hosts = hosts
        self._own_origins = own_origins
        self._clock = clock
        self._before = before
        self._refused = refused

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            await self._http(scope, receive, send)
        elif scope["type"] == "websocket":
            await self._websocket(scope, receive, send)
        else:
            await self._app(scope, receive, send)

    async def _http(self, scope: Scope, receive: Receive, send: Send) -> None:
        origin, hosts = _origin_and_hosts(scope)
        added: tuple[Header, ...] = (
            (VARY,) if origin is None else (VARY, *self._cors.actual(origin))
        )
        refusals: list[Refusal] = []
        scope[REFUSALS] = refusals
        answer = _Answer(send, added, refusals)
        try:
            self._check_host(hosts)
            if origin is not None:
                if scope["method"] == "OPTIONS" and _is_preflight(scope):
                    return await send_answer(send, 204, (VARY, *self._cors.preflight(origin)), b"")
                if scope["method"] not in SAFE_METHODS:
                    self._check_origin(scope, origin)
            await self._before()
            await self._app(scope, receive, answer)
            await answer.release()
        except Exception as error:
            refusal = _refusal_behind(error, refusals)
            if refusal is None:
                await answer.release()
            if answer.started:
                raise
            if refusal is None:
                log.exception("%s %s failed", scope["method"], printable(scope["path"], 512))
                refusal = InternalError()
            else:
                self._refused(scope, refusal)
            answer.drop()
            await send_refusal(scope, answer, refusal, self._clock.now())

    async def _websocket(self, scope: Scope, receive: Receive, send: Send) -> None:
        origin, hosts = _origin_and_hosts(scope)
        try:
            self._check_host(hosts)
            # Browsers send cookies and let any page connect: Origin is all that tells a foreign
            # page (CSWSH).
            if origin is not None:
                self._check_origin(scope, origin)
            await self._before()
        except Refusal as refusal:
            self._refused(scope, refusal)
            return await refuse(scope, receive, send, refusal, self._clock.now())
        await self._app(scope, receive, send)

    def _check_host(self, hosts: list[bytes]) -> None:
        if len(hosts) != 1 or not host_allowed(hosts[0].decode("latin-1"), self._hosts):
            seen = (
                printable(hosts[0].decode("latin-1"), 100)
                if len(hosts) == 1
                else f"{len(hosts)} Host headers"
            )
            raise MalformedRequest(
                f"host {seen}",
                text="This Host is not served here. In development use localhost; "
                "otherwise set AUTHWARD_ENV=production and AUTHWARD_PUBLIC_URL or AUTHWARD_HOSTS",
            )

    def _check_origin(self, scope: Scope, origin: str) -> None:
        if not self._cors.allows(origin) and parse_origin(origin) not in self._own_origins(scope):
            raise OriginNotAllowed(f"origin {printable(origin, 100)}")


def _refusal_behind(error: BaseException | None, noted: list[Refusal]) -> Refusal | None:
    """The refusal that was raised, or that a framework wrapped in an exception of its own."""
    if isinstance(error, Refusal):
        return error
    while error is not None:
        if isinstance(error, Refusal) and error in noted:
            return error
        error = error.__cause__
    return None


def _origin_and_hosts(scope: Scope) -> tuple[str | None, list[bytes]]:
    origin: bytes | None = None
    hosts: list[bytes] = []
    for name, value in scope["headers"]:
        if name == b"origin":
            # Two Origins are no origin at all.
            origin = value if origin is None else b"null"
        elif name == b"host":
            hosts.append(value)
    return (None if origin is None else origin.decode("latin-1")), hosts


def _is_preflight(scope: Scope) -> bool:
    return any(name == b"access-control-request-method" for name, _ in scope["headers"])
