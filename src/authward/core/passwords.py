"""Passwords: which may be set, and how they are hashed and verified (NIST SP 800-63B-4, OWASP ASVS
6.2).

A password counts in code points and is hashed exactly as received: no trimming, folding or
truncation.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

import bcrypt
from argon2 import Parameters, PasswordHasher, extract_parameters
from argon2.exceptions import InvalidHashError, VerificationError
from argon2.low_level import ARGON2_VERSION, Type, hash_secret

from authward.core.text import storable
from authward.errors import ConfigurationError, Detail, ValidationError

MAX_LENGTH = 256
SALT_BYTES = 16
BCRYPT_MAX_BYTES = 72
MAX_SHARED_COST = 14
"""The bcrypt cost, some 1 s, past which a hash is neither imported nor made the cost of everybody's
failed sign-in. One that is there already is verified all the same, and replaced.
"""
COSTLY = 12
"""The bcrypt cost above which an import warns."""
ARGON2 = "$argon2"
# A cost above 17 (some 10 s) in an imported hash would only block the lane; so would gigabytes.
_BCRYPT = re.compile(r"\$2[aby]\$(0[4-9]|1[0-7])\$[./A-Za-z0-9]{53}")
_MAX_MEMORY_COST = 1 << 20
_MAX_TIME_COST = 64
_MAX_LANES = 16
# OWASP Password Storage Cheat Sheet: rungs of equal strength, memory in KiB -> least time cost.
_RUNGS = ((47104, 1), (19456, 2), (12288, 3), (9216, 4), (7168, 5))


@dataclass(frozen=True, slots=True)
class HashParameters:
    """argon2id cost: memory in KiB, passes, lanes. Below OWASP's weakest rung raises
    ConfigurationError.
    """

    memory_cost: int = 19456
    time_cost: int = 2
    parallelism: int = 1

    def __post_init__(self) -> None:
        if self.parallelism < 1 or not any(
            self.memory_cost >= memory and self.time_cost >= passes for memory, passes in _RUNGS
        ):
            raise ConfigurationError(
                f"argon2: m={self.memory_cost} t={self.time_cost} p={self.parallelism} "
                "is below OWASP's minimum. Use at least m=19456 t=2 p=1"
            )


@dataclass(frozen=True, slots=True)
class Verdict:
    """Whether a password matched, and whether its hash should be replaced by one of today's
    parameters.
    """

    ok: bool
    outdated: bool = False


def check_new_password(password: str, min_length: int, field: str = "password") -> None:
    """Refuse a password that may not be set. Raises ValidationError."""
    if len(password) < min_length:
        raise ValidationError(
            details=[Detail(field, "too_short", f"Use at least {min_length} characters")]
        )
    if len(password) > MAX_LENGTH:
        raise ValidationError(
            details=[Detail(field, "too_long", f"Use at most {MAX_LENGTH} characters")]
        )
    if not storable(password):
        raise ValidationError(details=[Detail(field, "not_text", "NUL cannot be part of it")])


def hash_password(password: str, salt: bytes, parameters: HashParameters) -> str:
    """argon2id in PHC form. `salt` is 16 random bytes. About 25 ms: call it in the hashing lane
    only.
    """
    return hash_secret(
        password.encode(),
        salt,
        time_cost=parameters.time_cost,
        memory_cost=parameters.memory_cost,
        parallelism=parameters.parallelism,
        hash_len=32,
        type=Type.ID,
        version=ARGON2_VERSION,
    ).decode()


def verify_password(hashed: str, password: str, parameters: HashParameters) -> Verdict:
    """Check `password` against an argon2id or bcrypt hash. An unreadable hash matches nothing."""
    # A lone surrogate is in no password that was ever set; it must cost what a wrong one costs.
    raw = password.encode("utf-8", "surrogatepass")
    if hashed.startswith("$2"):
        return Verdict(_verify_bcrypt(hashed, raw), outdated=True)
    found = _argon2id(hashed)
    if found is None:
        return Verdict(False)
    try:
        PasswordHasher().verify(hashed, raw)
    except (VerificationError, ValueError):
        return Verdict(False)
    wanted = (ARGON2_VERSION, parameters.memory_cost, parameters.time_cost, parameters.parallelism)
    present = (found.version, found.memory_cost, found.time_cost, found.parallelism)
    return Verdict(True, outdated=present != wanted)


def known_scheme(hashed: str) -> bool:
    """Whether `verify_password` can ever accept this hash: argon2id in PHC form, or bcrypt 2a, 2b,
    2y, at a cost a server can bear.
    """
    return scheme_of(hashed) is not None


def bcrypt_cost(hashed: str) -> int | None:
    """The cost of a bcrypt hash that can match; None for anything else."""
    found = _BCRYPT.fullmatch(hashed)
    return None if found is None else int(found[1])


def bcrypt_scheme(cost: int) -> str:
    """The name of all bcrypt hashes of one cost: 2a, 2b and 2y take the same work."""
    return f"$2b${cost:02}$"


def scheme_of(hashed: str) -> str | None:
    """What verifying this hash costs: `$argon2`, or a `bcrypt_scheme`. None for what no password
    can match, which costs nothing.
    """
    cost = bcrypt_cost(hashed)
    if cost is not None:
        return bcrypt_scheme(cost)
    return None if _argon2id(hashed) is None else ARGON2


def _argon2id(hashed: str) -> Parameters | None:
    try:
        found = extract_parameters(hashed)
    except InvalidHashError:
        return None
    bearable = (
        found.memory_cost <= _MAX_MEMORY_COST
        and found.time_cost <= _MAX_TIME_COST
        and found.parallelism <= _MAX_LANES
    )
    return found if found.type is Type.ID and bearable else None


def _verify_bcrypt(hashed: str, raw: bytes) -> bool:
    # bcrypt reads 72 bytes and stops: longer passwords that share them would all match. It reads
    # a password and its closing NUL over and over: to it `abc` and `abc\0abc` are one.
    if len(raw) > BCRYPT_MAX_BYTES or b"\0" in raw or not _BCRYPT.fullmatch(hashed):
        return False
    try:
        return bcrypt.checkpw(raw, hashed.encode())
    except ValueError:
        return False
