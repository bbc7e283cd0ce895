"""A token brings or names the key to verify it with.

ASVS 9.1.3, RFC 8725 section 3.10, CVE-2018-0114 (jwk), CVE-2024-21643 (jku).
"""

from dataclasses import replace
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1
from cryptography.hazmat.primitives.asymmetric.ec import generate_private_key as generate_ec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.rsa import generate_private_key as generate_rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from joserfc import jws
from joserfc.jwk import ECKey, OctKey, RSAKey

from authward.core.jose import JoseKey
from authward.core.keys import Algorithm, Key
from tests.attacks.targets import Target
from tests.minting import Kind, compact, each_kind, pkcs8
from tests.planting import ALGORITHMS, new_key, sign

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


async def test_no_running_server_takes_a_key_from_a_token(target: Target):
    tokens = {}
    for extra in (
        {"jku": "https://evil.example/jwks.json"},
        {"x5u": "https://evil.example/cert.pem"},
        {"x5c": ["MIIB"]},
        {"x5t": "AAAA"},
        {"x5t#S256": "AAAA"},
    ):
        tokens[f"{extra}, our key"] = target.forge(header={**target.header, **extra})
    for alg in ALGORITHMS:
        brought = new_key(alg) if alg == "HS256" else another_pair(alg)
        jwk = JoseKey(brought, target.typ)._jwk.as_dict(private=alg == "HS256")
        for kid in (target.key.kid, brought.kid):
            header = {"alg": alg, "typ": target.typ, "kid": kid}
            for with_jwk in (
                header,
                {**header, "jwk": jwk},
                {**header, "jwk": {**jwk, "kid": kid}},
            ):
                token = sign(brought, compact(with_jwk), target.payload)
                tokens[f"{alg}, {kid}, {len(with_jwk)}, {with_jwk.get('jwk')}"] = token
    assert len(tokens) == 5 + 4 * 2 * 3
    await target.refuses(tokens)


def another_pair(algorithm: Algorithm) -> Key:
    """A key pair of the attacker's own: no server has it."""
    own: Any = {
        "EdDSA": Ed25519PrivateKey.generate,
        "ES256": lambda: generate_ec(SECP256R1()),
        "RS256": lambda: generate_rsa(65537, 2048),
    }[algorithm]()
    material = own.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())
    return replace(new_key(algorithm), material=material)
