"""Servers whose access tokens are signed as a test wants it: a sealed key that is in the database
before the start. And hands that sign whatever they are told with such a key.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
import sqlite3
from contextlib import closing
from functools import cache
from typing import cast, get_args

from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa
from cryptography.hazmat.primitives.asymmetric.types import PrivateKeyTypes
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import load_der_private_key

from authward.core.keys import NONCE_BYTES, Algorithm, Key, MasterSecret, Ring, StoredKey
from authward.stores.sql import SqlStore
from tests.contracts.making import TurnedClock
from tests.minting import b64, pkcs8
from tests.serving import SECRET

ALGORITHMS: tuple[Algorithm, ...] = get_args(Algorithm)
PRIVATE: dict[Algorithm, str] = {"EdDSA": "ed25519", "ES256": "p256", "RS256": "rsa2048"}


def new_key(algorithm: Algorithm, ring: Ring = "access") -> Key:
    """A key as a server has it; a private one is the same in the whole run."""
    material = secrets.token_bytes(32) if algorithm == "HS256" else pkcs8(PRIVATE[algorithm])
    return Key(secrets.token_urlsafe(12), ring, algorithm, "signing", material, 0)


async def plant(database_url: str, *keys: Key) -> None:
    """Put keys into the rings of a migrated database, whose server has never started."""
    master = MasterSecret(SECRET)
    store = SqlStore(database_url, TurnedClock())
    await store.open()
    try:
        stored = await store.keys.add_first(
            [
                StoredKey(
                    key.kid,
                    key.ring,
                    key.algorithm,
                    key.state,
                    master.seal(key, secrets.token_bytes(NONCE_BYTES)),
                    0,
                )
                for key in keys
            ]
        )
        assert {key.kid for key in keys} == {one.kid for one in stored}
    finally:
        await store.close()


async def plant_anew(database_url: str, *keys: Key) -> None:
    """The same where others may have been planted before."""
    connection = sqlite3.connect(database_url.removeprefix("sqlite:///"))
    with closing(connection), connection:
        connection.execute("DELETE FROM keys")
    await plant(database_url, *keys)


def private_of(key: Key) -> PrivateKeyTypes:
    return _private(key.material)


@cache
def _private(material: bytes) -> PrivateKeyTypes:
    # OpenSSL proves the primes of an RSA key each time it is read.
    return load_der_private_key(material, password=None)


def signature(key: Key, signed: bytes) -> bytes:
    """What RFC 7518 writes for `signed`, made with no JOSE library."""
    if key.algorithm == "HS256":
        return hmac.new(key.material, signed, hashlib.sha256).digest()
    private = private_of(key)
    if isinstance(private, ed25519.Ed25519PrivateKey):
        return private.sign(signed)
    if isinstance(private, ec.EllipticCurvePrivateKey):
        pair = decode_dss_signature(private.sign(signed, ec.ECDSA(SHA256())))
        return b"".join(number.to_bytes(32, "big") for number in pair)
    return cast(rsa.RSAPrivateKey, private).sign(signed, padding.PKCS1v15(), SHA256())


def sign(key: Key, header: bytes, payload: bytes) -> str:
    """Compact JWS of any header and payload, by hand."""
    head = f"{b64(header)}.{b64(payload)}"
    return f"{head}.{b64(signature(key, head.encode()))}"
