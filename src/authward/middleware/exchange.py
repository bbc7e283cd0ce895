"""One request on its way through the shield: what was found out about it, and its answer."""

from __future__ import annotations

from collections.abc import Awaitable, Sequence

from starlette.types import Message, Send

from authward.core.headers import Header, merged
from authward.core.limits import Decision, HeaderStyle, limit_headers
from authward.errors import Refusal

EXCHANGE = "authward.exchange"
"""The key of the scope under which the floors behind the shield find the Exchange."""


class Exchange:
    """`headers` are the request's, by name (the last, of those sent twice); `client` is the key its
    limits go by. `decision` is the limit that an answer tells of. `refusals` are those that guards
    have raised.

    Its `send` adds the headers of the answer. While a guard's refusal is under way it holds an
    error page back: a framework that does not know refusals makes one of them, and then lets them
    through.
    """

    __slots__ = (
        "_added",
        "_names",
        "_send",
        "_style",
        "client",
        "cors",
        "decision",
        "headers",
        "held",
        "refusals",
        "request_id",
        "started",
    )

    def __init__(
        self,
        send: Send,
        headers: dict[bytes, bytes],
        added: Sequence[Header],
        names: frozenset[bytes],
        style: HeaderStyle | None,
    ) -> None:
        self.headers = headers
        self.client = ""
        self.request_id = ""
        self.cors: Sequence[Header] = ()
        self.decision: Decision | None = None
        self.refusals: list[Refusal] | None = None
        self.held: list[Message] | None = None
        self.started = False
        self._send = send
        self._added = added
        self._names = names
        self._style = style

    def send(self, message: Message) -> Awaitable[None]:
        """Send what the app says. Not `async` itself, which would cost a frame a message."""
        if self.started:
            return self._send(message)
        if self.held is not None or (self.refusals and message.get("status", 0) >= 500):
            return self._hold(message)
        if message["type"] == "http.response.start":
            self.started = True
            message = {**message, "headers": self._stamped(message.get("headers", ()))}
        return self._send(message)

    def refused(self, refusal: Refusal) -> None:
        """Note what a guard is about to raise."""
        if self.refusals is None:
            self.refusals = []
        self.refusals.append(refusal)

    def drop(self) -> list[Message]:
        """Forget what was held back; hold back no more."""
        held, self.held, self.refusals = self.held, None, None
        return held or []

    async def release(self) -> None:
        """Send what was held back after all."""
        for message in self.drop():
            await self.send(message)

    def _stamped(self, own: Sequence[Header]) -> list[Header]:
        headers = merged(own, self._added, self._names)
        if self.decision is not None and self._style is not None:
            headers += limit_headers(self.decision, self._style)
        headers += self.cors
        headers.append((b"x-request-id", self.request_id.encode()))
        return headers

    async def _hold(self, message: Message) -> None:
        if self.held is None:
            self.held = []
        self.held.append(message)
