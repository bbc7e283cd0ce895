"""CSRF: may this cookie-authenticated, unsafe request be acted on? (OWASP CSRF Prevention Cheat
Sheet)

First where it came from (Origin, then Fetch Metadata), then the signed double-submit token.
"""

from __future__ import annotations

import hmac
from base64 import urlsafe_b64encode
from collections.abc import Container, Iterable
from enum import Enum, auto

from authward.core.origins import parse_origin
from authward.errors import CsrfFailed, OriginNotAllowed

_SAME_SITE = frozenset({None, "same-origin", "none"})
_MAX_TOKEN = 128


class Provenance(Enum):
    """What the browser said about where a request came from."""

    PROVEN = auto()
    UNPROVEN = auto()
    REFUSED = auto()


def provenance(origin: str | None, fetch_site: str | None, trusted: Container[str]) -> Provenance:
    """Judge `Origin` and `Sec-Fetch-Site`. `trusted` holds our own and the allow-listed origins,
    parsed.

    A trusted Origin passes whatever `Sec-Fetch-Site` says: app.example.com calling api.example.com
    sends `same-site`.
    """
    if origin is not None:
        return Provenance.PROVEN if parse_origin(origin) in trusted else Provenance.REFUSED
    return Provenance.UNPROVEN if fetch_site in _SAME_SITE else Provenance.REFUSED


def csrf_token(secret: bytes, binding: str) -> str:
    """The token of one session (or one anonymous id): an HMAC of it, the same in all tabs."""
    mac = hmac.digest(secret, b"authward csrf v1\0" + binding.encode(), "sha256")
    return urlsafe_b64encode(mac).rstrip(b"=").decode()


def check_csrf(
    where: Provenance, token: str | None, binding: str, secrets: Iterable[bytes], *, strict: bool
) -> None:
    """Refuse a request that a foreign page could have made. `secrets` are the ring's verifying
    keys.

    A wrong token is always refused; a missing one only where no Origin proved the request, or under
    `strict`. Raises OriginNotAllowed, CsrfFailed.
    """
    if where is Provenance.REFUSED:
        raise OriginNotAllowed("cross-site request on a cookie route")
    if token is None:
        if strict or where is not Provenance.PROVEN:
            raise CsrfFailed("token missing")
        return
    if len(token) > _MAX_TOKEN or not token.isascii():
        raise CsrfFailed("token malformed")
    # Every key is compared, so that time tells nothing about which one matched.
    matches = [hmac.compare_digest(token, csrf_token(secret, binding)) for secret in secrets]
    if not any(matches):
        raise CsrfFailed("token is not this session's")
