"""Keys at rest and in use: what is refused at load, and what a seal holds together."""

import base64
import os
import secrets

import pytest
from hypothesis import given
from hypothesis import strategies as st

from authward.core import keys
from authward.core.keys import RINGS, Algorithm, MasterSecret, State, check_key, check_ring
from authward.errors import ConfigurationError
from tests.generating import few
from tests.minting import NOW, key, pkcs8

SECRET = "m3f0Qn8zR1vXc7LJw2KpTt5yHsBdGa9eUiOoZqWxYk4="
NONCE = bytes(12)
master = MasterSecret(SECRET)


@pytest.mark.parametrize(
    "kid", ["", "seven77", "x" * 65, "kid with space", "../etc/x", "kïd-12345"]
)
def test_a_kid_is_plain_and_of_middling_length(kid: str):
    with pytest.raises(ConfigurationError, match="kid must be"):
        check_key(key(kid))
    check_key(key("x" * 64))
    check_key(key("eight-88"))


def test_a_kid_ends_where_it_ends():
    with pytest.raises(ConfigurationError, match="kid must be"):
        check_key(key("a-key-of-ours\n"))


@pytest.mark.parametrize(
    ("kind", "algorithm"), [("ed25519", "EdDSA"), ("p256", "ES256"), ("rsa2048", "RS256")]
)
def test_only_the_access_ring_takes_a_private_key(kind: str, algorithm: Algorithm):
    check_key(key(algorithm=algorithm, material=pkcs8(kind)))
    for ring in RINGS[1:]:
        with pytest.raises(ConfigurationError, match="HS256 keys only"):
            check_key(key(ring=ring, algorithm=algorithm, material=pkcs8(kind)))


def test_a_ring_may_hold_one_signing_key_and_others():
    check_ring(
        [key(), key("key-verifying", state="verifying"), key("key-pending", state="pending")]
    )


@pytest.mark.parametrize(
    "states", [(), ("pending",), ("verifying",), ("signing", "signing")], ids=str
)
def test_a_ring_holds_exactly_one_signing_key(states: tuple[State, ...]):
    with pytest.raises(ConfigurationError, match=f"found {states.count('signing')}"):
        check_ring([key(f"key-number-{n}", state=state) for n, state in enumerate(states)])


def test_an_rsa_key_may_be_too_long(monkeypatch):
    """Past 4096 bits a signature costs more than it protects, and outgrows what joserfc reads."""
    longest = key(algorithm="RS256", material=pkcs8("rsa2048"))
    monkeypatch.setattr(keys, "RSA_BITS", (1024, 2048))
    check_key(longest)
    monkeypatch.setattr(keys, "RSA_BITS", (1024, 2047))
    with pytest.raises(ConfigurationError, match="1024 to 2047 bits"):
        check_key(longest)


def test_a_key_does_not_print_its_material():
    assert "material" not in repr(key())
    assert str(key().material) not in repr(key())


@few
@given(
    material=st.binary(max_size=200),
    nonce=st.binary(min_size=12, max_size=12),
    ring=st.sampled_from(RINGS),
)
def test_what_was_sealed_is_unsealed(material: bytes, nonce: bytes, ring):
    sealed = master.seal(key(ring=ring, material=material), nonce)
    assert sealed.startswith(nonce)
    assert len(material) < 8 or material not in sealed[12:]
    opened = MasterSecret(SECRET).unseal(sealed, **bound(ring=ring))
    assert opened == key(ring=ring, material=material)


def bound(**changes):
    return {
        "ring": "access",
        "kid": key().kid,
        "algorithm": "HS256",
        "state": "signing",
        "created_at": NOW * 1000,
        **changes,
    }


def test_another_secret_opens_nothing_and_says_so():
    sealed = master.seal(key(), NONCE)
    with pytest.raises(ConfigurationError, match="does not open key a-key-of-ours"):
        MasterSecret(secrets.token_urlsafe(48)).unseal(sealed, **bound())


@pytest.mark.parametrize("length", [0, 1, 11, 12, 13, 27])
def test_a_torn_seal_is_refused(length: int):
    with pytest.raises(ConfigurationError, match="does not open"):
        master.unseal(master.seal(key(), NONCE)[:length], **bound())


@pytest.mark.parametrize(
    "make",
    [
        lambda: secrets.token_hex(32),
        lambda: secrets.token_hex(32).upper(),
        lambda: secrets.token_urlsafe(32),
        lambda: secrets.token_urlsafe(48) + "\n",
        lambda: "  " + SECRET + "  ",
        lambda: base64.encodebytes(secrets.token_bytes(96)).decode(),
    ],
    ids=["hex", "HEX", "urlsafe", "with newline", "base64", "lines"],
)
def test_a_random_secret_is_taken(make):
    for _ in range(20):
        MasterSecret(make())


@pytest.mark.parametrize("text", ["", " ", "\n"], ids=repr)
def test_no_secret_is_named_as_that(text: str):
    with pytest.raises(ConfigurationError, match="secret: empty"):
        MasterSecret(text)


def test_surrounding_space_is_no_part_of_a_secret():
    sealed = MasterSecret(f"\n{SECRET} ").seal(key(), NONCE)
    assert master.unseal(sealed, **bound()) == key()


def test_a_secret_from_undecodable_bytes_is_refused_not_a_crash():
    with pytest.raises(ConfigurationError, match="not text"):
        MasterSecret(SECRET + os.fsdecode(b"\xff"))
