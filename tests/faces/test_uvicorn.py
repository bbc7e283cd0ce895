"""`authward.uvicorn.Http` beside uvicorn's own protocol: the same bytes for the same messages, but
for what it names.
"""

import asyncio
import logging
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from uvicorn import Config
from uvicorn.protocols.http import httptools_impl
from uvicorn.protocols.http.flow_control import FlowControl
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from uvicorn.server import ServerState

from authward.uvicorn import MAX_HEAD, MOST_WAITING, PIECE, Http
from authward.uvicorn import answers as ours
from tests.generating import many

START, BODY = "http.response.start", "http.response.body"
LENGTH = (b"content-length", b"2")
GET = b"GET / HTTP/1.1\r\nhost: a\r\n\r\n"
GAVE_UP_HEAD = (
    b"HTTP/1.1 500 Internal Server Error\r\ndate: now\r\ncontent-type: text/plain; charset=utf-8"
    b"\r\ncontent-length: 21\r\nconnection: close\r\n\r\n"
)
GAVE_UP = GAVE_UP_HEAD + b"Internal Server Error"
Protocol = type[HttpToolsProtocol]


@pytest.fixture(autouse=True)
def quiet() -> Any:
    """Failing apps are logged with their tracebacks, which takes most of the time."""
    logger = logging.getLogger("uvicorn.error")
    before, logger.disabled = logger.disabled, True
    yield
    logger.disabled = before


class Wire:
    """A transport that keeps what is written, and is full after `high` bytes for a turn."""

    def __init__(self, high: int = 1 << 30) -> None:
        self.writes: list[bytes] = []
        self.closed = False
        self.high = high
        self.protocol: Any = None

    @property
    def sent(self) -> bytes:
        return b"".join(self.writes)

    def write(self, data: bytes) -> None:
        if not isinstance(data, bytes | bytearray | memoryview):
            raise TypeError("not bytes")
        if self.closed:
            return
        self.writes.append(bytes(data))
        if len(data) > self.high:
            self.protocol.pause_writing()
            asyncio.get_running_loop().call_soon(self.protocol.resume_writing)

    def close(self) -> None:
        self.closed = True

    def is_closing(self) -> bool:
        return self.closed

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        return default

    def pause_reading(self) -> None: ...

    def resume_reading(self) -> None: ...

    def set_protocol(self, protocol: Any) -> None: ...


@dataclass
class Told:
    """What there is to compare."""

    wire: Wire
    errors: list[str] = field(default_factory=list)
    received: list[Any] = field(default_factory=list)
    scopes: list[Any] = field(default_factory=list)


async def connect(
    protocol: Protocol, app: Any, *, high: int = 1 << 30, state: ServerState | None = None
) -> tuple[Any, Wire]:
    state = state or ServerState()
    state.default_headers = [(b"date", b"now")]
    config = Config(app, lifespan="off", log_config=None, ws="none", proxy_headers=False)
    made = protocol(config=config, server_state=state, app_state={})
    # Where a test's log is caught there is somebody to read an access log too.
    made.access_log = False
    wire = Wire(high)
    wire.protocol = made
    made.connection_made(wire)  # type: ignore[arg-type]
    return made, wire


async def turns() -> None:
    for _ in range(30):
        await asyncio.sleep(0)


async def converse(
    protocol: Protocol,
    chunks: Iterable[bytes],
    scripts: list["Script"],
    high: int,
    lost: bool,
    state: ServerState | None = None,
) -> Told:
    """Feed chunks to apps that each play a script."""
    told, waiting = Told(Wire()), iter(scripts)

    async def app(scope: Any, receive: Any, send: Any) -> None:
        told.scopes.append({key: value for key, value in scope.items() if key != "state"})
        script = next(waiting, scripts[-1])
        for step in script.steps:
            try:
                if step == "receive":
                    told.received.append(await receive())
                elif step == "wait":
                    await asyncio.sleep(0)
                elif step == "shutdown":
                    made.shutdown()
                elif step == "raise":
                    raise LookupError("the app")
                else:
                    await send(step())
            except Exception as error:
                told.errors.append(repr(error))
                if step == "raise" or not script.swallows:
                    raise

    made, told.wire = await connect(protocol, app, high=high, state=state)
    for chunk in chunks:
        if not told.wire.closed:
            made.data_received(chunk)
            await turns()
    if lost:
        made.connection_lost(None)
        await turns()
    for task in made.tasks.copy():
        task.cancel()
    await turns()
    return told


