"""ASGI apps called as a server would call them, without a server."""

import asyncio
import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from starlette.types import ASGIApp, Message, Scope

Header = tuple[bytes, bytes]
STALLED = object()
"""In place of a chunk: a client that sends nothing more and does not go away."""
GONE = object()
"""In place of a chunk: a client that goes away."""


@dataclass
class Answer:
    """What was sent back, and how many messages the app's side received."""

    messages: list[Message] = field(default_factory=list)
    received: int = 0

    @property
    def start(self) -> Message:
        assert self.messages[0]["type"] == "http.response.start", self.messages
        return self.messages[0]

    @property
    def status(self) -> int:
        status: int = self.start["status"]
        return status

    @property
    def headers(self) -> list[Header]:
        return list(self.start["headers"])

    def header(self, name: bytes) -> list[bytes]:
        return [value for key, value in self.headers if key == name]

    @property
    def body(self) -> bytes:
        assert not self.messages[-1].get("more_body", False), "the answer has no end"
        return b"".join(message.get("body", b"") for message in self.messages[1:])

    @property
    def error(self) -> str:
        """The code of a refusal, or "" of what is none."""
        if self.status < 400:
            return ""
        assert self.header(b"content-length") == [str(len(self.body)).encode()]
        code: str = json.loads(self.body)["error"]
        return code


def http_scope(
    method: str = "GET", path: str = "/", headers: Iterable[Header] = (), **more: Any
) -> Scope:
    return {
        "type": "http",
        "http_version": "1.1",
        "method": method,
        "path": path,
        "query_string": b"",
        "headers": list(headers),
        **more,
    }


async def drive(app: ASGIApp, scope: Scope, chunks: Sequence[Any] = (b"",)) -> Answer:
    """One request with a body of `chunks`. Raises what the app raises, with `.answer`."""
    answer = Answer()
    left = list(chunks)

    async def receive() -> Message:
        answer.received += 1
        if not left or left[0] is GONE:
            return {"type": "http.disconnect"}
        if left[0] is STALLED:
            await asyncio.Event().wait()
        return {"type": "http.request", "body": left.pop(0), "more_body": bool(left)}

    async def send(message: Message) -> None:
        answer.messages.append(message)

    try:
        await app(scope, receive, send)
    except Exception as error:
        error.answer = answer  # type: ignore[attr-defined]
        raise
    return answer
