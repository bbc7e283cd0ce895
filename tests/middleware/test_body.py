"""Bodies within bounds around any ASGI app, as they stream; and over real sockets."""

import asyncio
import json
import logging
from typing import Any

import httpx2
import pytest
from fastapi import FastAPI
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Mount, Route
from starlette.testclient import TestClient
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from authward.core.bodies import BodyCaps
from authward.errors import ConfigurationError, PayloadTooLarge
from authward.middleware.body import BodyLimit, bounded
from authward.testing import TurnableClock
from tests.http.serving import served
from tests.middleware.driving import GONE, STALLED, Answer, Header, drive, http_scope
from tests.pages import examples

PAGE = examples("docs/bodies.md")
CHUNKED: Header = (b"transfer-encoding", b"chunked")
JSON: Header = (b"content-type", b"application/json")
FORM: Header = (b"content-type", b"application/x-www-form-urlencoded")
TOO_LARGE, MALFORMED = (413, "payload_too_large"), (400, "malformed_request")


async def echo(scope: Scope, receive: Receive, send: Send) -> None:
    body = b""
    more = True
    while more:
        message = await receive()
        body += message.get("body", b"")
        more = message.get("more_body", False)
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": body})


async def never(scope: Scope, receive: Receive, send: Send) -> None:
    raise AssertionError("reached")


def page() -> Starlette:
    """The same as an app of a framework."""

    async def plain(request: Request) -> Response:
        return Response(await request.body())

    return Starlette(routes=[Route("/", plain, methods=["POST"])])


def length(size: int) -> Header:
    return b"content-length", str(size).encode()


async def post(app: ASGIApp, *chunks: Any, headers: Any = (CHUNKED,), path: str = "/") -> Answer:
    return await drive(app, http_scope("POST", path, headers), chunks)


def outcome(answer: Answer) -> tuple[int, str]:
    return answer.status, answer.error


# --- bytes --------------------------------------------------------------------------------------


