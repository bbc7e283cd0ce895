"""Looking into a body before the app reads it."""

from __future__ import annotations

from collections import deque

from starlette.types import Message, Receive


class Beginning:
    """The beginning of a body, read ahead; `receive` gives the app the same bytes."""

    __slots__ = ("_ahead", "_receive")

    def __init__(self, receive: Receive) -> None:
        self._receive = receive
        self._ahead: deque[Message] = deque()

    async def read(self, most: int) -> tuple[bytes, bool]:
        """At most `most` bytes, and whether they are the whole body."""
        # Kept as one: many small messages would weigh a hundred times what they bring.
        body = bytearray()
        more = True
        last: Message | None = None
        while more and last is None and len(body) <= most:
            message = await self._receive()
            if message["type"] == "http.request":
                body += message.get("body", b"")
                more = message.get("more_body", False)
            else:
                last = message
        read = bytes(body)
        self._ahead.append({"type": "http.request", "body": read, "more_body": more})
        if last is not None:
            self._ahead.append(last)
        return read[:most], not more and len(read) <= most

    async def receive(self) -> Message:
        """The next message, as the server's `receive` would have given it."""
        return self._ahead.popleft() if self._ahead else await self._receive()
