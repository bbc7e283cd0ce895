"""Bytes that must never change: what is in every cookie jar and every database already.

A failure here signs users out, locks an owner out of the key ring, or voids every password. The
tokens in `vectors.json` were signed by hand with HMAC-SHA256, not by the library under test.
"""

import json
from pathlib import Path

import jwt
import msgspec
import pytest
from joserfc import jws
from joserfc.jwk import OctKey

from authward.core.csrf import csrf_token
from authward.core.keys import MasterSecret
from authward.core.passwords import HashParameters, hash_password, verify_password
from authward.core.sessions import Session, refresh_claims
from authward.core.tokens import (
    AccessClaims,
    RefreshClaims,
    TokenPolicy,
    check_access,
    check_refresh,
    mint,
)
from tests.minting import access_ring, key, refresh_ring

VECTORS = json.loads((Path(__file__).parent / "vectors.json").read_text(encoding="utf-8"))
ACCESS, REFRESH = VECTORS["access_token"], VECTORS["refresh_token"]
POLICY = TokenPolicy("https://id.example.com", "api.example.com", 900, 604_800)


def ring_of(vector, make, ring):
    return make(key(vector["kid"], ring=ring, material=bytes.fromhex(vector["material"])))


def test_an_access_token_is_these_bytes():
    ring = ring_of(ACCESS, access_ring, "access")
    claims = msgspec.convert(ACCESS["claims"], AccessClaims)
    assert mint(claims, ring.signing) == ACCESS["token"]
    assert check_access(ACCESS["token"], ring, POLICY, claims.iat) == claims


def test_a_refresh_token_is_these_bytes():
    ring = ring_of(REFRESH, refresh_ring, "refresh")
    claims = msgspec.convert(REFRESH["claims"], RefreshClaims)
    assert mint(claims, ring.signing) == REFRESH["token"]
    assert check_refresh(REFRESH["token"], ring, POLICY, claims.iat) == claims


def test_a_session_row_mints_these_bytes():
    """Parallel tabs and lost answers converge only while row → token stays the same function."""
    claims = REFRESH["claims"]
    row = Session(
        id=claims["sid"],
        user_id=claims["sub"],
        epoch=0,
        generation=claims["gen"],
        rotated_at=claims["iat"] * 1000 + 123,
        kid=REFRESH["kid"],
        created_at=0,
        expires_at=claims["exp"] * 1000 + 10**9,
        auth_time=0,
        last_used_at=0,
        revoked_at=None,
        ip="",
        user_agent="",
    )
    ring = ring_of(REFRESH, refresh_ring, "refresh")
    assert mint(refresh_claims(row, POLICY), ring.signing) == REFRESH["token"]


@pytest.mark.parametrize("vector", [ACCESS, REFRESH], ids=["access", "refresh"])
def test_other_libraries_agree(vector):
    secret = bytes.fromhex(vector["material"])
    decoded = jwt.decode(
        vector["token"],
        secret,
        algorithms=["HS256"],
        options={"verify_exp": False, "verify_iat": False, "verify_aud": False},
    )
    assert decoded == vector["claims"]
    signed = jws.deserialize_compact(vector["token"], OctKey.import_key(secret), ["HS256"])
    assert json.loads(signed.payload) == vector["claims"]
    assert signed.headers() == {"alg": "HS256", "typ": vector["typ"], "kid": vector["kid"]}


def test_a_csrf_token_is_these_bytes():
    vector = VECTORS["csrf_token"]
    assert csrf_token(bytes.fromhex(vector["material"]), vector["binding"]) == vector["token"]


def test_a_key_is_sealed_into_these_bytes_and_opens_again():
    vector = VECTORS["sealed_key"]
    facts = {name: vector[name] for name in ("ring", "kid", "algorithm", "state", "created_at")}
    master = MasterSecret(vector["secret"])
    opened = master.unseal(bytes.fromhex(vector["sealed"]), **facts)
    assert opened.material == bytes.fromhex(vector["material"])
    assert master.seal(opened, bytes.fromhex(vector["nonce"])).hex() == vector["sealed"]


def test_a_password_is_hashed_into_these_bytes():
    vector = VECTORS["password_hash"]
    parameters = HashParameters(vector["memory_cost"], vector["time_cost"], vector["parallelism"])
    hashed = hash_password(vector["password"], bytes.fromhex(vector["salt"]), parameters)
    assert hashed == vector["hash"]


@pytest.mark.parametrize(
    ("hashed", "password"),
    [
        # Openwall's own vectors of crypt_blowfish.
        ("$2a$05$CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyOeW", "U*U"),
        ("$2a$05$CCCCCCCCCCCCCCCCCCCCC.VGOzA784oUp/Z0DY336zx7pLYAy0lwK", "U*U*"),
        ("$2a$05$XXXXXXXXXXXXXXXXXXXXXOAcXxm9kjPGEMsLznoKqmqw7tc8WCx4a", "U*U*U"),
        # The reference implementation's own vectors of argon2id.
        (
            "$argon2id$v=19$m=65536,t=2,p=1$c29tZXNhbHQ"
            "$CTFhFdXPJO1aFaMaO6Mm5c8y7cJHAph8ArZWb2GRPPc",
            "password",
        ),
        (
            "$argon2id$v=19$m=256,t=2,p=1$c29tZXNhbHQ$nf65EOgLrQMR/uIPnA4rEsF5h7TKyQwu9U1bMCHGi/4",
            "password",
        ),
    ],
    ids=["bcrypt U*U", "bcrypt U*U*", "bcrypt U*U*U", "argon2id 64 MiB", "argon2id 256 KiB"],
)
def test_hashes_of_others_are_verified_and_outdated(hashed: str, password: str):
    verdict = verify_password(hashed, password, HashParameters())
    assert verdict.ok
    assert verdict.outdated
    assert not verify_password(hashed, password + "x", HashParameters()).ok
