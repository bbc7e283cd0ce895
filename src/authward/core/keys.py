"""Key rings: what a key is, when it may be used, and how it is sealed at rest.

A key's state is pending, signing, verifying or retired. Each ring (access, refresh, csrf) has keys
of its own, so no secret serves two purposes.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Literal, cast

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from cryptography.hazmat.primitives.serialization import load_der_private_key

from authward.errors import ConfigurationError

Ring = Literal["access", "refresh", "csrf"]
State = Literal["pending", "signing", "verifying", "retired"]
Algorithm = Literal["HS256", "EdDSA", "ES256", "RS256"]

RINGS: tuple[Ring, ...] = ("access", "refresh", "csrf")
HMAC_KEY_BYTES = 32
RSA_MIN_BITS = 2048
NONCE_BYTES = 12
_KID = re.compile(r"[A-Za-z0-9_-]{8,64}")
_WELL_KNOWN = ("secret", "changeme", "change-me", "your-secret", "your_jwt_secret", "default")


@dataclass(frozen=True, slots=True)
class Key:
    """One key. `material` is the raw secret of an HMAC key, or a private key as PKCS #8 DER."""

    kid: str
    ring: Ring
    algorithm: Algorithm
    state: State
    material: bytes = field(repr=False)
    created_at: int


def check_key(key: Key) -> None:
    """Refuse a key that is too weak or oddly named (RFC 8725 section 3.5; RFC 7518 sections 3.2 and
    3.3).
    """
    if not _KID.fullmatch(key.kid):
        raise ConfigurationError(
            f"key ring {key.ring}: kid must be 8 to 64 characters of A-Z a-z 0-9 _ -"
        )
    if key.algorithm == "HS256":
        if len(key.material) < HMAC_KEY_BYTES:
            raise ConfigurationError(
                f"key {key.kid}: an HS256 key needs at least {HMAC_KEY_BYTES} bytes"
            )
        return
    if key.ring != "access":
        raise ConfigurationError(f"key {key.kid}: the {key.ring} ring takes HS256 keys only")
    try:
        private = load_der_private_key(key.material, password=None)
    except ValueError as error:
        raise ConfigurationError(f"key {key.kid}: not a PKCS #8 private key") from error
    if key.algorithm == "RS256" and cast(RSAPrivateKey, private).key_size < RSA_MIN_BITS:
        raise ConfigurationError(f"key {key.kid}: an RSA key needs at least {RSA_MIN_BITS} bits")


def check_ring(keys: Iterable[Key]) -> None:
    """Refuse a ring with a weak key, two keys of one kid, or no key to sign with."""
    seen: set[str] = set()
    signing = 0
    for key in keys:
        check_key(key)
        if key.kid in seen:
            raise ConfigurationError(
                f"key {key.kid}: this kid is there twice; retire one of the two"
            )
        seen.add(key.kid)
        signing += key.state == "signing"
    if signing != 1:
        raise ConfigurationError(f"a key ring needs exactly one signing key, found {signing}")


class MasterSecret:
    """The one secret outside the database. It seals the key ring: HKDF-SHA256 to AES-256-GCM.

    `text` holds at least 32 bytes once decoded from hexadecimal or base64 (else its UTF-8 bytes
    count). Raises ConfigurationError for a short, repetitive or well-known value.
    """

    __slots__ = ("_aead",)

    def __init__(self, text: str) -> None:
        text = text.strip()
        cure = "Make one with: openssl rand -base64 32"
        if not text:
            raise ConfigurationError(f"secret: empty. {cure}")
        if len(_secret_bytes(text)) < 32:
            raise ConfigurationError(f"secret: shorter than 32 random bytes. {cure}")
        if len(set(text)) < 12 or any(
            text.lower().count(word) * len(word) * 2 >= len(text) for word in _WELL_KNOWN
        ):
            raise ConfigurationError(f"secret: a default or guessable value. {cure}")
        derived = HKDF(SHA256(), length=32, salt=None, info=b"authward key ring v1").derive(
            text.encode()
        )
        self._aead = AESGCM(derived)

    def seal(self, key: Key, nonce: bytes) -> bytes:
        """Encrypt the key's material; `nonce` is 12 fresh random bytes. Returns nonce, ciphertext
        and tag.
        """
        return nonce + self._aead.encrypt(
            nonce, key.material, _bound(key.ring, key.kid, key.algorithm, key.state)
        )

    def unseal(
        self,
        sealed: bytes,
        *,
        ring: Ring,
        kid: str,
        algorithm: Algorithm,
        state: State,
        created_at: int,
    ) -> Key:
        """Decrypt one stored key. Raises ConfigurationError if the secret or any bound field is
        another.
        """
        try:
            material = self._aead.decrypt(
                sealed[:NONCE_BYTES], sealed[NONCE_BYTES:], _bound(ring, kid, algorithm, state)
            )
        except (InvalidTag, ValueError) as error:
            raise ConfigurationError(
                f"secret: does not open key {kid}. Use the secret this database was made with"
            ) from error
        return Key(kid, ring, algorithm, state, material, created_at)


def _bound(*facts: str) -> bytes:
    return "\0".join(facts).encode()


def _secret_bytes(text: str) -> bytes:
    try:
        return bytes.fromhex(text)
    except ValueError:
        pass
    try:
        padded = text.replace("-", "+").replace("_", "/")
        return base64.b64decode(padded + "=" * (-len(padded) % 4), validate=True)
    except (binascii.Error, ValueError):
        return text.encode()
