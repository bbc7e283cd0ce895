"""An empty or short key, which anyone can guess.

CVE-2026-48990 (joserfc), RFC 7518 sections 3.2 and 3.3, RFC 8725 section 3.5.
"""

import pytest

from authward import Authward
from authward.core.keys import RINGS, check_key
from authward.errors import ConfigurationError
from tests.attacks.targets import Target
from tests.minting import access_ring, compact, hs256, key, pkcs8, refresh_ring
from tests.planting import plant
from tests.serving import SECRET


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


@pytest.mark.parametrize("ring", RINGS)
@pytest.mark.parametrize("material", [b"", b"short", bytes(range(31))], ids=len)
async def test_no_server_starts_with_a_weak_secret(sqlite_database: str, ring, material: bytes):
    await plant(sqlite_database, key(ring=ring, material=material))
    with pytest.raises(ConfigurationError, match="at least 32 bytes"):
        await Authward(database_url=sqlite_database, secret=SECRET).startup()


@pytest.mark.parametrize(
    ("algorithm", "kind", "why"),
    [("RS256", "rsa1024", "2048"), ("ES256", "p384", "P-256"), ("EdDSA", "p256", "not a key for")],
)
async def test_no_server_starts_with_a_weak_pair(sqlite_database: str, algorithm, kind, why):
    await plant(sqlite_database, key(algorithm=algorithm, material=pkcs8(kind)))
    with pytest.raises(ConfigurationError, match=why):
        await Authward(database_url=sqlite_database, secret=SECRET).startup()


@pytest.mark.parametrize("ring", ["refresh", "csrf"])
async def test_no_server_starts_with_a_pair_where_a_secret_belongs(sqlite_database: str, ring):
    await plant(sqlite_database, key(ring=ring, algorithm="EdDSA", material=pkcs8("ed25519")))
    with pytest.raises(ConfigurationError, match="HS256 keys only"):
        await Authward(database_url=sqlite_database, secret=SECRET).startup()


async def test_no_running_server_takes_what_no_secret_signed(target: Target):
    """A key of nothing verifies nothing: CVE-2026-48990 again, from outside."""
    tokens = {}
    for alg in {"HS256", target.key.algorithm}:
        header = compact({**target.header, "alg": alg})
        for secret in (b"", b"\0", b"\0" * 32, b"\0" * 64, target.key.kid.encode(), b"secret"):
            tokens[alg, secret] = hs256(header, target.payload, secret)
    await target.refuses(tokens)
