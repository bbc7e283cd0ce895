"""Small bodies that cost much: nested, wide, disguised, without an end.

CWE-400, CWE-674, RFC 8259 section 9; jackson-databind CVE-2020-36518 (nesting), Starlette
CVE-2024-47874 (fields without an end). Each bomb is one: a parser without bounds takes it.
"""

import json
import tracemalloc
from typing import Any
from urllib.parse import parse_qsl

import pytest
from starlette.types import Message, Receive, Scope, Send

from authward.core.bodies import JsonScan
from authward.middleware.body import BodyLimit
from tests.middleware.driving import Answer, Header, drive, http_scope

CHUNKED: Header = (b"transfer-encoding", b"chunked")
TOO_LARGE, MALFORMED = (413, "payload_too_large"), (400, "malformed_request")
DEEP = b"[" * 500 + b"]" * 500


async def parsing(scope: Scope, receive: Receive, send: Send) -> None:
    """Reads a body as frameworks do: whole, by json.loads, or as a form."""
    body = b""
    more = True
    while more:
        message = await receive()
        body += message.get("body", b"")
        more = message.get("more_body", False)
    kind = dict(scope["headers"])[b"content-type"]
    found: Any = parse_qsl(body.decode()) if b"form" in kind else json.loads(body)
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": str(len(str(found))).encode()})


async def sent(body: bytes, kind: bytes, *headers: Header) -> tuple[int, str]:
    scope = http_scope("POST", headers=[(b"content-type", kind), CHUNKED, *headers])
    answer = await drive(BodyLimit(parsing), scope, [body])
    return answer.status, answer.error


BOMBS: dict[str, tuple[bytes, tuple[int, str]]] = {
    "nested": (DEEP, MALFORMED),
    "nested objects": (b'{"a":' * 500 + b"1" + b"}" * 500, MALFORMED),
    "nested, behind a string that ends in a backslash": (b'["\\\\",' + DEEP + b"]", MALFORMED),
    "nested, behind an escaped quote": (b'["\\"",' + DEEP + b"]", MALFORMED),
    "nested, behind an escape of a quote": (b'["\\u0022",' + DEEP + b"]", MALFORMED),
    "nested, behind much": (b"[" + b'"' + b"x" * 100_000 + b'",' + DEEP + b"]", MALFORMED),
    "nested, after a mark of its encoding": (b"\xef\xbb\xbf" + DEEP, MALFORMED),
    "nested, in UTF-16": (('["∀",' + DEEP.decode() + "]").encode("utf-16"), MALFORMED),
    "wide": (b"[" + b"1," * 20_000 + b"1]", TOO_LARGE),
    "wide, of nothing": (b"[" + b"[]," * 20_000 + b"[]]", TOO_LARGE),
    "many keys": (json.dumps({str(n): 1 for n in range(20_000)}).encode(), TOO_LARGE),
    "large": (b'"' + b"x" * 1_048_576 + b'"', TOO_LARGE),
}


@pytest.mark.parametrize("name", BOMBS)
@pytest.mark.parametrize(
    "kind", [b"application/json", b"application/vnd.api+json", b"Text/JSON; charset=utf-16"]
)
async def test_json_is_defused(name: str, kind: bytes):
    body, expected = BOMBS[name]
    loaded = json.loads(body)
    assert isinstance(loaded, list | dict | str)
    assert await sent(body, kind) == expected
    # A claim that it is packed is not believed: an app that ignores it reads what is there.
    assert await sent(body, kind, (b"content-encoding", b"gzip")) == expected


@pytest.mark.parametrize(
    "value",
    [
        "[" * 5_000 + "{" * 5_000,
        "]" * 5_000,
        '"' * 5_000,
        "\\" * 5_001,
        '\\"[' * 5_000,
        "," * 50_000,
        {"a": [{"b": "[[[[" * 100}] * 100},
    ],
    ids=lambda value: str(value)[:12],
)
async def test_and_what_only_looks_like_it_is_let_pass(value: Any):
    for body in (json.dumps(value), json.dumps([value], indent=1)):
        assert await sent(body.encode(), b"application/json") == (200, "")


async def test_a_form_of_many_fields_is_defused():
    form = b"application/x-www-form-urlencoded"
    body = b"&".join(b"a%d=1" % n for n in range(20_000))
    assert len(parse_qsl(body.decode())) == 20_000
    assert await sent(body, form) == TOO_LARGE
    assert await sent(body[:5_000], form) == (200, "")


@pytest.mark.parametrize("kind", [b"application/json", b"text/plain"])
async def test_a_hundred_megabytes_take_no_more_memory_than_one(kind: bytes):
    answer = Answer()

    async def receive() -> Message:
        answer.received += 1
        chunk = b"[" + b" " * 65_535
        return {"type": "http.request", "body": chunk, "more_body": answer.received < 2_000}

    async def send(message: Message) -> None:
        answer.messages.append(message)

    tracemalloc.start()
    try:
        scope = http_scope("POST", headers=[(b"content-type", kind), CHUNKED])
        await BodyLimit(parsing)(scope, receive, send)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert (answer.status, answer.error) == TOO_LARGE
    assert peak < 4 * 1024 * 1024


def test_a_megabyte_of_quotes_takes_less_memory_than_itself():
    """Cut at its quotes all at once it would be half a million pieces."""
    body = b"[" + b'",",' * 250_000 + b'""]'
    scan = JsonScan(depth=64, fields=None)
    tracemalloc.start()
    try:
        scan.feed(body)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < len(body)
