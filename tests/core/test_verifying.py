"""A ring that only verifies: public keys as JWKs, and secrets that are shared."""

from typing import Any

import pytest
from joserfc.jwk import ECKey, OctKey, OKPKey, RSAKey

from authward.core.jose import BadToken
from authward.core.keys import Algorithm, Key
from authward.core.tokens import MAX_ACCESS_CHARS, check_access, mint
from authward.core.verifying import VerifyingRing
from authward.errors import ConfigurationError, InvalidToken
from tests.minting import ACCESS, NOW, POLICY, REFRESH, access_ring, b64, key, pkcs8

KINDS: dict[Algorithm, tuple[str, Any]] = {
    "EdDSA": ("ed25519", OKPKey),
    "ES256": ("p256", ECKey),
    "RS256": ("rsa2048", RSAKey),
}


def private(algorithm: Algorithm, kid: str = "a-key-of-ours", **more: Any) -> Key:
    return key(kid, algorithm=algorithm, material=pkcs8(KINDS[algorithm][0]), **more)


def public(algorithm: Algorithm, kid: Any = "a-key-of-ours", **changes: Any) -> dict[str, Any]:
    """The public JWK of that key, as a server publishes it; `...` removes a member."""
    kind, jwk = KINDS[algorithm]
    members = jwk.import_key(pkcs8(kind)).as_dict(private=False)
    stated = {**members, "kid": kid, "alg": algorithm, "use": "sig", **changes}
    return {name: value for name, value in stated.items() if value is not ...}


def minted(algorithm: Algorithm, kid: str = "a-key-of-ours") -> str:
    return mint(ACCESS.claims, access_ring(private(algorithm, kid)).signing)


@pytest.mark.parametrize("algorithm", KINDS)
def test_a_public_key_verifies_what_the_server_minted(algorithm: Algorithm):
    ring = VerifyingRing([public(algorithm)])
    assert check_access(minted(algorithm), ring, POLICY, NOW) == ACCESS.claims


def test_several_keys_verify_side_by_side():
    ring = VerifyingRing(
        [public("EdDSA", "key-number-1"), public("ES256", "key-number-2"), ACCESS.key]
    )
    for token in (minted("EdDSA", "key-number-1"), minted("ES256", "key-number-2"), ACCESS.token):
        assert check_access(token, ring, POLICY, NOW) == ACCESS.claims


@pytest.mark.parametrize("state", ["signing", "verifying", "pending"])
def test_a_shared_secret_verifies_in_any_state_but_retired(state: Any):
    ring = VerifyingRing([key(state=state)])
    assert check_access(ACCESS.token, ring, POLICY, NOW) == ACCESS.claims


def test_a_retired_key_verifies_nothing():
    ring = VerifyingRing([key(state="retired"), public("EdDSA", "another-key")])
    with pytest.raises(InvalidToken):
        check_access(ACCESS.token, ring, POLICY, NOW)


@pytest.mark.parametrize(
    "token",
    [
        minted("EdDSA", "another-key"),
        minted("ES256"),
        ACCESS.token,
        REFRESH.token,
        ACCESS.forge(header={"alg": "none", "typ": "at+jwt", "kid": "a-key-of-ours"}),
        ACCESS.forge(header={"alg": "EdDSA", "typ": "at+jwt", "kid": "a-key-of-ours", "crit": []}),
        minted("EdDSA")[:-4] + "AAAA",
        "a.b." + "c" * MAX_ACCESS_CHARS,
        "",
        "a.b",
    ],
)
def test_nothing_else_passes(token: str):
    ring = VerifyingRing([public("EdDSA")])
    with pytest.raises(BadToken):
        ring.payload(token)


@pytest.mark.parametrize("algorithm", KINDS)
def test_a_public_key_is_no_hmac_secret(algorithm: Algorithm):
    """The header says HS256, the secret is the public key: its header is none of the ring's."""
    ring = VerifyingRing([public(algorithm)])
    with pytest.raises(BadToken, match="header"):
        ring.payload(ACCESS.forge(header={"alg": "HS256", "typ": "at+jwt", "kid": "a-key-of-ours"}))


def test_members_that_name_other_keys_are_not_looked_at():
    ring = VerifyingRing([public("EdDSA", x5u="https://evil.example", jku="x", x5c=["AAAA"])])
    assert check_access(minted("EdDSA"), ring, POLICY, NOW) == ACCESS.claims


def test_a_private_jwk_is_refused_whole():
    whole = OKPKey.import_key(pkcs8("ed25519")).as_dict(private=True)
    with pytest.raises(ConfigurationError, match="holds a secret, and whoever reads it can sign"):
        VerifyingRing([{**whole, "kid": "a-key-of-ours", "alg": "EdDSA"}])
    secret = OctKey.import_key(bytes(range(32))).as_dict(private=True)
    with pytest.raises(ConfigurationError, match=r"goes in as authward\.core\.keys\.Key"):
        VerifyingRing([{**secret, "kid": "a-key-of-ours", "alg": "HS256"}])


@pytest.mark.parametrize(
    ("keys", "cure"),
    [
        ([], "there is none"),
        ([key(state="retired")], "there is none"),
        ({"keys": []}, r"keys=jwks\['keys'\]"),
        (None, r"keys: None is no list\. Write keys=jwks\['keys'\]"),
        (["a-key-of-ours"], "has no kid"),
        ([public("EdDSA", kid=...)], "has no kid"),
        ([public("EdDSA", kid="short")], "has no kid"),
        ([public("EdDSA", kid=["a-key-of-ours"])], "has no kid"),
        ([public("EdDSA"), public("ES256")], "is there twice"),
        ([public("EdDSA"), key()], "is there twice"),
        ([public("EdDSA", alg=...)], "states no alg .*EdDSA, ES256, RS256"),
        ([public("EdDSA", alg="none")], "states no alg"),
        ([public("EdDSA", alg="HS256")], "states no alg"),
        ([public("EdDSA", alg=["EdDSA"])], "states no alg"),
        ([public("EdDSA", alg="ES256")], "is not a key to verify ES256 with"),
        ([public("EdDSA", crv="X25519")], "is not a key to verify EdDSA with"),
        ([public("ES256", crv="P-384")], "is not a key to verify ES256 with"),
        ([public("RS256", kty="EC")], "is not a key to verify RS256 with"),
        ([public("RS256", use="enc")], "is not a key to verify RS256 with"),
        ([public("EdDSA", x=...)], "cannot be read"),
        ([public("EdDSA", x="AA")], "cannot be read"),
        ([public("EdDSA", x=5)], "cannot be read"),
        ([public("ES256", y=public("ES256")["x"])], "cannot be read"),
        ([public("RS256", e="AQ")], "cannot be read"),
        ([key(ring="refresh")], "of the refresh ring"),
        ([key(material=b"short")], "needs at least 32 bytes"),
    ],
)
def test_keys_that_do_not_start(keys: Any, cure: str):
    with pytest.raises(ConfigurationError, match=cure):
        VerifyingRing(keys)


@pytest.mark.parametrize("bits", [1024, 2047, 4097, 16384])
def test_an_rsa_key_of_another_size_does_not_start(bits: int):
    modulus = b64(((1 << bits) - 1).to_bytes((bits + 7) // 8, "big"))
    with pytest.raises(ConfigurationError, match=f"has {bits} bits"):
        VerifyingRing([public("RS256", n=modulus)])
