"""The same header in other bytes, a door for every difference between parsers.

RFC 8725 sections 2.6 and 3.7.
"""

import json

import pytest

from tests.attacks.targets import Target
from tests.minting import Kind, b64, compact, each_kind


def spellings(header):
    text = compact(header)
    items = list(header.items())
    yield "another order", compact(dict(reversed(items)))
    yield "spaces", json.dumps(header).encode()
    yield "indented", json.dumps(header, indent=2).encode()
    yield "newline before", b"\n" + text
    yield "newline after", text + b"\n"
    yield "tab inside", text.replace(b",", b",\t")
    yield "byte order mark", b"\xef\xbb\xbf" + text
    yield "escaped", text.replace(b"HS256", b"\\u0048S256")
    yield "UTF-16", text.decode().encode("utf-16")
    yield "alg twice", b'{"alg":"none",' + text[1:]
    yield "alg twice, the other last", text[:-1] + b',"alg":"none"}'
    yield "kid twice", text[:-1] + b',"kid":"b"}'
    yield "typ twice", b'{"typ":"JWT",' + text[1:]
    yield "trailing text", text + b"{}"
    yield "NUL after", text + b"\0"
    yield "list", b"[" + text + b"]"
    yield "string", json.dumps(text.decode()).encode()
    yield "ALG", text.replace(b'"alg"', b'"ALG"')


@each_kind
def test_every_other_spelling_is_refused_though_we_signed_it(kind: Kind):
    seen = 0
    for name, header in spellings(kind.header):
        assert kind.refuses(kind.forge(header=header)), name
        seen += 1
    assert seen == 18


@each_kind
@pytest.mark.parametrize(
    "header",
    [b"", b"null", b"true", b"0", b"{", b'{"alg":', b"[" * 50_000, b'{"a":' * 50_000, b"\xff\xfe"],
    ids=lambda header: repr(header[:12]),
)
def test_what_is_no_header_is_refused(kind: Kind, header: bytes):
    kind.refuses(kind.forge(header=header))


@each_kind
def test_the_header_of_one_token_does_not_carry_another(kind: Kind):
    _, payload, signature = kind.token.split(".")
    for head in ("e30", b64(b'{"alg":"HS256"}'), kind.token.split(".")[0].swapcase()):
        kind.refuses(f"{head}.{payload}.{signature}")


async def test_no_running_server_reads_another_spelling(target: Target):
    tokens = {name: target.forge(header=header) for name, header in spellings(target.header)}
    if target.key.algorithm != "HS256":
        assert tokens.pop("escaped") == target.forge() or target.key.algorithm == "ES256"
    await target.refuses(tokens)
