"""For uvicorn: its HTTP protocol with bounds on what a client may send and owe, and answers whose
headers are looked through once. `authward serve` uses it; for an app of your own:

    uvicorn app:app --http authward.uvicorn:Http
"""

from __future__ import annotations

from types import FunctionType
from typing import Any

from httptools import HttpParserError, HttpParserUpgrade, HttpRequestParser
from uvicorn.protocols.http import httptools_impl
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from uvicorn.server import ServerState

from authward.core.envelope import Header
from authward.middleware.body import LINGER_S
from authward.uvicorn.answers import Cycle, Lines, bad_request, lines_of
from authward.uvicorn.watch import Watch, watch_of

MAX_HEAD = 64 * 1024
PIECE = 4 * 1024
"""Bytes that are parsed at once: how many requests can be in them is bounded, too."""
MOST_WAITING = 32
"""Requests of a connection that wait for the answers before theirs; then nothing more is parsed."""

_MOST_THROWN_AWAY = 1024 * 1024

_INVALID = "Invalid HTTP request received."
_TOO_LARGE = "Request head too large."
_WITH_BODY = "A WebSocket begins without a body."


class _Refused(Exception):
    """Stops the parser: this head is answered with 400."""


class _Closed(list[Header]):
    """The headers of a request whose head is over."""

    def append(self, _: Header) -> None:
        """A trailer is no header, and there may be no end of them."""