@dataclass
class Script:
    """What an app does: "receive", "wait", "shutdown", "raise", or a maker of a message."""

    steps: list[Any]
    swallows: bool

    @property
    def pauses(self) -> bool:
        return "wait" in self.steps or "receive" in self.steps


NAMES = [
    *(b"x-a", b"X-A", b"content-type", b"set-cookie", b"Set-Cookie", b"location", b"etag", b""),
    *(b"x a", b"x\r\na", b"x:", b"set-cookie\r\nx", b"x\x00", b"caf\xc3\xa9", "x-a", None),
    bytearray(b"x-a"),  # a memoryview may be taken for the bytes it equals, which were found legal
]
VALUES = [
    *(b"v", b"", b"\xff", b"\t", b"a\tb", b"a\r\nx: y", b"a\n", b"a\x00", b"\x7f", "v", None),
    bytearray(b"v"),
    memoryview(b"v"),
]
FRAMING = [
    *((b"content-length", value) for value in (b"0", b"2", b"02", b"5", b"+2", b"-2", b" 2")),
    *((b"Content-Length", value) for value in (b"2", b"", b"2_0", b"\xd9\xa2", b"9" * 5000)),
    *((b"transfer-encoding", value) for value in (b"chunked", b"Chunked", b"gzip")),
    *((b"connection", value) for value in (b"close", b"keep-alive", b"upgrade", b"x, Close")),
]
headers = st.lists(
    st.one_of(
        st.just(LENGTH),
        st.sampled_from(FRAMING),
        st.tuples(st.sampled_from(NAMES), st.sampled_from(VALUES)),
        st.sampled_from([(b"x-a", b"v"), [b"x-a", b"v"], b"xy", "xy", (b"x-a",), None]),
    ),
    max_size=4,
)
fine = st.lists(st.sampled_from([(b"X-A", b"v"), (b"set-cookie", b"a"), (b"x-b", b"")]), max_size=3)
statuses = st.sampled_from([200, 200, 200, 204, 304, 101, 100, 404, 599, 600, HTTPStatus.OK, "200"])
containers: Any = st.sampled_from([list, list, list, tuple, iter])


@st.composite
def starts(draw: Any) -> Callable[[], Any]:
    given = draw(st.one_of(headers, fine.map(lambda some: [*some, LENGTH])))
    status, container = draw(statuses), draw(containers)
    lacks = draw(st.sampled_from([None, None, None, None, "headers", "status", "type"]))

    def make() -> Any:
        message = {"type": START, "status": status, "headers": container(given)}
        message.pop(lacks, None)
        return message

    return make


@st.composite
def bodies(draw: Any) -> Callable[[], Any]:
    body = draw(
        st.sampled_from([b"ok", b"ok", b"ok", b"", b"o", b"hello", bytearray(b"ok"), "ok", None])
    )
    message: Any = {"type": BODY, "body": body}
    if draw(st.booleans()):
        message["more_body"] = draw(st.booleans())
    lacks = draw(st.sampled_from([None, None, None, None, "body", "type"]))
    return lambda: {key: value for key, value in message.items() if key != lacks}


@st.composite
def scripts(draw: Any) -> Script:
    others = st.sampled_from(["receive", "wait", "raise", "shutdown"])
    usual = [draw(starts()), draw(bodies())]
    more = draw(st.lists(st.one_of(others, starts(), bodies(), bodies()), max_size=3))
    steps = usual + more
    if draw(st.booleans()):
        steps = draw(st.permutations(steps))
    return Script(list(steps), draw(st.booleans()))


