"""Whoever can write the database renames a sealed key into another ring, state or algorithm.

ASVS 11.3.3, OWASP Cryptographic Storage Cheat Sheet (authenticated encryption).
"""

import pytest

from authward.core.keys import MasterSecret
from authward.errors import ConfigurationError
from tests.minting import key

SECRET = "m3f0Qn8zR1vXc7LJw2KpTt5yHsBdGa9eUiOoZqWxYk4="
FACTS = {"ring": "access", "kid": key().kid, "algorithm": "HS256", "state": "verifying"}
master = MasterSecret(SECRET)


def sealed(nonce: bytes = bytes(12)) -> bytes:
    return master.seal(key(state="verifying"), nonce)


def unseal(raw: bytes, **changes):
    return master.unseal(raw, **{**FACTS, **changes}, created_at=0)


def test_the_control_what_was_sealed_opens():
    assert unseal(sealed()).material == key().material


@pytest.mark.parametrize(
    "change",
    [
        {"ring": "refresh"},
        {"ring": "csrf"},
        {"kid": "another-key-01"},
        {"kid": ""},
        {"algorithm": "RS256"},
        {"algorithm": "none"},
        {"state": "signing"},
        {"state": "pending"},
        {"state": "retired"},
        # The same text, cut elsewhere.
        {"ring": "access\0" + key().kid, "kid": "HS256", "algorithm": "verifying", "state": ""},
        {"ring": "", "kid": "access\0" + key().kid},
    ],
    ids=str,
)
def test_a_sealed_key_is_only_what_it_was_sealed_as(change):
    with pytest.raises(ConfigurationError, match="does not open"):
        unseal(sealed(), **change)


def test_every_flipped_bit_is_noticed():
    raw = sealed()
    for at in range(len(raw)):
        with pytest.raises(ConfigurationError):
            unseal(raw[:at] + bytes([raw[at] ^ 1]) + raw[at + 1 :])


def test_the_material_is_nowhere_to_be_read():
    assert key().material not in sealed()
    assert sealed(b"\1" * 12)[12:] != sealed()[12:]
