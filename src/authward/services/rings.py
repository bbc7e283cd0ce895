"""Key rings as a process uses them, and the master secrets that open them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from cryptography.hazmat.primitives.asymmetric.ec import (
    SECP256R1,
    EllipticCurvePrivateKey,
    generate_private_key,
)
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.asymmetric.rsa import generate_private_key as generate_rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from authward.core.jose import JoseRing
from authward.core.jwks import jwks
from authward.core.keys import (
    HMAC_KEY_BYTES,
    NONCE_BYTES,
    RSA_BITS,
    Algorithm,
    Key,
    MasterSecret,
    Ring,
    State,
    StoredKey,
    check_ring,
)
from authward.core.tokens import MAX_ACCESS_CHARS, MAX_REFRESH_CHARS
from authward.errors import ConfigurationError
from authward.ports import Chance

# In the order in which a ring tries them: who signs, then who did, then who will.
_ORDER: Mapping[State, int] = {"signing": 0, "verifying": 1, "pending": 2}


@dataclass(frozen=True, slots=True)
class Rings:
    """The rings in use, parsed, and all their `keys`. `csrf` holds the secrets that verify, `audit`
    the keys of the audit log; the signing one comes first. `jwks` is what others may know of the
    access ring.
    """

    keys: tuple[Key, ...]
    access: JoseRing
    refresh: JoseRing
    csrf: tuple[bytes, ...]
    audit: tuple[Key, ...]
    jwks: bytes

    @classmethod
    def of(cls, keys: Sequence[Key]) -> Rings:
        """Raises ConfigurationError for a ring that cannot be used."""
        access = JoseRing(keys, ring="access", typ="at+jwt", max_chars=MAX_ACCESS_CHARS)
        return cls(
            keys=tuple(keys),
            access=access,
            refresh=JoseRing(keys, ring="refresh", typ="rt+jwt", max_chars=MAX_REFRESH_CHARS),
            csrf=tuple(key.material for key in _hmac_ring(keys, "csrf")),
            audit=_hmac_ring(keys, "audit"),
            jwks=jwks(access.keys),
        )


class Seals:
    """The master secret, and the one before it while it is being changed. Seals and opens keys."""

    def __init__(
        self, master: MasterSecret, chance: Chance, previous: MasterSecret | None = None
    ) -> None:
        self._master = master
        self._previous = previous
        self._chance = chance

    def open(self, stored: Iterable[StoredKey]) -> Rings:
        """The rings of these keys, each under whichever of the secrets opens it. Raises
        ConfigurationError if none does, or a key is too weak.
        """
        return Rings.of([self._key(one) for one in stored if one.state != "retired"])

    def check(self, stored: Iterable[StoredKey]) -> None:
        """Refuse to go on where a key that lives is opened by none of the secrets. Raises
        ConfigurationError.
        """
        for one in stored:
            if one.state != "retired":
                self._key(one)

    def audit(self, stored: Iterable[StoredKey]) -> tuple[Key, ...]:
        """The keys of the audit log, the signing one first, under whichever of the secrets. Raises
        ConfigurationError.
        """
        return _hmac_ring([self._key(one) for one in stored if one.ring == "audit"], "audit")

    def seal(self, key: Key) -> StoredKey:
        """The key as it may be stored."""
        sealed = self._master.seal(key, self._chance(NONCE_BYTES))
        return StoredKey(key.kid, key.ring, key.algorithm, key.state, sealed, key.created_at)

    def outdated(self, stored: StoredKey) -> bool:
        """Whether only the secret before opens this key. Raises ConfigurationError if neither
        does.
        """
        if stored.state == "retired" or self._previous is None:
            return False
        try:
            _opened(self._master, stored)
        except ConfigurationError:
            _opened(self._previous, stored)
            return True
        return False

    def renewed(self, stored: StoredKey) -> StoredKey:
        """The same key under the present secret. Raises ConfigurationError."""
        return replace(stored, sealed=self.seal(self._key(stored)).sealed)

    def moved(self, stored: StoredKey, state: State, now: int) -> StoredKey:
        """The key in another state since `now`. What is retired can never be opened again. Raises
        ConfigurationError.
        """
        if state == "retired":
            return replace(stored, state=state, sealed=b"", retired_at=now)
        key = replace(self._key(stored), state=state)
        moved = replace(stored, state=state, sealed=self.seal(key).sealed)
        if state == "signing":
            return replace(moved, signing_at=now)
        return replace(moved, verifying_at=now)

    def _key(self, stored: StoredKey) -> Key:
        try:
            return _opened(self._master, stored)
        except ConfigurationError:
            if self._previous is None:
                raise
            return _opened(self._previous, stored)


def new_key(ring: Ring, algorithm: Algorithm, state: State, chance: Chance) -> Key:
    """A key nobody has seen. An RSA key takes a good part of a second."""
    # In hexadecimal: no kid begins with a dash, which commands would take for an option.
    return Key(chance(12).hex(), ring, algorithm, state, _material(algorithm, chance), 0)


def _material(algorithm: Algorithm, chance: Chance) -> bytes:
    if algorithm == "HS256":
        return chance(HMAC_KEY_BYTES)
    return _private(algorithm).private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())


def _private(algorithm: Algorithm) -> Ed25519PrivateKey | EllipticCurvePrivateKey | RSAPrivateKey:
    if algorithm == "EdDSA":
        return Ed25519PrivateKey.generate()
    if algorithm == "ES256":
        return generate_private_key(SECP256R1())
    return generate_rsa(65537, RSA_BITS[0])


def _opened(master: MasterSecret, stored: StoredKey) -> Key:
    return master.unseal(
        stored.sealed,
        ring=stored.ring,
        kid=stored.kid,
        algorithm=stored.algorithm,
        state=stored.state,
        created_at=stored.created_at,
    )


def _hmac_ring(keys: Sequence[Key], ring: Ring) -> tuple[Key, ...]:
    own = sorted(
        (key for key in keys if key.ring == ring and key.state != "retired"),
        key=lambda key: _ORDER[key.state],
    )
    check_ring(own)
    return tuple(own)
