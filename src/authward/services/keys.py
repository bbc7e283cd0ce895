"""The key rings of a running process."""

from __future__ import annotations

import os
import secrets
from base64 import urlsafe_b64encode
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from authward.core.jose import JoseRing
from authward.core.keys import (
    HMAC_KEY_BYTES,
    NONCE_BYTES,
    RINGS,
    Key,
    MasterSecret,
    Ring,
    check_ring,
)
from authward.core.tokens import MAX_ACCESS_CHARS, MAX_REFRESH_CHARS
from authward.errors import ConfigurationError
from authward.ports import Chance, KeyStore, StoredKey


@dataclass(frozen=True, slots=True)
class Rings:
    """The rings in use, parsed. `csrf` holds the secrets that verify, `audit` the keys of the audit
    log; the signing one comes first.
    """

    access: JoseRing
    refresh: JoseRing
    csrf: tuple[bytes, ...]
    audit: tuple[Key, ...]


async def load_rings(store: KeyStore, master: MasterSecret, chance: Chance) -> Rings:
    """Open the stored rings, making a first key for each that has none.

    Raises ConfigurationError if the master secret is not the one they were sealed with, or a key is
    too weak.
    """
    fresh = [_first_key(ring, chance) for ring in RINGS]
    stored = await store.add_first(
        [
            StoredKey(
                key.kid,
                key.ring,
                key.algorithm,
                key.state,
                master.seal(key, chance(NONCE_BYTES)),
                0,
            )
            for key in fresh
        ]
    )
    return _rings(
        [
            master.unseal(
                one.sealed,
                ring=one.ring,
                kid=one.kid,
                algorithm=one.algorithm,
                state=one.state,
                created_at=one.created_at,
            )
            for one in stored
        ]
    )


def _rings(keys: Sequence[Key]) -> Rings:
    return Rings(
        access=JoseRing(keys, ring="access", typ="at+jwt", max_chars=MAX_ACCESS_CHARS),
        refresh=JoseRing(keys, ring="refresh", typ="rt+jwt", max_chars=MAX_REFRESH_CHARS),
        csrf=tuple(key.material for key in _hmac_ring(keys, "csrf")),
        audit=_hmac_ring(keys, "audit"),
    )


def _hmac_ring(keys: Sequence[Key], ring: Ring) -> tuple[Key, ...]:
    own = sorted(
        (key for key in keys if key.ring == ring and key.state in ("signing", "verifying")),
        key=lambda key: key.state != "signing",
    )
    check_ring(own)
    return tuple(own)


def _first_key(ring: Ring, chance: Chance) -> Key:
    kid = urlsafe_b64encode(chance(12)).decode()
    return Key(kid, ring, "HS256", "signing", chance(HMAC_KEY_BYTES), 0)


def read_secret_file(path: Path) -> str:
    """The secret in a file. Raises ConfigurationError if it cannot be read, or others may read
    it.
    """
    try:
        mode = path.stat().st_mode
        text = path.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"secret_file: {path} cannot be read ({error})") from error
    if os.name == "posix" and mode & 0o077:
        raise ConfigurationError(f"secret_file: others may read {path}. Run: chmod 600 {path}")
    return text


def make_secret_file(path: Path) -> str:
    """Make a secret in a new file only we can read, or read the one that is there. Safe for
    several processes at once.
    """
    if path.exists():
        return read_secret_file(path)
    # Written aside and linked into place: nobody ever sees half a secret, and of two makers one
    # wins.
    aside = path.with_name(f"{path.name}.{secrets.token_hex(8)}")
    try:
        descriptor = os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(secrets.token_urlsafe(48) + "\n")
            file.flush()
            os.fsync(file.fileno())
        try:
            os.link(aside, path)
        except FileExistsError:
            pass
        finally:
            aside.unlink()
    except OSError as error:
        raise ConfigurationError(f"secret_file: {path} cannot be written ({error})") from error
    return read_secret_file(path)
