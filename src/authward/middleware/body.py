"""Bodies within bounds: bytes, JSON depth, fields, and the time they take to come."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import TypedDict

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from authward.clock import SystemClock
from authward.core.bodies import BodyCaps, Header, announced_length
from authward.core.paths import Paths, below_mount
from authward.errors import ConfigurationError, MalformedRequest, PayloadTooLarge, Refusal
from authward.middleware.answers import send_refusal
from authward.ports import Clock

LINGER_S = 1.0
"""Seconds for which the rest of a refused body is thrown away before the connection is closed."""

log = logging.getLogger("authward")


class PathCaps(TypedDict, total=False):
    """What differs on a path. What is left out is as everywhere."""

    bytes: int
    json_depth: int | None
    fields: int | None
    seconds: float | None
    rate: int


class BodyLimit:
    """Refuses bodies past their bounds while they stream; none is held in memory.

    | bound | default | refused with |
    | --- | --- | --- |
    | `bytes` | 1 MiB | 413 `payload_too_large` |
    | `json_depth` | 64 brackets open at once | 400 `malformed_request` |
    | `fields` of JSON or of a urlencoded form | 10,000 | 413 `payload_too_large` |
    | `seconds` to wait, one more per `rate` bytes | 30, 4096 | 400 `malformed_request` |

    `paths` says what differs, by path or by prefix: `{"/upload/*": {"bytes": 50_000_000}}`. What is
    past its bounds is raised from the app's `receive`. Whatever the app makes of it, the answer is
    ours, unless it had begun. Raises ConfigurationError.
    """

    def __init__(
        self,
        app: ASGIApp,
        *,
        bytes: int = 1024 * 1024,
        json_depth: int | None = 64,
        fields: int | None = 10_000,
        seconds: float | None = 30.0,
        rate: int = 4096,
        paths: Mapping[str, PathCaps] | None = None,
        clock: Clock | None = None,
    ) -> None:
        self._app = app
        self._clock = SystemClock() if clock is None else clock
        everywhere: PathCaps = {
            "bytes": bytes,
            "json_depth": json_depth,
            "fields": fields,
            "seconds": seconds,
            "rate": rate,
        }
        self._caps = _caps(everywhere)
        if paths is not None and not isinstance(paths, Mapping):
            raise ConfigurationError(
                f"paths: {paths!r} says no bounds. Write {{'/upload/*': {{'bytes': 50_000_000}}}}"
            )
        self._paths = Paths(
            {path: _path_caps(path, everywhere, own) for path, own in (paths or {}).items()},
            "paths",
        )

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return await self._app(scope, receive, send)
        path = below_mount(scope["path"], scope.get("root_path", ""))
        caps = self._paths.get(path) or self._caps
        await bounded(self._app, scope, receive, send, caps, self._clock)


async def bounded(
    app: ASGIApp,
    scope: Scope,
    receive: Receive,
    send: Send,
    caps: BodyCaps,
    clock: Clock,
    complete: Callable[[], None] | None = None,
) -> None:
    """Run `app` on an HTTP request, its body held to `caps`. Without a body nothing stands between.

    `complete` is called when the last of a body has come, before the app gets it, and may raise a
    Refusal: the body then counts as one that was refused.

    A refused body is answered here. Raises what the app raises, unless its answer is ours.
    """
    first = scope.get("http_version", "1.1").startswith("1")
    refusal: Refusal | None = None
    try:
        length = announced_length(scope["headers"])
    except MalformedRequest as malformed:
        refusal, length = malformed, None
    # Since HTTP/2 a body may come unannounced.
    if length == 0 and first:
        return await app(scope, receive, send)
    if length is not None and length > caps.most:
        refusal = PayloadTooLarge("declared too large")
    body = _Body(scope, receive, send, caps, clock, complete, closing=first)
    if refusal is not None:
        body.refusal = refusal
        body.framed = length is not None
        return await body.answer()
    try:
        await app(scope, body.receive, body.send)
    except Exception as error:
        if body.refusal is None or body.started:
            raise
        if error is not body.refusal:
            log.debug("after a refused body", exc_info=error)
    if body.refusal is not None and not body.started:
        await body.answer()


class _Body:
    """One request's `receive`, which counts, and its `send`, which knows who answers."""

    __slots__ = (
        "_answered",
        "_caps",
        "_clock",
        "_closing",
        "_complete",
        "_ended",
        "_receive",
        "_received",
        "_scan",
        "_scope",
        "_send",
        "_waited",
        "framed",
        "refusal",
        "started",
    )

    def __init__(
        self,
        scope: Scope,
        receive: Receive,
        send: Send,
        caps: BodyCaps,
        clock: Clock,
        complete: Callable[[], None] | None,
        *,
        closing: bool,
    ) -> None:
        self._scope = scope
        self._receive = receive
        self._send = send
        self._caps = caps
        self._clock = clock
        self._closing = closing
        self._complete = complete
        self._scan = caps.scan(scope["headers"])
        self._received = 0
        self._waited = 0.0
        self._ended = False
        self._answered = False
        self.framed = True
        """Whether the server can be believed where this body ends."""
        self.refusal: Refusal | None = None
        self.started = False

    async def receive(self) -> Message:
        """The next message. Raises what the body is refused with, then and ever after."""
        if self.refusal is not None:
            raise self.refusal
        if self._ended:
            return await self._receive()
        try:
            message = await self._next()
            self._count(message)
        except Refusal as refusal:
            self.refusal = refusal
            raise
        return message

    async def send(self, message: Message) -> None:
        """Send what the app says, unless the body was refused before it said anything."""
        if self.refusal is not None and not self.started:
            return await self.answer()
        if message["type"] == "http.response.start":
            self.started = True
        await self._send(message)

    async def answer(self) -> None:
        """Answer with the refusal, once, and close: the rest of the body is not read."""
        if self.refusal is None or self._answered:
            return
        self._answered = True
        # HTTP/2 has no such header (RFC 9113 section 8.2.2).
        extra: list[Header] = [(b"connection", b"close")] if self._closing else []
        await send_refusal(self._scope, self._last, self.refusal, self._clock.now(), extra)

    async def _next(self) -> Message:
        earned = self._caps.wait_for(self._received)
        if earned is None:
            return await self._receive()
        # Only waiting counts: the app may take its time between two chunks.
        loop = asyncio.get_running_loop()
        began = loop.time()
        waiting = asyncio.timeout(earned - self._waited)
        try:
            async with waiting:
                return await self._receive()
        except TimeoutError:
            if not waiting.expired():
                raise
            raise MalformedRequest("body too slow", text="The body came too slowly") from None
        finally:
            self._waited += loop.time() - began

    def _count(self, message: Message) -> None:
        if message["type"] != "http.request":
            self._ended = True
            return
        chunk: bytes = message.get("body", b"")
        self._received += len(chunk)
        self._ended = not message.get("more_body", False)
        if self._received > self._caps.most:
            raise PayloadTooLarge("body too large")
        if self._scan is not None:
            self._scan.feed(chunk)
        if self._ended and self._complete is not None:
            self._complete()

    async def _last(self, message: Message) -> None:
        """Send, and keep the end back until the client has said the most of what it has to say.

        A socket that is closed over unread bytes resets the connection, and the client may lose
        the answer (RFC 9112 section 9.6).
        """
        if message["type"] == "http.response.body" and self._closing:
            await self._send({**message, "more_body": True})
            await self._linger()
            message = {"type": "http.response.body", "body": b""}
        await self._send(message)

    async def _linger(self) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(LINGER_S):
                while not self._ended:
                    message = await self._receive()
                    gone = message["type"] != "http.request"
                    self._ended = gone or (self.framed and not message.get("more_body", False))


def _caps(said: PathCaps) -> BodyCaps:
    return BodyCaps(
        said["bytes"], said["json_depth"], said["fields"], said["seconds"], said["rate"]
    )


def _path_caps(path: str, everywhere: PathCaps, own: PathCaps) -> BodyCaps:
    if not isinstance(own, Mapping):
        raise ConfigurationError(
            f"paths: '{path}' has {own!r}, which is no bounds. Write {{'bytes': 50_000_000}}"
        )
    unknown = sorted(own.keys() - everywhere.keys())
    if unknown:
        raise ConfigurationError(
            f"paths: '{path}' has '{unknown[0]}'. Known are {', '.join(everywhere)}"
        )
    try:
        return _caps({**everywhere, **own})
    except ConfigurationError as error:
        raise ConfigurationError(f"paths: '{path}': {error}") from None
