"""An answer that comes in parts, and lives no longer than what was asked for it holds."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Collection
from typing import Any, Protocol, TypeAlias

from starlette.types import Message, Scope, Send

from authward.errors import InternalError, Refusal
from authward.middleware.websocket import Disconnected

log = logging.getLogger("authward")


class Asks(Protocol):
    """Who has asked for a request, and can ask once more. `bearer` is its Authorization header,
    which has let it in.
    """

    def again(
        self,
        scope: Scope,
        bearer: bytes,
        roles: Collection[str],
        permissions: Collection[Any],
    ) -> None:
        """Raises, and audits, the Refusal that the request would now meet."""
        ...

    def standing(self, bearer: bytes, roles: Collection[str], permissions: Collection[Any]) -> None:
        """Raises the Refusal that the request would now meet, but for its token's age."""
        ...

    def require_fresh(self) -> None:
        """Raises Unavailable if nothing is known any more of who was signed out."""
        ...

    def follow(self, bearer: bytes, hear: Callable[[], None]) -> Callable[[], None]:
        """Let `hear` know of changes that concern the caller, until what this returns is called.
        Raises a Refusal.
        """
        ...


Asked: TypeAlias = tuple[Asks, bytes, Collection[str], Collection[Any]]


class Stream:
    """The rest of an answer, on its way to `send`. `refusal` is what has broken it off."""

    def __init__(self, asked: Collection[Asked], send: Send) -> None:
        self.refusal: Refusal | None = None
        self._asked = asked
        self._send = send
        self._leave: list[Callable[[], None]] = []
        try:
            for asks, bearer in dict.fromkeys((one[0], one[1]) for one in asked):
                self._leave.append(asks.follow(bearer, self._look))
        except Refusal as refusal:
            self.refusal = refusal
        else:
            self._look()

    def send(self, message: Message) -> Awaitable[None]:
        """Send it on. Raises Disconnected, as servers do when the client is gone, as soon as the
        caller would no longer be let in.
        """
        try:
            for asks, *_ in self._asked:
                asks.require_fresh()
        except Refusal as refusal:
            self.refusal = self.refusal or refusal
        if self.refusal is not None:
            raise Disconnected(f"broken off: {self.refusal.code}")
        return self._send(message)

    def leave(self) -> None:
        """Hear of nothing any more."""
        while self._leave:
            self._leave.pop()()

    def _look(self) -> None:
        # At once: by the time the app sends again, what was told may be forgotten.
        try:
            for asks, bearer, roles, permissions in self._asked:
                asks.standing(bearer, roles, permissions)
        except Refusal as refusal:
            self.refusal = refusal
        except Exception as error:
            # A stream that cannot be looked at would be one that never ends.
            log.exception("stream not checked")
            self.refusal = InternalError(str(error))