@pytest.mark.parametrize("pieces", [1, 2, 100])
async def test_a_body_of_the_limit_passes_and_one_byte_more_does_not(pieces: int):
    app = BodyLimit(echo, bytes=1000)
    chunks = [b"x" * (1000 // pieces)] * pieces
    passes = await post(app, *chunks)
    assert (passes.status, passes.body) == (200, b"x" * 1000)
    assert outcome(await post(app, *chunks, b"y")) == TOO_LARGE


async def test_the_default_is_a_mebibyte():
    app = BodyLimit(echo)
    assert (await post(app, b"x" * 1_048_576)).status == 200
    assert outcome(await post(app, b"x" * 1_048_577)) == TOO_LARGE


async def test_what_is_declared_too_long_is_not_read_and_the_app_not_asked():
    sent: list[str] = []

    async def receive() -> Message:
        # Whatever is read of it comes after the answer, and is thrown away.
        assert sent == ["http.response.start", "http.response.body"]
        return {"type": "http.request", "body": b"x" * 2000, "more_body": False}

    async def send(message: Message) -> None:
        sent.append(message["type"])

    app = BodyLimit(never, bytes=1000)
    await app(http_scope("POST", headers=[length(1001)]), receive, send)
    assert outcome(await post(app, b"", headers=[length(1001)])) == TOO_LARGE
    assert outcome(await post(app, b"", headers=[(b"content-length", b"9" * 5000)])) == TOO_LARGE


@pytest.mark.parametrize(
    "headers",
    [[length(5), length(5)], [length(5), CHUNKED], [(b"content-length", b"-5")]],
    ids=str,
)
async def test_a_length_that_is_none_is_malformed(headers: list[Header]):
    assert outcome(await post(BodyLimit(never), b"hello", headers=headers)) == MALFORMED


async def test_a_length_that_lies_is_counted_all_the_same():
    answer = await post(BodyLimit(echo, bytes=1000), b"x" * 1001, headers=[length(5)])
    assert outcome(answer) == TOO_LARGE


async def test_the_app_gets_each_chunk_before_the_next_is_read():
    """Nothing is held back: what is within the limit was seen, what is past it was not."""
    seen: list[int] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        while (message := await receive())["more_body"]:
            seen.append(len(message["body"]))

    answer = await post(BodyLimit(app, bytes=1000), *[b"x" * 400] * 9)
    assert outcome(answer) == TOO_LARGE
    assert seen == [400, 400]


@pytest.mark.parametrize("method", ["GET", "HEAD", "POST", "DELETE"])
@pytest.mark.parametrize("headers", [[], [length(0)], [JSON]], ids=str)
async def test_without_a_body_nothing_stands_between(method: str, headers: list[Header]):
    seen: list[Any] = []

    async def app(*given: Any) -> None:
        seen.extend(given)

    async def receive() -> Message:
        return {}

    async def send(message: Message) -> None: ...

    scope = http_scope(method, headers=headers)
    await BodyLimit(app, bytes=0)(scope, receive, send)
    assert [seen[0] is scope, seen[1] is receive, seen[2] is send] == [True] * 3


@pytest.mark.parametrize("version", ["2", "3"])
@pytest.mark.parametrize("method", ["GET", "POST"])
async def test_since_http_2_a_body_comes_unannounced(version: str, method: str):
    scope = http_scope(method, http_version=version)
    answer = await drive(BodyLimit(echo, bytes=10), scope, [b"x" * 11])
    assert outcome(answer) == TOO_LARGE
    # RFC 9113 section 8.2.2
    assert answer.header(b"connection") == []


async def test_other_scopes_pass():
    seen: list[str] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        seen.append(scope["type"])

    for kind in ("lifespan", "websocket", "strange"):
        await drive(BodyLimit(app), {"type": kind})
    assert seen == ["lifespan", "websocket", "strange"]


# --- whose answer -------------------------------------------------------------------------------


async def test_an_app_that_swallows_it_does_not_have_the_last_word():
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await echo(scope, receive, send)
        except Exception:
            await PlainTextResponse("fine", 200)(scope, receive, send)

    answer = await post(BodyLimit(app, bytes=10), b"x" * 11)
    assert outcome(answer) == TOO_LARGE
    assert answer.header(b"connection") == [b"close"]
    assert [message["type"] for message in answer.messages].count("http.response.start") == 1


async def test_nor_does_one_that_makes_another_error_of_it(caplog: pytest.LogCaptureFixture):
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await receive()
        except Exception as error:
            raise ValueError("bad body") from error

    with caplog.at_level(logging.DEBUG, "authward"):
        assert outcome(await post(BodyLimit(app, bytes=10), b"x" * 11)) == TOO_LARGE
    assert "ValueError: bad body" in caplog.text


async def test_nor_does_one_that_reads_on_or_says_nothing():
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        for _ in range(3):
            with pytest.raises(PayloadTooLarge):
                await receive()

    answer = await post(BodyLimit(app, bytes=10), b"x" * 11, b"y")
    assert outcome(answer) == TOO_LARGE


async def test_an_answer_that_has_begun_is_broken_off():
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await echo(scope, receive, send)

    with pytest.raises(PayloadTooLarge) as caught:
        await post(BodyLimit(app, bytes=10), b"x" * 11)
    [start] = caught.value.answer.messages  # type: ignore[attr-defined]
    assert start["status"] == 200


async def test_one_that_ends_its_begun_answer_may():
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        with pytest.raises(PayloadTooLarge):
            await receive()
        await send({"type": "http.response.body", "body": b"enough"})

    answer = await post(BodyLimit(app, bytes=10), b"x" * 11)
    assert (answer.status, answer.body) == (200, b"enough")


async def test_what_the_app_raises_of_itself_is_raised():
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await receive()
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await post(BodyLimit(app), b"x")


async def test_an_app_that_does_not_read_may_answer():
    app = BodyLimit(PlainTextResponse("not read"), bytes=10)
    assert (await post(app, b"x" * 11)).body == b"not read"


async def test_a_client_that_goes_away_is_the_apps_to_handle():
    seen: list[Message] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        seen.extend([await receive(), await receive(), await receive()])

    await post(BodyLimit(app), b"x", GONE)
    assert [message["type"] for message in seen] == [
        "http.request",
        "http.disconnect",
        "http.disconnect",
    ]


async def test_it_is_an_envelope_at_the_time_of_the_clock():
    clock = TurnableClock()
    clock.turn(-clock.now())
    answer = await post(BodyLimit(echo, bytes=1, clock=clock), b"xx", path="/a")
    assert json.loads(answer.body) == {
        "statusCode": 413,
        "message": "The request body is too large",
        "error": "payload_too_large",
        "path": "/a",
        "timestamp": json.loads(answer.body)["timestamp"],
    }
    assert json.loads(answer.body)["timestamp"].startswith("1970-01-01T00:00:0")


async def test_frameworks_do_not_hide_it():
    fast = FastAPI(telemetry={"tracing": False, "metrics": False, "logs": False})

    @fast.post("/")
    async def take(body: dict[str, Any]) -> dict[str, Any]:
        return body

    for app in (fast, page()):
        transport = httpx2.ASGITransport(BodyLimit(app, bytes=100, json_depth=3))
        async with httpx2.AsyncClient(transport=transport, base_url="http://localhost") as client:
            assert (await client.post("/", json={"a": [1]})).json() == {"a": [1]}
            large = await client.post("/", json={"a": "x" * 100})
            assert (large.status_code, large.json()["error"]) == TOO_LARGE
            deep = await client.post("/", json={"a": [[[1]]]})
            assert (deep.status_code, deep.json()["error"]) == MALFORMED


# --- what is in it ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kind", "body", "expected"),
    [
        (JSON, b"[" * 4 + b"]" * 4, (200, "")),
        (JSON, b"[" * 5 + b"]" * 5, MALFORMED),
        (JSON, b'"' + b"[" * 500 + b'"', (200, "")),
        (JSON, b"[1,2,3,4,5,6]", (200, "")),
        (JSON, b"[1,2,3,4,5,6,7]", TOO_LARGE),
        (JSON, b"\0", MALFORMED),
        (FORM, b"a=1&" * 5 + b"a=1", (200, "")),
        (FORM, b"a=1&" * 6 + b"a=1", TOO_LARGE),
        (FORM, b"[" * 500, (200, "")),
        ((b"content-type", b"text/plain"), b"[" * 500, (200, "")),
    ],
    ids=str,
)
async def test_json_and_forms_are_followed(kind: Header, body: bytes, expected: tuple[int, str]):
    app = BodyLimit(echo, json_depth=4, fields=6)
    for chunks in ([body], [body[at : at + 3] for at in range(0, len(body), 3)]):
        answer = await post(app, *chunks, headers=[CHUNKED, kind])
        assert outcome(answer) == expected
        if not answer.error:
            assert answer.body == body


async def test_the_defaults_of_what_is_in_it():
    app = BodyLimit(echo)
    for body, expected in [
        (b"[" * 64 + b"]" * 64, (200, "")),
        (b"[" * 65 + b"]" * 65, MALFORMED),
        (b"[" + b"1," * 9_999 + b"1]", (200, "")),
        (b"[" + b"1," * 10_000 + b"1]", TOO_LARGE),
    ]:
        assert outcome(await post(app, body, headers=[CHUNKED, JSON])) == expected


async def test_none_is_no_limit():
    app = BodyLimit(echo, json_depth=None, fields=None, seconds=None)
    body = b"[" * 100_000 + b"\0"
    assert (await post(app, body, headers=[CHUNKED, JSON])).body == body


# --- time ---------------------------------------------------------------------------------------


async def test_a_client_that_stalls_is_let_go(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("authward.middleware.body.LINGER_S", 0.02)
    app = BodyLimit(echo, seconds=0.02)
    answer = await post(app, b"x", STALLED)
    assert outcome(answer) == MALFORMED
    assert json.loads(answer.body)["message"] == "The body came too slowly"
    assert answer.header(b"connection") == [b"close"]


async def test_one_that_dribbles_is_let_go_and_one_at_the_rate_is_not():
    async def dribble(app: ASGIApp, size: int) -> Answer:
        answer = Answer()
        left = [b"x" * size] * 20

        async def receive() -> Message:
            if len(left) < 20:
                await asyncio.sleep(0.005)
            return {"type": "http.request", "body": left.pop(), "more_body": bool(left)}

        async def send(message: Message) -> None:
            answer.messages.append(message)

        await app(http_scope("POST", headers=[CHUNKED]), receive, send)
        return answer

    # Nineteen times 5 ms are more than 50 ms, unless each chunk earns more: seconds, as a busy
    # machine may make of 5 ms what it likes.
    assert outcome(await dribble(BodyLimit(echo, seconds=0.05, rate=1000), 1)) == MALFORMED
    assert outcome(await dribble(BodyLimit(echo, seconds=0.05, rate=10), 50)) == (200, "")


async def test_only_waiting_counts_not_what_the_app_does_between():
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        for _ in range(3):
            await receive()
            await asyncio.sleep(0.03)
        await PlainTextResponse("read")(scope, receive, send)

    answer = await post(BodyLimit(app, seconds=0.05), b"x", b"x", b"x")
    assert answer.body == b"read"


async def test_after_its_end_there_is_nothing_to_hurry_for():
    """Apps wait for a disconnect as long as their answer takes."""
    gone = asyncio.Event()

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await receive()
        asyncio.get_running_loop().call_later(0.05, gone.set)
        await receive()
        await PlainTextResponse("still here")(scope, receive, send)

    answer = Answer()
    messages = [{"type": "http.request", "body": b"x"}]

    async def receive() -> Message:
        if messages:
            return messages.pop()
        await gone.wait()
        return {"type": "http.disconnect"}

    async def send(message: Message) -> None:
        answer.messages.append(message)

    await BodyLimit(app, seconds=0.01)(http_scope("POST", headers=[CHUNKED]), receive, send)
    assert answer.body == b"still here"


async def test_time_outs_of_others_are_theirs():
    async def receive() -> Message:
        raise TimeoutError("the server's own")

    async def send(message: Message) -> None:
        raise AssertionError(message)

    with pytest.raises(TimeoutError, match="the server's own"):
        await BodyLimit(echo)(http_scope("POST", headers=[CHUNKED]), receive, send)

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.01):
                await receive()
        await PlainTextResponse("gave up")(scope, receive, send)

    assert (await post(BodyLimit(app, seconds=5), STALLED)).body == b"gave up"


# --- options ------------------------------------------------------------------------------------


async def test_paths_differ_in_what_they_name():
    app = BodyLimit(
        echo,
        bytes=10,
        json_depth=2,
        paths={"/upload/*": {"bytes": 100}, "/tree": {"json_depth": 9}, "/none": {"bytes": 0}},
    )

    async def at(path: str, body: bytes) -> tuple[int, str]:
        return outcome(await post(app, body, headers=[CHUNKED, JSON], path=path))

    assert await at("/", b"x" * 11) == TOO_LARGE
    assert await at("/upload/a", b"x" * 100) == (200, "")
    assert await at("/upload/a", b"x" * 101) == TOO_LARGE
    assert await at("/upload/a", b"[[[]]]") == MALFORMED
    assert await at("/tree", b"[[[]]]") == (200, "")
    assert await at("/tree", b"x" * 11) == TOO_LARGE
    assert await at("/none", b"x") == TOO_LARGE
    # A slash at the end makes another path.
    assert await at("/tree/", b"[[[]]]") == MALFORMED


@pytest.mark.parametrize("root_path", ["", "/v1"])
def test_paths_in_a_mounted_app(root_path: str):
    inner = page()
    inner.add_middleware(BodyLimit, bytes=100, paths={"/": {"bytes": 10}})
    client = TestClient(Starlette(routes=[Mount("/inner", inner)]), root_path=root_path)
    answers = [client.post(f"{root_path}/inner/", content=b"x" * size) for size in (10, 11)]
    assert [one.status_code for one in answers] == [200, 413]


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"bytes": "1MB"}, "bytes: '1MB' is not a whole number"),
        ({"json_depth": 0}, "json_depth: 0"),
        ({"fields": -1}, "fields: -1"),
        ({"seconds": 0}, "seconds: 0 is no time to wait"),
        ({"rate": 0}, "rate: 0"),
        ({"paths": {"upload": {"bytes": 1}}}, "paths: .*Did you mean '/upload'"),
        ({"paths": ["/a"]}, "paths: .* says no bounds. Write {'/upload"),
        ({"paths": {"/a": 5}}, "paths: '/a' has 5, which is no bounds. Write {'bytes'"),
        ({"paths": {"/a": {"size": 1}}}, "paths: '/a' has 'size'. Known are bytes, json_depth"),
        ({"paths": {"/a": {"bytes": -1}}}, "paths: '/a': bytes: -1"),
    ],
)
def test_options_that_make_no_sense_start_nothing(options: dict[str, Any], text: str):
    with pytest.raises(ConfigurationError, match=text):
        BodyLimit(echo, **options)


