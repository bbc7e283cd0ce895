"""One request on its way through the shield: what was found out about it, and its answer."""

from __future__ import annotations

from collections.abc import Awaitable, Sequence

from starlette.types import Message, Scope, Send

from authward.core.headers import CORS_NAMES, Header, merged, spellings
from authward.core.limits import Decision, HeaderStyle, left, limit_headers
from authward.errors import Refusal
from authward.middleware.streams import Asked, Stream

EXCHANGE = "authward.exchange"
"""The key of the scope under which the floors behind the shield find the Exchange."""


class Exchange:
    """`headers` are the request's, by name (the last, of those sent twice); `client` is the key its
    limits go by. `decision` is the limit that an answer tells of. `refusals` are those that guards
    have raised, `asked` is what they have asked and were content with. `stream` is there once the
    answer of such a request comes in parts.

    Its `send` adds the headers of the answer. While a guard's refusal is under way it holds an
    error page back: a framework that does not know refusals makes one of them, and then lets them
    through.
    """

    # What most requests leave as it is costs them nothing.
    cors: Sequence[Header] = ()
    decision: Decision | None = None
    held: list[Message] | None = None
    refusals: list[Refusal] | None = None
    asked: tuple[Asked, ...] = ()
    stream: Stream | None = None
    started = False
    added: Sequence[Header] = ()
    names: frozenset[bytes] = frozenset()
    style: HeaderStyle | None = None

    def __init__(
        self, send: Send, headers: dict[bytes, bytes], client: str, request_id: str
    ) -> None:
        self.client = client
        self.headers = headers
        self.request_id = request_id
        self._send = send

    def send(self, message: Message) -> Awaitable[None]:
        """Send what the app says. Not `async` itself, which would cost a frame a message."""
        if self.started:
            # Most answers are one message, and do not say that there is more.
            if "more_body" in message and message["more_body"] and self.asked:
                self._streams()
            return self._send(message)
        kind = message["type"]
        if self.held is not None or (
            self.refusals and kind == "http.response.start" and message["status"] >= 500
        ):
            return self._hold(message)
        if kind == "http.response.start" or kind == "websocket.http.response.start":
            own_id = (b"x-request-id", self.request_id.encode())
            decision = self.decision
            if decision is None or self.style is None:
                added = [*self.added, *self.cors, own_id]
            elif self.style == "draft-6":
                added = [*self.added, *self.cors, own_id, *decision[1].stated, *left(decision)]
            else:
                told = limit_headers(decision, self.style)
                added = [*self.added, *self.cors, own_id, *told]
            headers = merged(message.get("headers", ()), added, self.names)
            # A copy: an app may send the same message to everybody.
            message = {**message, "headers": headers}
            self.started = True
        return self._send(message)

    def refused(self, refusal: Refusal) -> None:
        """Note what a guard is about to raise."""
        if self.refusals is None:
            self.refusals = []
        self.refusals.append(refusal)

    def note(self, asked: Asked) -> None:
        """Note what a guard has asked. Once the answer streams it is known what for, and an app may
        ask with each event of it.
        """
        if self.stream is None and asked not in self.asked:
            self.asked = (*self.asked, asked)

    def ask_again(self, scope: Scope) -> None:
        """Ask what guards have asked. Raises a Refusal, and takes it that this is what is answered
        then: it may be told to the end.
        """
        asked, self.asked = self.asked, ()
        for asks, bearer, roles, permissions in asked:
            asks.again(scope, bearer, roles, permissions)
        self.asked = asked

    def drop(self) -> list[Message]:
        """Forget what was held back; hold back no more."""
        held, self.held, self.refusals = self.held, None, None
        return held or []

    async def release(self) -> None:
        """Send what was held back after all."""
        for message in self.drop():
            await self.send(message)

    def _streams(self) -> None:
        if self.stream is None:
            self.stream = Stream(self.asked, self._send)
            self._send = self.stream.send

    async def _hold(self, message: Message) -> None:
        if self.held is None:
            self.held = []
        self.held.append(message)


_OURS = (b"x-request-id", b"ratelimit", b"ratelimit-policy")
_OURS_BY_DRAFT_6 = (b"ratelimit-limit", b"ratelimit-remaining", b"ratelimit-reset")


def exchanges(
    added: Sequence[Header], names: frozenset[bytes], style: HeaderStyle | None
) -> type[Exchange]:
    """Exchanges whose answers all get the headers `added` (`names` as `merged` takes them), and
    tell of limits in `style`. What an app says itself of its limits and its request stands; of
    CORS, what ours leaves it (see `merged`).
    """
    once = names | spellings((*_OURS, *_OURS_BY_DRAFT_6, *CORS_NAMES))
    stamped = {"added": added, "names": once, "style": style}
    return type("Exchange", (Exchange,), stamped)