@st.composite
def requests(draw: Any) -> bytes:
    method = draw(st.sampled_from([b"GET", b"GET", b"HEAD", b"POST"]))
    version = draw(st.sampled_from([b"1.1", b"1.1", b"1.0"]))
    lines = [b"%b /a%%20b?c HTTP/%b" % (method, version), b"host: a"]
    lines += draw(
        st.lists(
            st.sampled_from(
                [b"connection: close", b"connection: keep-alive", b"expect: 100-continue", b"a: b"]
            ),
            max_size=2,
        )
    )
    # Who expects to be asked for a body, and is not: below.
    asked = b"expect: 100-continue" in lines
    body = b"" if asked else draw(st.sampled_from([b"", b"", b"xyz", b"chunks"]))
    if body == b"xyz":
        lines.append(b"content-length: 3")
    elif body:
        lines.append(b"transfer-encoding: chunked")
        body = b"3\r\nxyz\r\n0\r\n\r\n"
    return b"\r\n".join([*lines, b"", body])


@many
@given(st.data())
def test_the_same_bytes(data: st.DataObject) -> None:
    stream = b"".join(data.draw(st.lists(requests(), min_size=1, max_size=3)))
    played = data.draw(st.lists(scripts(), min_size=1, max_size=3))
    lost = False
    if not any(script.pauses for script in played):
        stream += data.draw(st.sampled_from([b"", b"", b"garbage\r\n\r\n"]))
        lost = data.draw(st.booleans())
    cuts = sorted(data.draw(st.lists(st.integers(0, len(stream)), max_size=3)))
    chunks = [stream[a:b] for a, b in zip([0, *cuts], [*cuts, len(stream)], strict=True)]
    high = data.draw(st.sampled_from([1 << 30, 1 << 30, 20]))

    async def both() -> tuple[Told, Told]:
        given = [chunk for chunk in chunks if chunk]
        return (
            await converse(HttpToolsProtocol, given, played, high, lost),
            await converse(Http, given, played, high, lost),
        )

    theirs, mine = asyncio.run(both())
    assert mine.errors == theirs.errors
    assert mine.received == theirs.received
    assert mine.scopes == theirs.scopes
    assert mine.wire.closed == theirs.wire.closed
    same_or_given_up(mine.wire, theirs.wire)


def same_or_given_up(mine: Wire, theirs: Wire) -> None:
    """The one difference: an app that gave up between the head and the first of the body."""
    if mine.sent != theirs.sent:
        assert mine.sent.endswith((GAVE_UP, GAVE_UP_HEAD)), (mine.sent, theirs.sent)
        before = mine.sent.removesuffix(GAVE_UP).removesuffix(GAVE_UP_HEAD)
        head = theirs.sent.removeprefix(before)
        assert theirs.sent.startswith(before)
        assert head.endswith(b"\r\n\r\n")
        assert head.count(b"\r\n\r\n") == 1
        assert mine.closed


def test_every_header() -> None:
    """Each name with each value, and what frames a body; again where they might be remembered."""
    single = [[(name, value)] for name in NAMES for value in VALUES]
    framed = [[one] for one in FRAMING] + [[one, LENGTH] for one in FRAMING]
    steps = [[*some, LENGTH] for some in single] + framed

    async def compare() -> None:
        state = ServerState()
        for request in (GET, GET.replace(b"GET", b"HEAD"), GET.replace(b"1.1", b"1.0")):
            for some in steps:
                for body in (b"ok", bytearray(b"ok"), "ok", None):
                    begun = {"type": START, "status": 200, "headers": some}
                    given = [begun, {"type": BODY, "body": body}]
                    theirs = await answer(HttpToolsProtocol, *given, request=request)
                    mine = await answer(Http, *given, request=request, state=state)
                    assert mine.wire.sent == theirs.wire.sent, (some, body)
                    assert mine.errors == theirs.errors
                    assert mine.wire.closed == theirs.wire.closed
                    if body != b"ok" and len(some) < 2:
                        break

    asyncio.run(compare())


async def answer(
    protocol: Protocol, *steps: Any, request: bytes = GET, state: ServerState | None = None
) -> Told:
    made = [step if isinstance(step, str) else (lambda one=step: one) for step in steps]
    return await converse(protocol, [request], [Script(made, False)], 1 << 30, False, state)


