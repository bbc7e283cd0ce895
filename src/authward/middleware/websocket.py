"""A WebSocket that lives no longer than the token it was opened with."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence
from contextlib import suppress

from starlette.types import ASGIApp, Message, Receive, Scope, Send
from starlette.websockets import WebSocketDisconnect

from authward.core.bearer import SUBPROTOCOL
from authward.errors import InternalError, Refusal

CHECK_EVERY = 0.5
"""Seconds between two looks at what is known in memory, where nobody wakes us; no database is
asked.
"""

_CODES = {401: 4401, 403: 4403, 500: 1011, 503: 1013}

log = logging.getLogger("authward")


class Disconnected(OSError):
    """Raised to an app that sends on a socket we closed, as servers do when the client is gone."""


def close_code(refusal: Refusal) -> int:
    """The code that tells an open socket what it would have been refused with."""
    return _CODES.get(refusal.status, 1008)


class Socket:
    """One connection. What `watch` is given must go on to hold, or both sides are told that it is
    over.
    """

    def __init__(self, receive: Receive, send: Send, offered: Sequence[str]) -> None:
        self.offered = tuple(offered)
        self._receive = receive
        self._send = send
        self._check: Callable[[], float] | None = None
        self._accepted = False
        self._over = False
        self._ended: Refusal | None = None
        self._ending: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._pending: asyncio.Task[Message] | None = None
        self._closing: asyncio.Task[None] | None = None
        self._timer: asyncio.Handle | None = None

    async def run(self, app: ASGIApp, scope: Scope) -> None:
        """Run `app` on this connection. A Refusal it raises closes the socket; a handshake not yet
        accepted is then answered with 403 by the server.
        """
        try:
            await app(scope, self._receiving, self._sending)
        except Refusal as refusal:
            await self._end(refusal)
        except (Disconnected, WebSocketDisconnect):
            if self._ended is None:
                raise
        finally:
            self._rest()
            if self._pending is not None:
                self._pending.cancel()
            if self._closing is not None:
                await self._closing

    def watch(self, check: Callable[[], float]) -> None:
        """From now on ask `check`, which returns the seconds that are left or raises a Refusal."""
        self._check = check
        if self._accepted:
            self._look()

    def wake(self) -> None:
        """Ask soon: there is news."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = asyncio.get_running_loop().call_soon(self._look)

    async def _sending(self, message: Message) -> None:
        kind = message["type"]
        if self._ended is None and kind == "websocket.accept":
            message = {**message, "subprotocol": self._chosen(message.get("subprotocol"))}
            self._accepted = True
            self._look()
            if self._closing is not None:
                await self._closing
        if self._ended is not None:
            if kind == "websocket.close":
                return
            raise Disconnected(f"closed: {self._ended.code}")
        if kind == "websocket.close":
            self._over = True
            self._rest()
        await self._send(message)

    async def _receiving(self) -> Message:
        if self._check is None:
            return await self._receive()
        if self._pending is None:
            self._pending = asyncio.create_task(self._next())
        # Kept when the app gives up waiting, so that no message is lost.
        pending = self._pending
        await asyncio.wait((pending, self._ending), return_when=asyncio.FIRST_COMPLETED)
        if self._ended is not None:
            return {"type": "websocket.disconnect", "code": close_code(self._ended), "reason": ""}
        self._pending = None
        message = pending.result()
        if message["type"] == "websocket.disconnect":
            self._over = True
            self._rest()
        return message

    async def _next(self) -> Message:
        return await self._receive()

    def _look(self) -> None:
        self._rest()
        if self._check is None or self._over or self._ended is not None:
            return
        try:
            left = self._check()
        except Refusal as refusal:
            self._closing = asyncio.create_task(self._end(refusal))
        except Exception as error:
            # A watch that dies would leave the socket open for good.
            log.exception("WebSocket not checked")
            self._closing = asyncio.create_task(self._end(InternalError(str(error))))
        else:
            wait = min(max(left, 0.01), CHECK_EVERY)
            self._timer = asyncio.get_running_loop().call_later(wait, self._look)

    def _rest(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    async def _end(self, refusal: Refusal) -> None:
        if self._over or self._ended is not None:
            return
        self._ended = refusal
        self._ending.set_result(None)
        with suppress(OSError):  # the client may be gone
            await self._send(
                {
                    "type": "websocket.close",
                    "code": close_code(refusal),
                    "reason": refusal.code,
                }
            )

    def _chosen(self, wanted: str | None) -> str | None:
        """The subprotocol to answer with: never the token, whatever the app echoes."""
        if self.offered[:1] == (SUBPROTOCOL,) and (wanted is None or wanted in self.offered[1:2]):
            return SUBPROTOCOL
        return wanted
