"""Access and refresh tokens: their claims, how they are minted, when they hold (RFC 7519, RFC 9068,
RFC 8725).

A payload must be exactly the bytes we would write for its claims. That refuses duplicate keys,
unknown claims, strings or floats for numbers and every other second spelling at once.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeVar

import msgspec

from authward.core.jose import BadToken, JoseKey, JoseRing
from authward.errors import InvalidRefreshToken, InvalidToken, RefreshTokenExpired, TokenExpired

MAX_ACCESS_CHARS = 8192
MAX_REFRESH_CHARS = 1024
SKEW = 60  # seconds that `iat` may lie ahead of our clock
_MAX_TIME = 253_402_300_799  # 9999-12-31T23:59:59Z


class AccessClaims(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """Claims of an access token, in the order they are written. Times are seconds since the epoch.

    `id` repeats `sub` for services written to the seed. `permissions` holds direct grants only;
    `roles` those that the account was given beside `role`.
    """

    iss: str
    aud: str
    sub: str
    id: str
    sid: str
    ver: int
    role: str
    iat: int
    exp: int
    jti: str
    auth_time: int
    email: str | None = None
    permissions: tuple[str, ...] = ()
    roles: tuple[str, ...] = ()


class RefreshClaims(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Claims of a refresh token: a session, a generation of it, and when that one was minted."""

    iss: str
    sub: str
    sid: str
    gen: int
    iat: int
    exp: int


@dataclass(frozen=True, slots=True)
class TokenPolicy:
    """What every token states and every check expects. Durations in seconds."""

    issuer: str
    audience: str
    access_ttl: int
    refresh_ttl: int
    token_email: bool = True


C = TypeVar("C", AccessClaims, RefreshClaims)

_encoder = msgspec.json.Encoder()
_access = msgspec.json.Decoder(AccessClaims)
_refresh = msgspec.json.Decoder(RefreshClaims)


def mint(claims: AccessClaims | RefreshClaims, key: JoseKey) -> str:
    """The claims as compact JWS under `key`."""
    return key.mint(_encoder.encode(claims))


def check_access(
    token: str, ring: JoseRing, policy: TokenPolicy, now: float, *, expired_too: bool = False
) -> AccessClaims:
    """The claims of an access token that holds at `now`.

    `expired_too` skips `exp` alone, where a token serves only to say whose it was.
    Raises TokenExpired, InvalidToken.
    """
    try:
        claims = _decode(ring.payload(token), _access)
    except BadToken as error:
        raise InvalidToken(str(error)) from None
    if claims.iss != policy.issuer:
        raise InvalidToken("iss is another issuer")
    if claims.aud != policy.audience:
        raise InvalidToken("aud does not name us")
    if not _plausible(claims.iat, claims.exp, now):
        raise InvalidToken("iat or exp out of range")
    if claims.exp <= now and not expired_too:
        raise TokenExpired("exp has passed")
    return claims


def check_refresh(
    token: str, ring: JoseRing, policy: TokenPolicy, now: float, *, expired_too: bool = False
) -> RefreshClaims:
    """The claims of a refresh token that holds at `now`. Raises RefreshTokenExpired,
    InvalidRefreshToken.
    """
    try:
        claims = _decode(ring.payload(token), _refresh)
    except BadToken as error:
        raise InvalidRefreshToken(str(error)) from None
    if claims.iss != policy.issuer:
        raise InvalidRefreshToken("iss is another issuer")
    if claims.gen < 0 or not _plausible(claims.iat, claims.exp, now):
        raise InvalidRefreshToken("gen, iat or exp out of range")
    if claims.exp <= now and not expired_too:
        raise RefreshTokenExpired("exp has passed")
    return claims


def _decode(payload: bytes, decoder: msgspec.json.Decoder[C]) -> C:
    try:
        claims = decoder.decode(payload)
    except ValueError as error:
        raise BadToken(f"claims: {type(error).__name__}") from None
    if _encoder.encode(claims) != payload:
        raise BadToken("claims are not written the way we write them")
    return claims


def _plausible(iat: int, exp: int, now: float) -> bool:
    return 0 <= iat <= now + SKEW and iat <= exp <= _MAX_TIME