async def test_the_same_without_a_class_of_its_own():
    caps = BodyCaps(most=10)

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await bounded(echo, scope, receive, send, caps, TurnableClock())

    assert (await post(app, b"x" * 10)).body == b"x" * 10
    assert outcome(await post(app, b"x" * 11)) == TOO_LARGE


async def test_the_example_of_its_page_runs():
    names: dict[str, Any] = {"__name__": "pasted"}
    exec(PAGE["Bodies python"], names)
    transport = httpx2.ASGITransport(names["app"])
    async with httpx2.AsyncClient(transport=transport, base_url="http://localhost") as client:
        assert (await client.post("/notes", json=["a"])).json() == ["a"]
        assert (await client.post("/notes", json=["a" * 64 * 1024])).status_code == 413


# --- over a socket ------------------------------------------------------------------------------


async def exchange(url: str, *parts: bytes) -> bytes:
    """Write it all, whatever comes back in between; then read to the end of the connection."""
    address = httpx2.URL(url)
    reader, writer = await asyncio.open_connection(address.host, address.port)
    for part in parts:
        writer.write(part)
        await writer.drain()
    answer = await reader.read()
    writer.close()
    await writer.wait_closed()
    return answer


def head(*headers: str) -> bytes:
    return "\r\n".join(["POST / HTTP/1.1", "Host: localhost", *headers, "", ""]).encode()


