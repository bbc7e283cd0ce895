"""A payload nested until the parser runs out of stack.

RFC 8259 section 9.
"""

import pytest

from tests.attacks.targets import Target
from tests.minting import Kind, each_kind

DEEP = 1300  # what still fits into the smaller token


@each_kind
@pytest.mark.parametrize(
    "payload",
    [
        b"[" * DEEP,
        b"[" * (DEEP // 4) + b"]" * (DEEP // 4),
        b'{"a":' * (DEEP // 10) + b"1" + b"}" * (DEEP // 10),
        b'{"iss":' + b"[" * (DEEP // 4),
        b'{"permissions":' + b"[" * (DEEP // 4) + b"]" * (DEEP // 4) + b"}",
        b'{"email":' + b'{"a":' * (DEEP // 10) + b"1" + b"}" * (DEEP // 10) + b"}",
    ],
    ids=lambda payload: payload[:16].decode(),
)
def test_nesting_is_refused_though_we_signed_it(kind: Kind, payload: bytes):
    kind.refuses(kind.forge(payload=payload))


@each_kind
def test_and_past_the_cap_it_is_not_even_decoded(kind: Kind):
    assert kind.refuses(kind.forge(payload=b"[" * 100_000)) == "too long"


async def test_no_running_server_follows_it(target: Target):
    tokens = {
        "an array": target.forge(payload=b"[" * 500),
        "a whole one": target.forge(payload=b"[" * 200 + b"]" * 200),
        "objects": target.forge(payload=b'{"a":' * 100 + b"1" + b"}" * 100),
        "in a claim": target.forge(payload=b'{"iss":' + b"[" * 300),
        "in the header": target.forge(header=b"[" * 200),
        "in a header field": target.forge(header=b'{"kid":' + b"[" * 200),
    }
    await target.refuses(tokens)