def start(*more: Any, status: int = 200) -> Any:
    return {"type": START, "status": status, "headers": [*more, LENGTH]}


OK = {"type": BODY, "body": b"ok"}


class TestOneWrite:
    """The fast way is taken: else the comparison above would compare uvicorn with itself."""

    async def test_head_and_body(self) -> None:
        theirs = await answer(HttpToolsProtocol, start((b"X-A", b"v")), OK)
        mine = await answer(Http, start((b"X-A", b"v")), OK)
        assert (len(theirs.wire.writes), len(mine.wire.writes)) == (2, 1)
        assert mine.wire.sent == theirs.wire.sent

    async def test_nothing_before_the_body(self) -> None:
        made, wire = await connect(Http, None)
        sending = asyncio.Event()

        async def app(scope: Any, receive: Any, send: Any) -> None:
            await send(start())
            await sending.wait()
            await send(OK)

        made.app = app
        made.data_received(GET)
        await turns()
        assert wire.sent == b""
        sending.set()
        await turns()
        assert wire.sent.endswith(b"content-length: 2\r\n\r\nok")

    async def test_full_between_head_and_body(self) -> None:
        """The head comes first, though the body waits."""
        made, wire = await connect(Http, None)

        async def app(scope: Any, receive: Any, send: Any) -> None:
            await send(start())
            made.pause_writing()
            await send(OK)

        made.app = app
        made.data_received(GET)
        await turns()
        assert wire.sent.endswith(b"content-length: 2\r\n\r\n")
        made.resume_writing()
        await turns()
        assert wire.sent.endswith(b"content-length: 2\r\n\r\nok")

    async def test_gone_between_head_and_body(self) -> None:
        made, wire = await connect(Http, None)

        async def app(scope: Any, receive: Any, send: Any) -> None:
            await send(start())
            made.connection_lost(None)
            await send(OK)

        made.app = app
        made.data_received(GET)
        await turns()
        assert wire.sent == b""

    async def test_a_big_body_is_not_copied(self) -> None:
        body = b"x" * (ours.LONGEST_JOINED + 1)
        length = (b"content-length", str(len(body)).encode())
        begun = {"type": START, "status": 200, "headers": [length]}
        mine = await answer(Http, begun, {"type": BODY, "body": body})
        assert mine.wire.writes[1] is body or mine.wire.writes[1] == body
        assert len(mine.wire.writes) == 2


class TestAnAppThatFails:
    """After the head, before the body: nothing was sent, so the client is told."""

    @pytest.mark.parametrize("end", [["raise"], []], ids=["raises", "returns"])
    async def test_500(self, end: list[str]) -> None:
        theirs = await answer(HttpToolsProtocol, start(), *end)
        mine = await answer(Http, start(), *end)
        assert theirs.wire.sent.endswith(b"content-length: 2\r\n\r\n")
        assert mine.wire.sent == GAVE_UP
        assert mine.wire.closed
        assert theirs.wire.closed

    async def test_after_the_first_of_the_body(self) -> None:
        part = {"type": BODY, "body": b"o", "more_body": True}
        mine = await answer(Http, start(), part, "raise")
        assert mine.wire.sent.endswith(b"\r\n\r\no")
        assert mine.wire.closed

    async def test_with_head_to_no_body(self) -> None:
        request = GET.replace(b"GET", b"HEAD")
        mine = await answer(Http, start(), "raise", request=request)
        assert mine.wire.sent == GAVE_UP_HEAD

    async def test_a_message_without_type(self) -> None:
        mine = await answer(Http, start(), {"body": b"ok"})
        theirs = await answer(HttpToolsProtocol, start(), {"body": b"ok"})
        assert mine.wire.sent == theirs.wire.sent != b""
        assert mine.errors == theirs.errors == ["KeyError('type')"]

    async def test_who_sends_after_the_app_returned(self) -> None:
        """Its connection is closing: uvicorn drops what it says, and so do we."""
        for protocol in (HttpToolsProtocol, Http):
            later: list[Any] = []

            async def app(scope: Any, receive: Any, send: Any, later: Any = later) -> int:
                later.append(send)
                return 1

            made, wire = await connect(protocol, app)
            made.data_received(GET)
            await turns()
            await later[0](start())
            assert wire.sent == b""


