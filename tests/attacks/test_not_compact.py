"""Other serializations and stray characters around a good token.

RFC 7515 sections 2, 3.1 and 7.1.
"""

import json
import re

import pytest

from tests.attacks.targets import Target
from tests.minting import Kind, each_kind


def strays(token: str):
    head, payload, signature = token.split(".")
    yield ""
    yield "."
    yield ".."
    yield "..."
    yield head
    yield f"{head}.{payload}"
    yield f"{token}."
    yield f".{token}"
    yield f"{token}.{signature}"
    yield f"{head}..{signature}"
    yield f"{head}.{payload}.{signature}.{payload}.{signature}"
    yield json.dumps({"payload": payload, "protected": head, "signature": signature})
    yield json.dumps(
        {"payload": payload, "signatures": [{"protected": head, "signature": signature}]}
    )
    for stray in (" ", "\n", "\r\n", "\t", "\0", "=", "==", "\u200b", "\ud800", "\u00a0", "%00"):
        yield token + stray
        yield stray + token
        yield f"{head}{stray}.{payload}.{signature}"
        yield f"{head}.{payload[:5]}{stray}{payload[5:]}.{signature}"
        yield f"{head}.{payload}.{stray}{signature}"
    yield f"Bearer {token}"
    yield f'"{token}"'
    yield token.replace(".", "\uff0e")
    yield token.replace(".", "\u3002")
    yield token.replace("e", "\uff45")


@each_kind
def test_one_form_alone_is_read(kind: Kind):
    seen = 0
    for stray in strays(kind.token):
        kind.refuses(stray)
        seen += 1
    assert seen > 70


@each_kind
@pytest.mark.parametrize("stray", ["\n", "=", ".", " ", "\0", "é"], ids=ascii)
def test_and_that_is_seen_before_anything_is_decoded(kind: Kind, stray: str):
    assert kind.refuses(kind.token + stray) == "not compact JWS"


@each_kind
@pytest.mark.parametrize("part", [0, 1, 2])
def test_no_part_may_be_written_in_the_other_base64(kind: Kind, part: int):
    parts = kind.token.split(".")
    for old, new in (("-", "+"), ("_", "/")):
        spoilt = [*parts]
        spoilt[part] = parts[part].replace(old, new) + ("" if old in parts[part] else new)
        kind.refuses(".".join(spoilt))


async def test_no_running_server_reads_another_form(target: Target):
    sendable = {
        stray: stray
        for stray in strays(target.token)
        # What no client can send: controls; and what belongs to the header, not to the token.
        if stray.strip() == stray != "" and not re.search(r"[\x00-\x1f]", stray)
    }
    if target.typ == "rt+jwt":
        # A cookie's value ends at its first space or quote.
        sendable = {stray: stray for stray in sendable if not re.search(r'[\s"]', stray)}
    assert len(sendable) > 35
    await target.refuses(sendable)
