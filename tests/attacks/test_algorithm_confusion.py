"""A key made to work with an algorithm that is not its own.

RFC 8725 section 3.1, ASVS 9.1.2.
"""

from dataclasses import replace

import pytest
from joserfc import jws
from joserfc.jwk import OctKey

from authward.core.jose import JoseKey
from authward.core.keys import Algorithm, check_key
from authward.core.tokens import check_access, mint
from authward.errors import ConfigurationError, InvalidToken
from tests.attacks.targets import Target
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
from tests.planting import ALGORITHMS, new_key, sign

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


# What else the very key could sign, in a library that asks the header.
SIBLINGS: dict[Algorithm, list[str]] = {
    "HS256": ["HS384", "HS512"],
    "EdDSA": ["Ed25519"],
    "ES256": [],
    "RS256": ["RS384", "RS512", "PS256", "PS384", "PS512"],
}
NAMES = ["none", "HS256", "HS384", "HS512", "RS256", "RS384", "RS512", "PS256", "ES256", "ES256K"]
NAMES += ["ES384", "EdDSA", "Ed25519", "Ed448", "dir"]


async def test_a_running_server_asks_its_key_for_the_algorithm(target: Target):
    own = target.key.algorithm
    jwk = JoseKey(target.key, target.typ)._jwk
    tokens = {}
    for alg in NAMES:
        if alg != own:
            tokens[f"right signature, called {alg}"] = target.forge(
                header={**target.header, "alg": alg}
            )
    for alg in SIBLINGS[own]:
        header = {**target.header, "alg": alg}
        sibling = jws.serialize_compact(header, target.payload, jwk, [alg])
        assert jws.deserialize_compact(sibling, jwk, [alg]).payload == target.payload
        tokens[f"{alg} with the same key"] = sibling
        # The header of ours before the signature of a sibling.
        signature = sibling.rpartition(".")[2]
        tokens[f"{alg} under {own}"] = f"{target.token.rpartition('.')[0]}.{signature}"
    for alg in ALGORITHMS:
        if alg != own:
            other = replace(new_key(alg), kid=target.key.kid)
            for claimed in (alg, own):
                head = compact({**target.header, "alg": claimed})
                tokens[f"a key for {alg}, called {claimed}"] = sign(other, head, target.payload)
    await target.refuses(tokens)
