"""Rings: which key signs, which verify, and that each stays with its algorithm."""

import warnings

import pytest

from authward.core.jose import BadToken, JoseKey, JoseRing, payload_segment
from authward.core.keys import Algorithm
from authward.errors import ConfigurationError
from tests.minting import access_ring, key, pkcs8, refresh_ring

MATERIAL: dict[Algorithm, str] = {"EdDSA": "ed25519", "ES256": "p256", "RS256": "rsa2048"}
OTHER = bytes(range(100, 132))


def of(algorithm: Algorithm, kid: str = "a-key-of-ours"):
    if algorithm == "HS256":
        return key(kid)
    return key(kid, algorithm=algorithm, material=pkcs8(MATERIAL[algorithm]))


@pytest.mark.parametrize("algorithm", ["HS256", "EdDSA", "ES256", "RS256"])
def test_each_algorithm_signs_and_verifies_without_a_warning(algorithm: Algorithm):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        ring = access_ring(of(algorithm))
        token = ring.signing.mint(b'{"a":1}')
        assert ring.payload(token) == b'{"a":1}'
    assert payload_segment(token) == b'{"a":1}'


@pytest.mark.parametrize("algorithm", ["HS256", "EdDSA", "RS256"])
def test_signing_again_gives_the_same_bytes(algorithm: Algorithm):
    one, again = (JoseKey(of(algorithm), "at+jwt").mint(b"{}") for _ in range(2))
    assert one == again


@pytest.mark.parametrize("algorithm", ["HS256", "EdDSA", "ES256", "RS256"])
def test_a_changed_payload_or_signature_does_not_verify(algorithm: Algorithm):
    ring = access_ring(of(algorithm))
    head, _, sign = ring.signing.mint(b'{"a":1}').split(".")
    other = ring.signing.mint(b'{"a":2}').split(".")[1]
    for broken in (f"{head}.{other}.{sign}", f"{head}.{other}.{sign[:-2]}", f"{head}.{other}.AA"):
        with pytest.raises(BadToken, match="signature"):
            ring.payload(broken)


def test_the_new_key_signs_and_the_old_verifies_until_it_is_retired():
    old, new = key("key-one-old"), key("key-two-new", material=OTHER)
    token = access_ring(old).signing.mint(b"{}")

    def moved(state):
        return key("key-one-old", state=state)

    rotated = access_ring(moved("verifying"), new)
    assert rotated.signing.kid == "key-two-new"
    assert rotated.payload(token) == b"{}"
    with pytest.raises(BadToken, match="header"):
        access_ring(moved("retired"), new).payload(token)


def test_a_pending_key_verifies_and_does_not_sign():
    """Another process may have heard before us that it signs."""
    pending = key("key-pending-1", material=OTHER, state="pending")
    ring = access_ring(pending, key())
    assert ring.signing.kid == key().kid
    token = JoseKey(pending, "at+jwt").mint(b"{}")
    assert ring.payload(token) == b"{}"
    found = ring.by_kid("key-pending-1")
    assert found is not None
    assert found.mint(b"{}") == token
    assert {one.kid for one in ring.keys} == {key().kid, "key-pending-1"}


def test_a_key_is_found_by_its_kid():
    ring = access_ring(key(), key("key-verifying", state="verifying", material=OTHER))
    for kid in (key().kid, "key-verifying"):
        found = ring.by_kid(kid)
        assert found is not None
        assert found.kid == kid
    assert ring.by_kid("key-nobody-has") is None


def test_a_ring_takes_only_keys_of_its_own():
    mixed = [key(), key("key-of-refresh", ring="refresh", material=OTHER)]
    assert access_ring(*mixed).by_kid("key-of-refresh") is None
    assert refresh_ring(*mixed).signing.kid == "key-of-refresh"


@pytest.mark.parametrize("states", [(), ("verifying",), ("pending", "retired"), ("signing",) * 2])
def test_a_ring_needs_exactly_one_signing_key(states):
    keys = [key(f"key-number-{n}", state=state) for n, state in enumerate(states)]
    with pytest.raises(ConfigurationError, match="exactly one signing key"):
        access_ring(*keys)


def test_a_ring_reads_its_longest_token_and_not_one_character_more():
    token = access_ring(key()).signing.mint(b"{}")
    for spare, holds in ((0, True), (-1, False)):
        ring = JoseRing([key()], ring="access", typ="at+jwt", max_chars=len(token) + spare)
        if holds:
            assert ring.payload(token) == b"{}"
        else:
            with pytest.raises(BadToken, match="too long"):
                ring.payload(token)


def test_the_same_key_under_another_typ_is_another_key():
    token = JoseKey(key(), "rt+jwt").mint(b"{}")
    with pytest.raises(BadToken, match="header"):
        access_ring(key()).payload(token)
