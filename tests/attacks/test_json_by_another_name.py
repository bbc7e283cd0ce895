"""JSON posted as a form or as plain text, which any page may send without asking first.

CVE-2021-32677 (FastAPI), ASVS 3.5.2; bodies that two parsers read differently: RFC 8259.
"""

from typing import Any

import pytest
from pydantic import BaseModel

from authward.errors import MalformedRequest, UnsupportedMediaType
from authward.http.parse import read_json


class Body(BaseModel):
    email: str


async def read(body: bytes, *content_types: bytes) -> Body:
    asked = 0

    async def receive() -> dict[str, Any]:
        nonlocal asked
        asked += 1
        return {"type": "http.request", "body": body, "more_body": False}

    headers = [(b"content-type", kind) for kind in content_types]
    try:
        return await read_json({"type": "http", "headers": headers}, receive, Body)
    except UnsupportedMediaType:
        assert asked == 0, "the body was read before its type was known"
        raise


GOOD = b'{"email":"ada@example.com"}'


@pytest.mark.parametrize(
    "kind",
    [
        b"application/json",
        b"APPLICATION/JSON",
        b" application/json ; charset=utf-8",
        b'application/json;charset="UTF-8"',
        b"application/merge-patch+json",
    ],
)
async def test_json_is_read(kind: bytes):
    assert (await read(GOOD, kind)).email == "ada@example.com"


@pytest.mark.parametrize(
    "kinds",
    [
        [],
        [b""],
        [b"text/plain"],
        [b"text/plain; charset=utf-8"],
        [b"application/x-www-form-urlencoded"],
        [b"multipart/form-data; boundary=application/json"],
        [b"text/plain; application/json"],
        [b"text/plain, application/json"],
        [b"text/plain", b"application/json"],
        [b"text/json"],
        [b"text/x+json"],
        [b"application/jsonp"],
        [b"application/json-seq"],
        [b"application/javascript"],
        [b"json"],
        [b"*/*"],
        [b"application/json; charset=utf-16"],
        [b"application/json; charset=latin-1"],
    ],
    ids=str,
)
async def test_nothing_else_is_even_looked_at(kinds: list[bytes]):
    with pytest.raises(UnsupportedMediaType):
        await read(GOOD, *kinds)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"email=ada",
        GOOD + GOOD,
        b"\xef\xbb\xbf" + GOOD,
        GOOD.decode().encode("utf-16"),
        b'{"email":"\xff"}',
        b'{"email":"a","email":"b"}',
        b'{"email":"a","x":{"y":1,"y":2}}',
        b'{"email":"a","n":NaN}',
        b'{"email":"a","n":-Infinity}',
        b'{"email":"a","n":' + b"9" * 5000 + b"}",
        b"[" * 16_000,
        b'{"a":' * 3_000,
    ],
    ids=lambda body: repr(body[:24]),
)
async def test_what_two_parsers_would_read_differently_is_malformed(body: bytes):
    with pytest.raises(MalformedRequest):
        await read(body, b"application/json")
