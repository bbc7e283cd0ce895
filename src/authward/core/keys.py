"""Key rings: what a key is, when it may be used, and how it is sealed at rest.

A key's state is pending, signing, verifying or retired. Each ring (access, refresh, csrf, audit)
has keys of its own, so no secret serves two purposes.
"""

from __future__ import annotations

import re
from base64 import b64decode
from collections.abc import Iterable
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Literal

from cryptography import x509
from cryptography.exceptions import InvalidTag, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, EllipticCurvePrivateKey
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from cryptography.hazmat.primitives.serialization import load_der_private_key, load_der_public_key

from authward.core.text import storable
from authward.errors import ConfigurationError

Ring = Literal["access", "refresh", "csrf", "audit"]
State = Literal["pending", "signing", "verifying", "retired"]
Algorithm = Literal["HS256", "EdDSA", "ES256", "RS256"]

RINGS: tuple[Ring, ...] = ("access", "refresh", "csrf", "audit")
HMAC_KEY_BYTES = 32
RSA_BITS = (2048, 4096)
NONCE_BYTES = 12
_KID = re.compile(r"[A-Za-z0-9_-]{8,64}")
_HEX = re.compile(r"[0-9a-fA-F]+")
_BASE64 = re.compile(r"[A-Za-z0-9+/_-]+={0,2}")
_SAMPLE_WORDS = re.compile(
    "secret|change|password|default|example|authward|replace|production|insecure|random|string"
    "|please|super|token|access|refresh|your|this|with|test|long|here|must|auth|jwt|csrf|key|dev"
    "|me|in|my"
)
# What people paste where a shared secret belongs; their text forms begin like this.
_PUBLIC_MARKS = (b"-----BEGIN ", b"---- BEGIN ", b"ssh-", b"ecdsa-sha2-", b"sk-ssh-", b"sk-ecdsa-")
_PRIVATE = {
    "EdDSA": Ed25519PrivateKey,
    "ES256": EllipticCurvePrivateKey,
    "RS256": RSAPrivateKey,
}


@dataclass(frozen=True, slots=True)
class Key:
    """One key. `material` is the raw secret of an HMAC key, or a private key as PKCS #8 DER."""

    kid: str
    ring: Ring
    algorithm: Algorithm
    state: State
    material: bytes = field(repr=False)
    created_at: int


@dataclass(frozen=True, slots=True)
class StoredKey:
    """A sealed key as it lies in the database. Times in milliseconds, None before they came. Of a
    retired key nothing is left to open: `sealed` is empty.
    """

    kid: str
    ring: Ring
    algorithm: Algorithm
    state: State
    sealed: bytes = field(repr=False)
    created_at: int
    signing_at: int | None = None
    verifying_at: int | None = None
    retired_at: int | None = None


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
        if _is_known_to_others(key.material):
            raise ConfigurationError(
                f"key {key.kid}: a public key or certificate is no secret. Use random bytes"
            )
        return
    if key.ring != "access":
        raise ConfigurationError(f"key {key.kid}: the {key.ring} ring takes HS256 keys only")
    try:
        private = load_der_private_key(key.material, password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise ConfigurationError(f"key {key.kid}: not a PKCS #8 private key") from error
    # One algorithm for each key, and that one must be able to use it (RFC 8725 section 3.1).
    if not isinstance(private, _PRIVATE[key.algorithm]):
        raise ConfigurationError(f"key {key.kid}: not a key for {key.algorithm}")
    if isinstance(private, EllipticCurvePrivateKey) and not isinstance(private.curve, SECP256R1):
        raise ConfigurationError(f"key {key.kid}: ES256 needs a key on P-256")
    if isinstance(private, RSAPrivateKey) and not RSA_BITS[0] <= private.key_size <= RSA_BITS[1]:
        raise ConfigurationError(
            f"key {key.kid}: an RSA key needs {RSA_BITS[0]} to {RSA_BITS[1]} bits"
        )


def _is_known_to_others(material: bytes) -> bool:
    """Whether an HMAC secret is really a public key, as in the confusion of HS256 with RS256."""
    if any(mark in material for mark in _PUBLIC_MARKS) or b'"kty"' in material:
        return True
    for load in (load_der_public_key, x509.load_der_x509_certificate):
        try:
            load(material)
        except (ValueError, UnsupportedAlgorithm):
            continue
        return True
    return False


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

    `text` is at least 32 random bytes, in hexadecimal, base64 or base64url. Raises
    ConfigurationError for anything else, and for what looks chosen rather than drawn: repetitive,
    well-known, or made of words.
    """

    __slots__ = ("_aead",)

    def __init__(self, text: str) -> None:
        text = text.strip()
        cure = "Make one with: openssl rand -base64 32"
        if not text:
            raise ConfigurationError(f"secret: empty. {cure}")
        if not storable(text):
            raise ConfigurationError(f"secret: not text. {cure}")
        packed = "".join(text.splitlines())
        decoded = _decoded(packed)
        if decoded is None:
            raise ConfigurationError(f"secret: neither base64 nor hexadecimal. {cure}")
        if len(decoded) < 32:
            raise ConfigurationError(f"secret: shorter than 32 random bytes. {cure}")
        if _guessable(packed) or _chosen(packed, decoded):
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
                f"secret: does not open key {kid}. Use the secret this database was made with; "
                "while you change it, give the one before as AUTHWARD_SECRET_PREVIOUS"
            ) from error
        return Key(kid, ring, algorithm, state, material, created_at)


def _bound(*facts: str) -> bytes:
    return "\0".join(facts).encode()


def _decoded(text: str) -> bytes | None:
    """The bytes that `text` stands for in hexadecimal, base64 or base64url; None if in none."""
    if _HEX.fullmatch(text):
        return bytes.fromhex(text) if len(text) % 2 == 0 else None
    if not _BASE64.fullmatch(text):
        return None
    digits = text.rstrip("=").replace("-", "+").replace("_", "/")
    try:
        return b64decode(digits + "=" * (-len(digits) % 4))
    except ValueError:
        return None


def _chosen(text: str, decoded: bytes) -> bool:
    """Whether somebody wrote this: encoded text, or words in the letters of base64. Of ten million
    random secrets less than ten look so.
    """
    try:
        decoded.decode()
    except UnicodeDecodeError:
        pass
    else:
        return True
    if _HEX.fullmatch(text):
        return False
    kinds = [(mark.isupper(), mark.islower(), mark.isdigit()) for mark in text]
    turns = sum(before != after for before, after in pairwise(kinds))
    upper, lower, _ = (sum(column) for column in zip(*kinds, strict=True))
    return min(upper, lower) < 3 or turns * 4 < len(text) or len(set(text)) < 18


def _guessable(text: str) -> bool:
    """Few different characters, mostly words of sample files, one block repeated, or a row of
    neighbours like `abcdef`.
    """
    left = _SAMPLE_WORDS.sub("", text.lower())
    rows = sum(abs(ord(after) - ord(before)) == 1 for before, after in pairwise(text))
    return (
        len(set(text)) < 12
        or len(left) * 2 < len(text)
        or rows * 2 > len(text)
        or any(text[step:] == text[:-step] for step in range(1, len(text) // 2 + 1))
    )
