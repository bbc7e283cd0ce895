"""A second spelling of the same signature or payload, past any list of seen tokens.

RFC 4648 section 3.5.
"""

import string
from base64 import urlsafe_b64decode

from authward.core.tokens import mint
from tests.attacks.targets import Target
from tests.minting import ACCESS, Kind, access_claims, each_kind

ALPHABET = string.ascii_uppercase + string.ascii_lowercase + string.digits + "-_"


def same_bytes(segment: str) -> list[str]:
    """Other last characters that a lax decoder reads as the same bytes."""
    padding = "=" * (-len(segment) % 4)
    meant = urlsafe_b64decode(segment + padding)
    return [
        segment[:-1] + last
        for last in ALPHABET
        if last != segment[-1] and urlsafe_b64decode(segment[:-1] + last + padding) == meant
    ]


@each_kind
def test_a_signature_has_one_spelling(kind: Kind):
    head, _, signature = kind.token.rpartition(".")
    others = same_bytes(signature)
    assert len(others) == 3
    for other in others:
        kind.refuses(f"{head}.{other}")


def test_a_payload_has_one_spelling():
    seen = 0
    for size in range(3):
        token = mint(access_claims(sub="x" * (10 + size)), ACCESS.ring.signing)
        head, payload, signature = token.split(".")
        assert ACCESS.read(token)
        for other in same_bytes(payload):
            seen += 1
            ACCESS.refuses(f"{head}.{other}.{signature}")
    assert seen == 3 + 15


async def test_no_running_server_takes_a_second_spelling(target: Target):
    head, payload, signature = target.token.split(".")
    spare = {32: 3, 64: 15, 256: 15}[len(urlsafe_b64decode(signature + "=="))]
    tokens = {other: f"{head}.{payload}.{other}" for other in same_bytes(signature)}
    assert len(tokens) == spare
    for size in range(3):
        spelt = target.forge(payload=target.with_claims(sub="x" * (10 + size))).split(".")
        tokens |= {other: f"{spelt[0]}.{other}.{spelt[2]}" for other in same_bytes(spelt[1])}
    for tail in ("A", "AA", "AAAA"):
        tokens[tail] = target.token + tail
    await target.refuses(tokens)
