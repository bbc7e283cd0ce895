"""CSRF: may this cookie-authenticated, unsafe request be acted on? (OWASP CSRF Prevention Cheat
Sheet)

First where it came from (Origin, then Fetch Metadata), then the signed double-submit token.
"""

from __future__ import annotations

import hmac
import re
from base64 import urlsafe_b64encode
from collections.abc import Container, Iterable, Sequence
from enum import Enum, auto
from html import escape
from uuid import UUID

from authward.core.origins import configured_origin, parse_origin
from authward.core.paths import several
from authward.errors import ConfigurationError, CsrfFailed, OriginNotAllowed

ANONYMOUS_BYTES = 16
_SAME_SITE = frozenset({None, "same-origin", "none"})
_MAX_TOKEN = 128
_SECRET_BYTES = 32
_DIFFERENT_BYTES = 8  # 16 random bytes in hex, the least varied that is long enough, have more
_DAY_S = 86_400
_ANONYMOUS_ID = re.compile(r"[0-9a-f]{32}")
_PLAIN_NAME = re.compile(r"[A-Za-z0-9*._-]{1,64}")


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
    mac = hmac.digest(
        secret, b"authward csrf v1\0" + binding.encode("utf-8", "surrogatepass"), "sha256"
    )
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


def session_of(found: object) -> str | None:
    """The session that the app's `binding` found; None without one. Raises ConfigurationError for
    what is no id: a token is bound to its text, and the text of most objects says the same for
    every session. That of a coroutine does.
    """
    if not found:
        return None
    if isinstance(found, str | UUID) or type(found) is int:
        return str(found)
    raise ConfigurationError(
        f"binding: a {type(found).__name__} is no session's id. Return text, a whole number or a "
        "UUID, or None; and write def, not async def"
    )


def session_binding(session_id: str) -> str:
    """What the token of a session is bound to."""
    return f"session\0{session_id}"


def anonymous_binding(anonymous_id: str) -> str:
    """What the token of a browser without a session is bound to: never what a session is, so that
    the id in a planted cookie may be a session's and still earns nothing of it.
    """
    return f"anonymous\0{anonymous_id}"


def is_anonymous_id(text: str) -> bool:
    """Whether we could have made it: `ANONYMOUS_BYTES` in hex."""
    return _ANONYMOUS_ID.fullmatch(text) is not None


def anonymous_cookie(name: str, anonymous_id: str, *, secure: bool) -> bytes:
    """The `Set-Cookie` value that gives a browser its anonymous id for a day.

    Lax, not Strict: who comes by a link of another site would get a new id, and the forms in the
    tabs already open would be refused. The id authorises nothing.
    """
    flags = "; Secure" if secure else ""
    return (
        f"{name}={anonymous_id}; Max-Age={_DAY_S}; Path=/; HttpOnly; SameSite=Lax{flags}"
    ).encode()


class FormField:
    """The hidden field that carries the token of a form without JavaScript. Its name is one that
    browsers send as it is written (URL standard, urlencoded serializing): ASCII letters, digits,
    `*-._`. Raises ConfigurationError.
    """

    __slots__ = ("_pairs", "name")

    def __init__(self, name: str) -> None:
        given: object = name
        if not isinstance(given, str) or not _PLAIN_NAME.fullmatch(given):
            raise ConfigurationError(
                f"form_field: {name!r} is no plain field name. Use '_csrf', or letters and digits"
            )
        self.name = name
        self._pairs = re.compile(rb"(?:\A|&)" + re.escape(name.encode()) + rb"=([^&]*)")

    def html(self, token: str) -> str:
        """The field as HTML."""
        return f'<input type="hidden" name="{escape(self.name)}" value="{escape(token)}">'

    def read(self, body: bytes, *, whole: bool) -> str | None:
        """The token of a urlencoded body, or of its beginning; None without one.

        Nothing is decoded: browsers write tokens as they are. What is there twice is as good as
        wrong.
        """
        if not whole:
            body = body.rpartition(b"&")[0]
        found: list[bytes] = self._pairs.findall(body)
        return b"&".join(found).decode("latin-1") if found else None


def checked_secrets(secrets: Sequence[bytes] | str) -> tuple[bytes, ...]:
    """The secrets that sign, the first, and verify, all. Raises ConfigurationError."""
    cure = "Make one with: python -c 'import secrets; print(secrets.token_hex(32))'"
    if isinstance(secrets, bytes | str):
        raise ConfigurationError("secrets: this is one. Did you mean secrets=[secret]?")
    if not secrets:
        raise ConfigurationError(f"secrets: there is none to sign with. {cure}")
    for at, secret in enumerate(secrets):
        if not isinstance(secret, bytes):
            raise ConfigurationError(f"secrets: number {at + 1} is not bytes. Use bytes.fromhex")
        if len(secret) < _SECRET_BYTES:
            raise ConfigurationError(
                f"secrets: number {at + 1} has fewer than {_SECRET_BYTES} bytes. {cure}"
            )
        if len(set(secret)) < _DIFFERENT_BYTES:
            raise ConfigurationError(
                f"secrets: number {at + 1} is guessable: few different bytes, repeated. {cure}"
            )
    return tuple(secrets)


def trusted_origins(origins: Iterable[str], *, secure: bool) -> frozenset[str]:
    """The origins of one's own pages, parsed. Raises ConfigurationError."""
    trusted = frozenset(configured_origin(one, "origins") for one in several("origins", origins))
    if not trusted:
        raise ConfigurationError(
            "origins: there is none, so no browser could send anything. Name the origin your pages "
            "are served from, like 'https://app.example.com'"
        )
    for one in sorted(trusted):
        # The http twin of a trusted origin is whoever sits on the network (CVE-2025-24358).
        if secure and not one.startswith("https:"):
            raise ConfigurationError(
                f"origins: '{one}' is not https, and secure=True. Use https; or secure=False, in "
                "development"
            )
    return trusted
