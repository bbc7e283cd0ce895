"""The published key, used as the HMAC secret.

CVE-2022-29217 (PyJWT), CVE-2024-33663 (python-jose), CVE-2024-37568.
"""

import datetime
import hashlib
import json
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from cryptography.x509.oid import NameOID
from joserfc.jwk import ECKey, OKPKey, RSAKey

from authward import Authward
from authward.core.keys import RINGS, Algorithm, Ring, check_key
from authward.core.tokens import check_access
from authward.errors import ConfigurationError, InvalidToken
from tests.attacks.targets import TargetOf
from tests.minting import (
    NOW,
    POLICY,
    access_claims,
    access_ring,
    compact,
    hs256,
    key,
    pkcs8,
    private_key,
)
from tests.planting import plant_anew
from tests.serving import SECRET

FORMATS: dict[str, tuple[Algorithm, type[OKPKey | ECKey | RSAKey]]] = {
    "ed25519": ("EdDSA", OKPKey),
    "p256": ("ES256", ECKey),
    "rsa2048": ("RS256", RSAKey),
}


def certificate(kind: str) -> x509.Certificate:
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "id.example.com")])
    start = datetime.datetime(2026, 1, 1)
    own: Any = private_key(kind)
    builder = x509.CertificateBuilder(
        name, name, own.public_key(), 7, start, start + datetime.timedelta(days=9)
    )
    return builder.sign(own, None if kind == "ed25519" else hashes.SHA256())


def public_forms(kind: str) -> dict[str, bytes]:
    """Every way this key is published."""
    public = private_key(kind).public_key()
    algorithm, jwk = FORMATS[kind]
    exported = jwk.import_key(pkcs8(kind)).as_dict(private=False)
    forms = {
        "PEM": public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo),
        "DER": public.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo),
        "SSH": public.public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH),
        "JWK": json.dumps(exported).encode(),
        "JWK with alg": json.dumps({**exported, "alg": algorithm}, indent=1).encode(),
        "JWKS": json.dumps({"keys": [exported]}).encode(),
        "certificate PEM": certificate(kind).public_bytes(Encoding.PEM),
        "certificate DER": certificate(kind).public_bytes(Encoding.DER),
    }
    forms["PEM without the last newline"] = forms["PEM"].rstrip()
    forms["PEM after a blank line"] = b"\n\n" + forms["PEM"]
    forms["PEM with CRLF"] = forms["PEM"].replace(b"\n", b"\r\n")
    if kind == "rsa2048":
        forms["PKCS #1 PEM"] = public.public_bytes(Encoding.PEM, PublicFormat.PKCS1)
        forms["PKCS #1 DER"] = public.public_bytes(Encoding.DER, PublicFormat.PKCS1)
    return forms


CASES = [(kind, form) for kind in FORMATS for form in public_forms(kind)]


@pytest.mark.parametrize(("kind", "form"), CASES, ids=[f"{kind} {form}" for kind, form in CASES])
def test_a_token_signed_with_what_is_public_is_refused(kind: str, form: str):
    ring = access_ring(key(algorithm=FORMATS[kind][0], material=pkcs8(kind)))
    secret = public_forms(kind)[form]
    payload = compact({**_claims()})
    for alg in ("HS256", FORMATS[kind][0]):
        header = compact({"alg": alg, "typ": "at+jwt", "kid": key().kid})
        for known in (secret, hashlib.sha256(secret).digest(), b""):
            with pytest.raises(InvalidToken):
                check_access(hs256(header, payload, known), ring, POLICY, NOW)


@pytest.mark.parametrize(("kind", "form"), CASES, ids=[f"{kind} {form}" for kind, form in CASES])
def test_what_is_public_is_refused_as_a_secret_at_load(kind: str, form: str):
    material = public_forms(kind)[form]
    for ring in RINGS:
        with pytest.raises(ConfigurationError, match="public key or certificate"):
            check_key(key(ring=ring, material=material))


def test_random_bytes_are_no_public_key():
    for seed in range(200):
        check_key(key(material=hashlib.sha256(b"%d" % seed).digest()))
        check_key(key(material=hashlib.sha512(b"%d" % seed).digest()))


def _claims():
    claims = access_claims()
    return {name: getattr(claims, name) for name in claims.__struct_fields__}


@pytest.mark.parametrize("kind", FORMATS)
async def test_no_running_server_takes_it_for_a_secret(target_of: TargetOf, kind: str):
    target = await target_of(FORMATS[kind][0])
    assert target.key.material == pkcs8(kind)  # what is published below is this very key
    tokens = {}
    for form, secret in public_forms(kind).items():
        for alg in ("HS256", "hs256", target.key.algorithm):
            header = compact({**target.header, "alg": alg})
            tokens[f"{form}, {alg}"] = hs256(header, target.payload, secret)
    await target.refuses(tokens)


@pytest.mark.parametrize("ring", RINGS)
async def test_no_server_starts_with_one(sqlite_database: str, ring: Ring):
    for form in ("PEM", "DER", "JWK", "SSH"):
        await plant_anew(sqlite_database, key(ring=ring, material=public_forms("rsa2048")[form]))
        with pytest.raises(ConfigurationError, match="public key or certificate"):
            await Authward(database_url=sqlite_database, secret=SECRET).startup()
