"""Answers whose header fields are looked through once."""

from __future__ import annotations

from collections.abc import Coroutine
from typing import Any
from weakref import WeakKeyDictionary

from uvicorn.protocols.http.httptools_impl import (
    HEADER_RE,
    HEADER_VALUE_RE,
    STATUS_LINE,
    RequestResponseCycle,
)
from uvicorn.server import ServerState

from authward.core.envelope import Header

MOST_LINES = 1024
LONGEST_LINE = 4096
LONGEST_JOINED = 64 * 1024
# What may be a secret does not stay in memory, and what never comes again need not.
_NOT_KEPT = frozenset({b"set-cookie", b"x-request-id", b"etag", b"location"})
_FRAMING = frozenset({b"transfer-encoding", b"connection"})


class _NotOurs(Exception):
    """An answer that uvicorn had better write itself."""


class Lines(dict[Header, bytes]):
    """Header fields as they are written, once they were found fit to be sent. Bounded: forgotten
    all at once when there are too many. `length` is the last Content-Length that was asked for.
    """

    length = -1

    def __missing__(self, header: Header) -> bytes:
        """Raises _NotOurs for what is no legal field, or frames the answer in another way."""
        name, value = header
        # Nothing else is remembered: a memoryview, which equals its bytes, keeps all of its buffer.
        if type(header) is not tuple or type(name) is not bytes or type(value) is not bytes:
            raise _NotOurs
        name = name.lower()
        if name == b"content-length":
            if self.length >= 0 or not value.isdigit():
                raise _NotOurs
            self.length = int(value)
            return b"content-length: %b\r\n" % value
        if name in _FRAMING or HEADER_VALUE_RE.search(value):
            raise _NotOurs
        line = b"%b: %b\r\n" % (name, value)
        if name in _NOT_KEPT:
            return line
        if HEADER_RE.search(name):
            raise _NotOurs
        if len(line) <= LONGEST_LINE:
            if len(self) >= MOST_LINES:
                self.clear()
            self[header] = line
        return line


lines_of: WeakKeyDictionary[ServerState, Lines] = WeakKeyDictionary()


class Cycle(RequestResponseCycle):
    """One request and its answer. A head waits for the first of its body, as ASGI asks of servers,
    and most answers are one write. An app that fails in between is answered with 500, as nothing
    was sent.
    """

    _head: list[bytes] | None = None

    def send(self, message: Any) -> Coroutine[Any, Any, None]:
        """Not `async` itself, which would cost a frame a message."""
        head = self._head
        if head is not None:
            return self._complete(head, message)
        if self.waiting_for_100_continue:
            self._unasked(message)
        if (
            self.response_started
            or self.disconnected
            or self.flow.write_paused
            or self.access_log
            or not self.keep_alive
        ):
            return super().send(message)
        try:
            if message["type"] != "http.response.start" or type(message["headers"]) is not list:
                return super().send(message)
            lines: Lines = self.on_response.__self__._lines  # type: ignore[attr-defined]
            lines.length = -1
            head = [
                STATUS_LINE[message["status"]],
                *map(lines.__getitem__, self.default_headers),
                *map(lines.__getitem__, message["headers"]),
                b"\r\n",
            ]
        except (_NotOurs, AttributeError, KeyError, TypeError, ValueError):
            return super().send(message)
        if lines.length < 0:
            return super().send(message)
        self.waiting_for_100_continue = False
        self.expected_content_length = lines.length
        self._head = head
        return _sent()

    def _unasked(self, message: Any) -> None:
        """Answered before its body was asked for: the client may send it, or something else, and
        nobody could tell which. So this connection ends (RFC 9110 section 10.1.1).
        """
        if self.more_body and message.get("type") == "http.response.start":
            self.keep_alive = False

    def _complete(self, head: list[bytes], message: Any) -> Coroutine[Any, Any, None]:
        """Send the head, and what comes first of the body."""
        self._head = None
        self.response_started = True
        self.chunked_encoding = False
        if self.disconnected:
            return super().send(message)
        body = message.get("body", b"")
        if (
            message.get("type") != "http.response.body"
            or message.get("more_body", False)
            or type(body) is not bytes
            or len(body) != self.expected_content_length
            or len(body) > LONGEST_JOINED
            or self.flow.write_paused
            or self.scope["method"] == "HEAD"
        ):
            self.transport.write(b"".join(head))
            return super().send(message)
        head.append(body)
        self.transport.write(b"".join(head))
        self.response_complete = True
        self.message_event.set()
        if not self.keep_alive:
            self.transport.close()
        self.on_response()
        return _sent()

    async def send_500_response(self) -> None:
        # Of an answer that its app gave up.
        self._head = None
        await super().send_500_response()


async def _sent() -> None:
    """What there is to wait for once the transport has it."""


def bad_request(text: str, more: list[Header]) -> bytes:
    """The answer to what reaches no app; these header fields come first."""
    headers = [
        *more,
        (b"content-type", b"text/plain; charset=utf-8"),
        (b"content-length", b"%d" % len(text)),
        (b"connection", b"close"),
    ]
    lines = (b"%b: %b\r\n" % header for header in headers)
    return b"".join((STATUS_LINE[400], *lines, b"\r\n", text.encode("ascii")))
