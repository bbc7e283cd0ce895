"""A key made to work with an algorithm that is not its own.

RFC 8725 section 3.1, ASVS 9.1.2.
"""

import pytest
from joserfc import jws
from joserfc.jwk import OctKey

from authward.core.keys import Algorithm, check_key
from authward.core.tokens import check_access, mint
from authward.errors import ConfigurationError, InvalidToken
from tests.minting import (
    NOW,
    POLICY,
    Kind,
    access_claims,
    access_ring,
    b64,
    compact,
    each_kind,
    key,
    pkcs8,
)

RINGS: dict[Algorithm, str] = {"EdDSA": "ed25519", "ES256": "p256", "RS256": "rsa2048"}


@each_kind
@pytest.mark.parametrize("alg", ["HS384", "HS512"])
def test_a_longer_hash_under_our_own_key_is_another_algorithm(kind: Kind, alg: str):
    token = jws.serialize_compact(
        {**kind.header, "alg": alg}, kind.payload, OctKey.import_key(kind.key.material), [alg]
    )
    # A verifier that lets the header choose takes it.
    own = OctKey.import_key(kind.key.material)
    assert jws.deserialize_compact(token, own, ["HS256", alg]).payload == kind.payload
    kind.refuses(token)


@each_kind
@pytest.mark.parametrize(
    "alg",
    ["HS384", "HS512", "RS256", "ES256", "EdDSA", "PS256", "hs256", "HS256 ", "dir", "A256KW"],
)
def test_a_right_signature_under_a_wrong_name_is_refused(kind: Kind, alg: str):
    kind.refuses(kind.forge(header={**kind.header, "alg": alg}))


@pytest.mark.parametrize("algorithm", RINGS)
def test_an_asymmetric_ring_takes_its_own_algorithm_alone(algorithm: Algorithm):
    ring = access_ring(key(algorithm=algorithm, material=pkcs8(RINGS[algorithm])))
    token = mint(access_claims(), ring.signing)
    assert check_access(token, ring, POLICY, NOW) == access_claims()
    _, payload, signature = token.split(".")
    for other in ("none", "HS256", "RS256", "RS512", "PS256", "ES256", "EdDSA", "Ed25519"):
        if other != algorithm:
            head = b64(compact({"alg": other, "typ": "at+jwt", "kid": key().kid}))
            with pytest.raises(InvalidToken):
                check_access(f"{head}.{payload}.{signature}", ring, POLICY, NOW)


@pytest.mark.parametrize("algorithm", RINGS)
def test_the_key_of_another_algorithm_is_refused_at_load(algorithm: Algorithm):
    for kind in ("ed25519", "p256", "p384", "rsa2048"):
        if kind != RINGS[algorithm]:
            with pytest.raises(ConfigurationError):
                check_key(key(algorithm=algorithm, material=pkcs8(kind)))


def test_a_token_of_one_ring_is_nothing_to_a_ring_of_another_algorithm():
    tokens = {}
    rings = {}
    for algorithm, kind in RINGS.items():
        rings[algorithm] = access_ring(key(algorithm=algorithm, material=pkcs8(kind)))
        tokens[algorithm] = mint(access_claims(), rings[algorithm].signing)
    for name, ring in rings.items():
        for other, token in tokens.items():
            if name == other:
                assert check_access(token, ring, POLICY, NOW) == access_claims()
            else:
                with pytest.raises(InvalidToken):
                    check_access(token, ring, POLICY, NOW)
