"""For uvicorn: its HTTP protocol with a bounded request head, and answers whose headers are looked
through once. `authward serve` uses it; for an app of your own:

    uvicorn app:app --http authward.uvicorn:Http
"""

from __future__ import annotations

from collections.abc import Coroutine
from types import FunctionType
from typing import Any
from weakref import WeakKeyDictionary

from uvicorn.protocols.http import httptools_impl
from uvicorn.protocols.http.httptools_impl import (
    HEADER_RE,
    HEADER_VALUE_RE,
    STATUS_LINE,
    HttpToolsProtocol,
    RequestResponseCycle,
)
from uvicorn.server import ServerState

from authward.core.envelope import Header

MAX_HEAD = 64 * 1024
_MOST_LINES = 1024
_LONGEST_LINE = 4096
_LONGEST_JOINED = 64 * 1024
# What may be a secret does not stay in memory, and what never comes again need not.
_NOT_KEPT = frozenset({b"set-cookie", b"x-request-id", b"etag", b"location"})
_FRAMING = frozenset({b"transfer-encoding", b"connection"})


class _NotOurs(Exception):
    """An answer that uvicorn had better write itself."""


class _Lines(dict[Header, bytes]):
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
        if len(line) <= _LONGEST_LINE:
            if len(self) >= _MOST_LINES:
                self.clear()
            self[header] = line
        return line


class _Closed(list[Header]):
    """The headers of a request whose head is over."""

    def append(self, _: Header) -> None:
        """A trailer is no header, and there may be no end of them."""


_lines_of: WeakKeyDictionary[ServerState, _Lines] = WeakKeyDictionary()


class _Cycle(RequestResponseCycle):
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
            lines: _Lines = self.on_response.__self__._lines  # type: ignore[attr-defined]
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
            or len(body) > _LONGEST_JOINED
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


class Http(HttpToolsProtocol):
    """uvicorn's protocol over httptools, with bounds that one does not have: about 64 KiB on the
    head of a request, answered with 400, and on what travels beside a body, like trailers and the
    framing of tiny chunks.

    It sends what uvicorn sends, byte for byte; except that an app which fails after the head of its
    answer, and before the first of a body of known length, is answered with 500: uvicorn has sent
    the head by then. A header field that was sent before is not searched for forbidden characters
    again: of an answer with the usual security headers that is most of the work.
    """

    def __init__(self, config: Any, server_state: ServerState, *rest: Any, **also: Any) -> None:
        super().__init__(config, server_state, *rest, **also)
        self._beside = 0
        # A server has one event loop, so nobody else is at them at the same time.
        self._lines = _lines_of.setdefault(server_state, _Lines())

    def data_received(self, data: bytes) -> None:
        self._beside += len(data)
        super().data_received(data)
        if self._beside > MAX_HEAD and not self.transport.is_closing():
            scope: Any = self.scope
            if scope and "method" not in scope:
                self.send_400_response("Request head too large.")
            else:
                self.transport.close()

    def on_message_begin(self) -> None:
        self._beside = 0
        super().on_message_begin()

    # uvicorn makes its cycles of a global of its module: the same function, with ours in its place.
    on_headers_complete = FunctionType(
        HttpToolsProtocol.on_headers_complete.__code__,
        {**vars(httptools_impl), "RequestResponseCycle": _Cycle},
    )

    def on_body(self, body: bytes) -> None:
        # The body itself is bounded by who reads it; as much again may travel beside it.
        self._beside -= 2 * len(body)
        super().on_body(body)

    def on_chunk_header(self) -> None:
        if type(self.headers) is list:
            self.headers = _Closed(self.headers)
