"""A claim written twice, and two parsers that disagree on which counts.

RFC 7519 section 4, RFC 8725 section 2.6.
"""

import json

import pytest

from tests.attacks.targets import Target
from tests.minting import Kind, compact, each_kind


@each_kind
def test_no_claim_may_be_written_twice(kind: Kind):
    for claim in kind.claims.__struct_fields__:
        value = json.dumps(getattr(kind.claims, claim))
        first = f'{{"{claim}":{value},'.encode() + kind.payload[1:]
        last = kind.payload[:-1] + f',"{claim}":{value}}}'.encode()
        for payload in (first, last):
            # The library under the wrapper, and json, both take it without a word.
            assert json.loads(payload)[claim] == json.loads(value)
            kind.refuses(kind.forge(payload=payload))


@each_kind
def test_nor_hidden_behind_an_escape(kind: Kind):
    payload = b'{"\\u0069ss":"https://evil.example",' + kind.payload[1:]
    assert json.loads(payload)["iss"] == kind.claims.iss
    kind.refuses(kind.forge(payload=payload))


@each_kind
@pytest.mark.parametrize(
    "spoil",
    [
        lambda text: text + b" ",
        lambda text: b"\n" + text,
        lambda text: text.replace(b",", b", "),
        lambda text: text.replace(b":", b": "),
        lambda text: text.replace(b"https", b"\\u0068ttps"),
        lambda text: text.replace(b"/", b"\\/"),
        lambda text: b"\xef\xbb\xbf" + text,
        lambda text: text + text,
        lambda text: text + b"\0",
        lambda text: text.decode().encode("utf-16"),
        lambda text: b"{" + b",".join(reversed(text[1:-1].split(b","))) + b"}",
    ],
    ids=[
        *("space after", "newline before", "spaces", "more spaces", "escape", "escaped slash"),
        *("byte order mark", "twice", "NUL", "UTF-16", "another order"),
    ],
)
def test_the_same_claims_in_other_bytes_are_refused(kind: Kind, spoil):
    payload = spoil(kind.payload)
    assert payload != kind.payload
    kind.refuses(kind.forge(payload=payload))


async def test_no_running_server_chooses_between_two(target: Target):
    tokens = {}
    for claim, value in target.claims.items():
        once = f'"{claim}":{json.dumps(value)}'.encode()
        assert once in target.payload
        for other in (value, "admin", 2**31):
            more = f'"{claim}":{json.dumps(other)}'.encode()
            first, last = b"{" + more + b"," + target.payload[1:], target.payload[:-1] + b"," + more
            tokens[f"{claim} {other}, first"] = target.forge(payload=first)
            tokens[f"{claim} {other}, last"] = target.forge(payload=last + b"}")
    head = compact(target.header)
    for name in target.header:
        for other in (target.header[name], "none"):
            more = f'"{name}":{json.dumps(other)}'.encode()
            tokens[f"{name} {other}, first"] = target.forge(header=b"{" + more + b"," + head[1:])
            tokens[f"{name} {other}, last"] = target.forge(header=head[:-1] + b"," + more + b"}")
    await target.refuses(tokens)