class Http(HttpToolsProtocol):
    """uvicorn's protocol over httptools, with bounds that one does not have. What is refused is
    answered with 400 after all that came before it, and the connection ends.

    - The head of a request has at most 64 KiB, however it arrives; as much may travel beside a
      body, like trailers and the framing of tiny chunks.
    - A request that asks to become anything but a WebSocket stays what it is, body and all, without
      its `Upgrade` (RFC 9110 section 7.8); a WebSocket begins without a body, and CONNECT is none.
    - Pipelined requests are parsed as the answers before them go out.
    - A head, and a body whose request was answered before its end, have 30 seconds to end.

    It sends what uvicorn sends, byte for byte; except that an app which fails after the head of its
    answer, and before the first of a body of known length, is answered with 500: uvicorn has sent
    the head by then. A header field that was sent before is not searched for forbidden characters
    again: of an answer with the usual security headers that is most of the work.
    """

    def __init__(self, config: Any, server_state: ServerState, *rest: Any, **also: Any) -> None:
        super().__init__(config, server_state, *rest, **also)
        self._size = 0
        # Bytes since, and with, the piece in which this message began; bodies taken off.
        self._beside = 0
        # What was read and is not parsed yet, and whether nothing ever will be again.
        self._rest = b""
        self._held = False
        self._over = False
        self._refusal = ""
        self.owed: tuple[Any, float] | None = None
        # A server has one event loop, so nobody else is at them at the same time.
        self._lines = lines_of.setdefault(server_state, Lines())

    def connection_made(self, transport: Any) -> None:
        super().connection_made(transport)
        watch_of.setdefault(self.server_state, Watch()).begin(self.connections, self.loop)

    def connection_lost(self, exc: Exception | None) -> None:
        self._stop()
        super().connection_lost(exc)

    def owes(self) -> bool:
        # Between requests uvicorn has a timer of its own, until the first byte of the next.
        return self.timeout_keep_alive_task is None and self._all_answered()

    def _all_answered(self) -> bool:
        last: Any = self.cycle
        return last is None or last.response_complete

    # What arrives.

    def data_received(self, data: bytes) -> None:
        if self._over:
            return self._throw_away(len(data))
        self._unset_keepalive_if_required()
        if self._held:
            self._rest += data
        elif len(data) <= PIECE and not self.pipeline:
            self._parse(data)
        else:
            self._rest = data
            self._go_on()

    def _go_on(self) -> None:
        """Parse what was read, piece by piece, until too many requests wait for their answers."""
        if self._over:
            return
        if self._held:
            self._held = False
            self.flow.read_paused = True
            self._unset_keepalive_if_required()
        view, at = memoryview(self._rest), 0
        while at < len(self._rest) and len(self.pipeline) < MOST_WAITING:
            self._parse(view[at : at + PIECE])
            at += PIECE
        self._rest = self._rest[at:]
        if self._rest:
            self._hold()
        elif self._all_answered() and not self.transport.is_closing():
            # Nobody else would: what was parsed is the beginning of a head.
            self.flow.resume_reading()

    def _hold(self) -> None:
        """Go on when the last request that was parsed begins: its body may be in what is left."""
        self._held = True
        # Who asks for a body has uvicorn read on, but for a pause that it does not know of.
        self.transport.pause_reading()
        self.flow.read_paused = False
        before_last, _ = self.pipeline[1]
        before_last.on_response = self._answered

    def _answered(self) -> None:
        """Those before are answered: what was held back has its turn, or what was refused."""
        self.on_response_complete()
        if self._refusal and not self.transport.is_closing():
            self._say(self._refusal)
        elif self._held:
            self.loop.call_soon(self._go_on)

    def _parse(self, data: bytes | memoryview) -> None:
        """Parse what came next, no more than a piece."""
        self._size = len(data)
        self._beside += self._size
        while True:
            try:
                self.parser.feed_data(data)
            except HttpParserUpgrade as upgrade:
                data = self._upgraded(data[upgrade.args[0] :])
                if not self._over:
                    continue
            except HttpParserError as error:
                self._invalid(error)
            break
        if self._beside > MAX_HEAD and not self._over:
            self._beyond()

    def _upgraded(self, rest: bytes | memoryview) -> bytes | memoryview:
        """A head is over that asks to go on in another protocol, and not parsed as what it is. What
        is to be parsed next.
        """
        if self.scope["method"] == "CONNECT":
            self._refuse(_INVALID)
        elif self._get_upgrade() != b"websocket" or self.ws_protocol_class is None:
            # The parser takes a body that follows for the next request: request smuggling. Another
            # gets the head once more, without what confuses it.
            if self.ws_protocol_class is None and self._get_upgrade() == b"websocket":
                self._unsupported_upgrade_warning()
            method, version = self.scope["method"].encode(), self.scope["http_version"].encode()
            lines = [b"%b: %b\r\n" % one for one in self.headers if one[0] != b"upgrade"]
            self.parser = HttpRequestParser(self)
            # As uvicorn has it: else it is an error if more comes after the last request.
            self.parser.set_dangerous_leniencies(lenient_data_after_close=True)
            first = b"%b %b HTTP/%b\r\n" % (method, self.url, version)
            return b"".join((first, *lines, b"\r\n", rest))
        elif any(_frames_a_body(*one) for one in self.headers):
            self._refuse(_WITH_BODY)
        else:
            self.handle_websocket_upgrade()
            self._stop()
        return b""

    def _throw_away(self, size: int) -> None:
        """Of who is refused, and does not hear it, no more than a megabyte."""
        self._beside += size
        if self._beside > _MOST_THROWN_AWAY and not self.transport.is_closing():
            self.transport.close()

    # What is refused.

    def _stop(self) -> None:
        """Take nothing more of this connection."""
        self._over = True
        self._rest = b""

    def _refuse(self, text: str) -> None:
        """Answer with 400 once it is its turn, and close."""
        self._stop()
        if self._all_answered():
            self._say(text)
        else:
            self._refusal = text
            self.cycle.on_response = self._answered

    def _say(self, text: str) -> None:
        """Answer, and throw away what is on its way before the connection closes: closed over
        unread bytes it is reset, and the client loses the answer (RFC 9112 section 9.6).
        """
        self.transport.write(bad_request(text, self.server_state.default_headers))
        self.loop.call_later(LINGER_S, self.transport.close)

    def _invalid(self, error: HttpParserError) -> None:
        if isinstance(error.__context__, _Refused):
            return self._refuse(_TOO_LARGE)
        self.logger.warning(_INVALID)
        self._stop()
        self.send_400_response(_INVALID)

    def _beyond(self) -> None:
        """More came than may: of a head that does not end, or beside a body."""
        scope: Any = self.scope
        if scope and "method" not in scope:
            if self._beside - PIECE > MAX_HEAD:
                self._refuse(_TOO_LARGE)
        else:
            self._stop()
            self.transport.close()

    # What the parser says.

    def on_message_begin(self) -> None:
        self._beside = self._size
        super().on_message_begin()

    # uvicorn makes its cycles of a global of its module: the same function, with ours in its place.
    _begin = FunctionType(
        HttpToolsProtocol.on_headers_complete.__code__,
        {**vars(httptools_impl), "RequestResponseCycle": Cycle},
    )

    def on_headers_complete(self) -> None:
        # Only then can it be too large; what else was in its pieces does not count.
        if self._beside > MAX_HEAD:
            size = len(self.url) + sum(len(name) + len(value) + 4 for name, value in self.headers)
            if size > MAX_HEAD:
                raise _Refused
        self._beside = self._size
        self._begin()

    def _should_upgrade(self) -> bool:
        # Asked of what asks for it, by uvicorn's answers to the parser. They leave it alone then,
        # and `_upgraded` has it.
        return True

    def on_body(self, body: bytes) -> None:
        # The body itself is bounded by who reads it; as much again may travel beside it.
        self._beside -= 2 * len(body)
        super().on_body(body)

    def on_chunk_header(self) -> None:
        if type(self.headers) is list:
            self.headers = _Closed(self.headers)


def _frames_a_body(name: bytes, value: bytes) -> bool:
    return name == b"transfer-encoding" or (name == b"content-length" and value.strip(b" 0") != b"")
