"""A token brings or names the key to verify it with.

ASVS 9.1.3, RFC 8725 section 3.10, CVE-2018-0114 (jwk), CVE-2024-21643 (jku).
"""

import pytest
from joserfc import jws
from joserfc.jwk import ECKey, OctKey, RSAKey

from tests.minting import Kind, each_kind, pkcs8

MINE = OctKey.import_key(b"the attacker's own secret, 32 bytes")


@each_kind
@pytest.mark.parametrize(
    "extra",
    [
        {"jwk": MINE.as_dict()},
        {"jku": "https://evil.example/jwks.json"},
        {"jku": "file:///etc/passwd"},
        {"x5u": "https://evil.example/cert.pem"},
        {"x5c": ["MIIB"]},
        {"x5t": "AAAA"},
        {"x5t#S256": "AAAA"},
        {"cty": "JWT"},
        {"zip": "DEF"},
        {"enc": "A256GCM"},
        {"url": "https://evil.example"},
    ],
    ids=lambda extra: next(iter(extra)),
)
def test_a_header_that_brings_anything_is_refused_though_we_signed_it(kind: Kind, extra):
    kind.refuses(kind.forge(header={**kind.header, **extra}))
    kind.refuses(kind.forge(header={**extra, **kind.header}))


@each_kind
def test_a_token_signed_with_the_key_it_brings_is_refused(kind: Kind):
    for header in (kind.header, {**kind.header, "jwk": MINE.as_dict()}):
        kind.refuses(jws.serialize_compact(header, kind.payload, MINE, ["HS256"]))


@each_kind
@pytest.mark.parametrize(
    ("alg", "own"),
    [("ES256", ECKey.import_key(pkcs8("p256"))), ("RS256", RSAKey.import_key(pkcs8("rsa2048")))],
    ids=["ES256", "RS256"],
)
def test_nor_is_one_under_a_key_pair_it_brings(kind: Kind, alg: str, own):
    header = {**kind.header, "alg": alg, "jwk": own.as_dict(private=False)}
    kind.refuses(jws.serialize_compact(header, kind.payload, own, [alg]))