class TestBounds:
    async def test_a_head_too_large(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("authward.uvicorn.LINGER_S", 0)
        made, wire = await connect(Http, None)
        made.data_received(b"GET / HTTP/1.1\r\n")
        for _ in range((MAX_HEAD + PIECE) // 1024 + 1):
            if not wire.closed:
                made.data_received(b"x: " + b"a" * 1019 + b"\r\n")
        assert wire.sent.startswith(b"HTTP/1.1 400 ")
        assert wire.sent.endswith(b"Request head too large.")
        await asyncio.sleep(0.001)
        assert wire.closed

    async def test_who_does_not_hear_a_refusal(self) -> None:
        """Some of what it says is thrown away, so that it can; not without end."""
        made, wire = await connect(Http, None)
        made.data_received(b"CONNECT a:80 HTTP/1.1\r\n\r\n")
        sent = wire.sent
        assert sent.startswith(b"HTTP/1.1 400 ")
        for _ in range(16):
            assert not wire.closed
            made.data_received(b"x" * MAX_HEAD)
        assert wire.closed
        assert wire.sent == sent

    async def test_what_comes_while_it_holds_back(self) -> None:
        """A transport may have read more before it heard that it should not: nothing is lost."""
        opened = asyncio.Event()

        async def app(scope: Any, receive: Any, send: Any) -> None:
            await opened.wait()
            await send(start())
            await send(OK)

        made, wire = await connect(Http, app)
        for _ in range(3):
            made.data_received(GET * 500)
        await turns()
        assert MOST_WAITING <= len(made.pipeline) <= MOST_WAITING + PIECE // len(GET)
        opened.set()
        while wire.sent.count(b"HTTP/1.1 200 OK") < 1500:
            await turns()
        assert not wire.closed

    async def test_who_leaves_while_it_holds_back(self) -> None:
        made, wire = await connect(Http, _answers)
        made.data_received(GET * 5000)
        await turns()
        made.connection_lost(None)
        await turns()
        sent = wire.sent
        await turns()
        assert wire.sent == sent
        assert 0 < sent.count(b"HTTP/1.1 200 OK") < 5000

    async def test_trailers_join_no_headers_and_end(self) -> None:
        scopes: list[Any] = []

        async def app(scope: Any, receive: Any, send: Any) -> None:
            scopes.append(scope)
            await asyncio.Event().wait()

        made, wire = await connect(Http, app)
        head = b"POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n"
        made.data_received(head + b"1\r\nx\r\n0\r\n")
        for number in range(20_000):
            if not wire.closed:
                made.data_received(b"authorization: %d\r\n" % number)
        await turns()
        assert [name for name, _ in scopes[0]["headers"]] == [b"host", b"transfer-encoding"]
        assert wire.closed
        assert number * 10 > MAX_HEAD
        for task in made.tasks.copy():
            task.cancel()
        await turns()

    async def test_tiny_chunks(self) -> None:
        """Six bytes of framing for each of the body: the connection ends long before the memory."""
        made, wire = await connect(Http, _unanswered)
        made.data_received(b"POST / HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\n")
        sent = 0
        while not wire.closed and sent < 10 * MAX_HEAD:
            made.data_received(b"1\r\nx\r\n" * 100)
            sent += 600
        assert wire.closed
        assert sent <= 2 * MAX_HEAD
        for task in made.tasks.copy():
            task.cancel()
        await turns()


class TestExpect:
    """A client that waits to be asked for its body."""

    HEAD = b"POST / HTTP/1.1\r\nexpect: 100-continue\r\ncontent-length: 3\r\n\r\n"

    @pytest.mark.parametrize(
        ("chunks", "steps"),
        [
            ([HEAD, b"xyz", GET], ["receive", start, lambda: OK]),
            ([HEAD + b"xyz", GET], ["receive", start, lambda: OK]),
            ([HEAD + b"xyz", GET], [start, lambda: OK]),
        ],
    )
    async def test_asked_or_sent_already(self, chunks: list[bytes], steps: list[Any]) -> None:
        """The same as of uvicorn: 100 first if it is asked for, and the connection goes on."""
        theirs, mine = [
            await converse(one, chunks, [Script(steps, False)], 1 << 30, False)
            for one in (HttpToolsProtocol, Http)
        ]
        assert mine.wire.sent == theirs.wire.sent
        assert mine.wire.sent.count(b"HTTP/1.1 200 OK") == 2
        assert not mine.wire.closed


class TestUpgrade:
    """What asks to become a WebSocket stays that, whatever its chunks and trailers say."""

    HEAD = (
        b"GET / HTTP/1.1\r\nhost: a\r\nconnection: upgrade\r\nupgrade: %b\r\n"
        b"transfer-encoding: chunked\r\n\r\n3\r\nxyz\r\n0\r\n"
    )

    async def test_its_chunks_reach_no_other_request(self) -> None:
        received: list[Any] = []

        async def app(scope: Any, receive: Any, send: Any) -> None:
            await asyncio.sleep(0)
            received.append(await receive())
            await asyncio.Event().wait()

        made, _ = await connect(Http, app)
        made.ws_protocol_class = _NoSocket
        made.data_received(GET + self.HEAD % b"websocket" + b"\r\n")
        await turns()
        assert received == [{"type": "http.request", "body": b"", "more_body": False}]
        for task in made.tasks.copy():
            task.cancel()
        await turns()

    async def test_a_trailer_upgrades_nothing(self) -> None:
        """Its app would wait for the end of the body for ever."""
        received: list[Any] = []

        async def app(scope: Any, receive: Any, send: Any) -> None:
            while (message := await receive())["more_body"]:
                pass
            received.append(message)
            await send(start())
            await send(OK)

        made, wire = await connect(Http, app)
        made.ws_protocol_class = _NoSocket
        trailers = b"connection: upgrade\r\nupgrade: websocket\r\n\r\n"
        made.data_received(self.HEAD % b"h2c" + trailers)
        await turns()
        assert len(received) == 1
        assert wire.sent.endswith(b"ok")


async def test_without_a_library_for_websockets(caplog: pytest.LogCaptureFixture) -> None:
    """Whoever runs the server is told, as by uvicorn."""
    logging.getLogger("uvicorn.error").disabled = False
    made, wire = await connect(Http, _answers)
    made.data_received(TestUpgrade.HEAD % b"websocket" + b"\r\n")
    await turns()
    assert wire.sent.endswith(b"ok")
    assert "No supported WebSocket library detected" in caplog.text


class _NoSocket:
    """A WebSocket protocol that says nothing."""

    def __init__(self, **_: Any) -> None: ...

    def connection_made(self, transport: Any) -> None: ...

    def data_received(self, data: bytes) -> None: ...


async def _answers(scope: Any, receive: Any, send: Any) -> None:
    await send(start())
    await send(OK)


async def _unanswered(scope: Any, receive: Any, send: Any) -> None:
    await asyncio.Event().wait()


def test_what_we_borrow_is_still_there() -> None:
    """uvicorn makes its cycles of a global of one function. If that changes, ours are not made."""
    code = HttpToolsProtocol.on_headers_complete.__code__
    assert "RequestResponseCycle" in code.co_names
    assert code.co_freevars == ()
    assert HttpToolsProtocol.on_headers_complete.__defaults__ is None
    for asks in ("on_headers_complete", "on_body", "on_message_complete"):
        names = getattr(HttpToolsProtocol, asks).__code__.co_names
        assert {"should_upgrade", "_should_upgrade"} <= set(names)
    assert "read_paused" in FlowControl.resume_reading.__code__.co_names
    assert issubclass(ours.Cycle, httptools_impl.RequestResponseCycle)


async def test_servers_share_nothing() -> None:
    one, _ = await connect(Http, None)
    same, _ = await connect(Http, None, state=one.server_state)
    other, _ = await connect(Http, None)
    assert one._lines is same._lines
    assert one._lines is not other._lines