async def test_who_writes_all_before_reading_still_reads_the_answer():
    """A connection closed over unread bytes is reset, and the answer lost."""
    size = 4 * 1024 * 1024
    with served(BodyLimit(page(), bytes=1000)) as url:
        declared = await exchange(url, head(f"Content-Length: {size}"), b"x" * size)
        chunk = b"%x\r\n" % 65536 + b"x" * 65536 + b"\r\n"
        chunked = await exchange(
            url, head("Transfer-Encoding: chunked"), *[chunk] * 64, b"0\r\n\r\n"
        )
    for answer in (declared, chunked):
        first, _, envelope = answer.partition(b"\r\n\r\n")
        assert first.startswith(b"HTTP/1.1 413 ")
        assert b"connection: close" in first
        assert json.loads(envelope)["error"] == "payload_too_large"


async def test_who_asks_before_sending_is_spared_the_sending(monkeypatch: pytest.MonkeyPatch):
    """RFC 9110 section 10.1.1"""
    monkeypatch.setattr("authward.middleware.body.LINGER_S", 0.02)
    with served(BodyLimit(page(), bytes=1000)) as url:
        answer = await exchange(url, head("Content-Length: 5000", "Expect: 100-continue"))
        assert answer.startswith(b"HTTP/1.1 413 ")
        assert b"100 Continue" not in answer
        within = await exchange(
            url, head("Content-Length: 5", "Expect: 100-continue", "Connection: close"), b"hello"
        )
        assert within.startswith(b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK")
        assert within.endswith(b"hello")
