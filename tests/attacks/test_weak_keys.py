"""An empty or short key, which anyone can guess.

CVE-2026-48990 (joserfc), RFC 7518 sections 3.2 and 3.3, RFC 8725 section 3.5.
"""

import pytest

from authward.core.keys import check_key
from authward.errors import ConfigurationError
from tests.minting import access_ring, key, pkcs8, refresh_ring


@pytest.mark.parametrize("length", [0, 1, 5, 16, 31])
@pytest.mark.parametrize("ring", ["access", "refresh", "csrf"])
def test_an_hmac_key_has_32_bytes(length: int, ring):
    check_key(key(ring=ring, material=bytes(range(32))))
    with pytest.raises(ConfigurationError, match="at least 32 bytes"):
        check_key(key(ring=ring, material=bytes(range(length))))


@pytest.mark.parametrize("state", ["signing", "verifying", "pending"])
def test_a_weak_key_is_refused_in_every_state_it_may_be_used_in(state):
    weak = key("key-weak-001", state=state, material=b"short")
    with pytest.raises(ConfigurationError, match="at least 32 bytes"):
        access_ring(key(), weak)
    with pytest.raises(ConfigurationError, match="at least 32 bytes"):
        refresh_ring(key("key-weak-001", ring="refresh", state=state, material=b""))


def test_a_retired_key_may_be_what_it_was():
    access_ring(key(), key("key-retired-1", state="retired", material=b"short"))


def test_rsa_below_2048_bits_is_refused():
    with pytest.raises(ConfigurationError, match="2048"):
        access_ring(key(algorithm="RS256", material=pkcs8("rsa1024")))
    access_ring(key(algorithm="RS256", material=pkcs8("rsa2048")))


def test_es256_is_p256_alone():
    with pytest.raises(ConfigurationError, match="P-256"):
        access_ring(key(algorithm="ES256", material=pkcs8("p384")))


@pytest.mark.parametrize("algorithm", ["EdDSA", "ES256", "RS256"])
@pytest.mark.parametrize(
    "material",
    [b"", b"\0" * 32, b"not DER at all" * 9, pkcs8("rsa2048")[:-9]],
    ids=["empty", "zeros", "text", "cut"],
)
def test_what_is_no_private_key_is_refused(algorithm, material: bytes):
    with pytest.raises(ConfigurationError, match="not a PKCS #8 private key"):
        access_ring(key(algorithm=algorithm, material=material))
