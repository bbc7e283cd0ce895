"""Cookies: read without guessing, written with every flag (RFC 6265bis)."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from authward.errors import MalformedRequest


@dataclass(frozen=True, slots=True)
class CookieNames:
    """Names and flags of our cookies. In production Secure and `__Host-`, so no neighbouring host
    can plant one.
    """

    refresh: str
    csrf: str
    secure: bool

    @classmethod
    def of(cls, *, production: bool) -> CookieNames:
        """The names for an environment."""
        prefix = "__Host-" if production else ""
        return cls(f"{prefix}refreshToken", f"{prefix}x-csrf-token", production)


def read_cookie(headers: Iterable[tuple[bytes, bytes]], name: str) -> str | None:
    """The one cookie of this name, or None. Raises MalformedRequest if it is there twice: one of
    them was planted.
    """
    wanted = name.encode()
    found: list[bytes] = []
    for header, value in headers:
        if header == b"cookie":
            for pair in value.split(b";"):
                key, separator, content = pair.strip().partition(b"=")
                if separator and key == wanted:
                    found.append(content)
    if not found:
        return None
    if len(found) > 1:
        raise MalformedRequest(
            "duplicate cookie", text=f"The cookie {name} was sent more than once"
        )
    return found[0].decode("latin-1")


def set_cookie(name: str, value: str, *, max_age: int, secure: bool) -> bytes:
    """A `Set-Cookie` value: HttpOnly, SameSite=Strict, Path=/, no Domain. `max_age` in seconds; 0
    clears.
    """
    parts = [f"{name}={value}", f"Max-Age={max_age}", "Path=/", "HttpOnly", "SameSite=Strict"]
    if secure:
        parts.append("Secure")
    return "; ".join(parts).encode("latin-1")
