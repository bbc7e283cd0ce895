"""A key set that gives away more than public keys: RFC 7517 section 9.2, RFC 8725 section 2.1.

Whatever the algorithm is or was, and in whatever state the keys are, `/.well-known/jwks.json` holds
no private part and no symmetric key.
"""

import json
import os
from base64 import urlsafe_b64encode
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.serialization import load_der_private_key

from authward.core.jwks import jwks
from authward.core.verifying import VerifyingRing
from authward.errors import ConfigurationError
from authward.services.rings import new_key
from tests.here import OPERATOR, Here, Serve
from tests.keys import publish_long_ago
from tests.minting import access_ring, key

JWKS = "/.well-known/jwks.json"
MEMBERS = {
    "EdDSA": {"kty", "crv", "x"},
    "ES256": {"kty", "crv", "x", "y"},
    "RS256": {"kty", "n", "e"},
}
each_algorithm = pytest.mark.parametrize("algorithm", MEMBERS)


async def published(here: Here) -> list[dict[str, Any]]:
    answer = await here.send("GET", JWKS)
    assert answer.status_code == 200
    found: list[dict[str, Any]] = answer.json()["keys"]
    return found


def secrets_of(here: Here) -> list[bytes]:
    """Everything that must not be told, as it is and as others would write it."""
    rings = here.services.keys.rings
    keys = [one.key for ring in (rings.access, rings.refresh) for one in ring.keys]
    found = [*(one.material for one in keys), *rings.csrf, *(one.material for one in rings.audit)]
    for one in keys:
        if one.algorithm != "HS256":
            found += private_numbers(load_der_private_key(one.material, None))
    return [form for one in found for form in forms(one)]


def private_numbers(private: Any) -> list[bytes]:
    if isinstance(private, Ed25519PrivateKey):
        return [private.private_bytes_raw()]
    numbers = private.private_numbers()
    if isinstance(private, EllipticCurvePrivateKey):
        return [raw(numbers.private_value)]
    assert isinstance(private, RSAPrivateKey)
    wanted = (numbers.p, numbers.q, numbers.d, numbers.dmp1, numbers.dmq1, numbers.iqmp)
    return [raw(one) for one in wanted]


def raw(number: int) -> bytes:
    return number.to_bytes((number.bit_length() + 7) // 8, "big")


def forms(secret: bytes) -> list[bytes]:
    return [urlsafe_b64encode(secret).rstrip(b"="), secret.hex().encode(), secret]


@each_algorithm
async def test_nothing_secret_in_any_state(
    serve_on: Serve, sqlite_database: str, algorithm: str
) -> None:
    before = await serve_on(sqlite_database)  # HS256 first: those keys go on verifying
    assert await published(before) == []
    here = await serve_on(sqlite_database, algorithm=algorithm)
    for state in ("pending", "signing", "verifying"):
        keys = await published(here)
        assert state in {
            one.key.state
            for one in here.services.keys.rings.access.keys
            if one.kid in {key["kid"] for key in keys}
        }
        for one in keys:
            assert one.keys() == MEMBERS[algorithm] | {"kid", "use", "alg"}
            assert (one["use"], one["alg"]) == ("sig", algorithm)
        text = (await here.send("GET", JWKS)).content
        assert not any(secret in text for secret in secrets_of(here))
        await publish_long_ago(here.services)
        await here.services.keys.rotate("access", OPERATOR)
    # What is published is enough to verify by, and for nothing else.
    ada = await here.register()
    VerifyingRing(await published(here)).payload(ada.access)


async def test_what_is_retired_is_published_no_more(serve_on: Serve, sqlite_database: str) -> None:
    here = await serve_on(sqlite_database, algorithm="ES256")
    [signing] = [one.kid for one in [here.services.keys.rings.access.signing]]
    assert signing in {key["kid"] for key in await published(here)}
    await here.services.keys.kill(signing, OPERATOR)
    keys = {key["kid"] for key in await published(here)}
    assert signing not in keys
    assert len(keys) == 2


def test_of_a_secret_there_is_no_public_half() -> None:
    ring = access_ring(key(), key("a-second-one", state="verifying", material=os.urandom(32)))
    assert json.loads(jwks(ring.keys)) == {"keys": []}
    with pytest.raises(ConfigurationError, match="secret whole"):
        ring.signing.public()


@each_algorithm
def test_the_set_is_written_anew_and_copies_nothing(algorithm: Any) -> None:
    made = new_key("access", algorithm, "signing", os.urandom)
    [one] = json.loads(jwks(access_ring(made).keys))["keys"]
    assert one.keys() == MEMBERS[algorithm] | {"kid", "use", "alg"}


async def test_it_may_be_kept_and_need_not_be_sent_twice(
    serve_on: Serve, sqlite_database: str
) -> None:
    here = await serve_on(sqlite_database, algorithm="EdDSA")
    answer = await here.send("GET", JWKS)
    assert answer.headers["cache-control"] == "public, max-age=300"
    assert answer.headers["content-type"] == "application/jwk-set+json"
    assert "set-cookie" not in answer.headers
    tag = {"if-none-match": answer.headers["etag"]}
    again = await here.send("GET", JWKS, headers=tag)
    assert (again.status_code, again.content) == (304, b"")
    assert again.headers["etag"] == answer.headers["etag"]
    assert again.headers["cache-control"] == "public, max-age=300"
    await here.services.keys.kill(here.services.keys.rings.access.signing.kid, OPERATOR)
    assert (await here.send("GET", JWKS, headers=tag)).status_code == 200
    head = await here.send("HEAD", JWKS)
    assert (head.status_code, head.content) == (200, b"")
