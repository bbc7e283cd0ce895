"""CORS: which answer headers an Origin earns (Fetch standard, section 3.2)."""

from __future__ import annotations

from collections.abc import Iterable

from authward.core.origins import parse_origin

Header = tuple[bytes, bytes]

SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS", "TRACE"})
METHODS = b"GET, POST, PUT, PATCH, DELETE"
ALLOWED_HEADERS = b"Content-Type, Authorization, X-CSRF-Token"
EXPOSED_HEADERS = b"RateLimit-Limit, RateLimit-Remaining, RateLimit-Reset, Retry-After"
MAX_AGE = b"600"
VARY: Header = (b"vary", b"Origin")


class CorsPolicy:
    """An allow-list of parsed origins, with credentials."""

    __slots__ = ("_actual", "_preflight")

    def __init__(self, origins: Iterable[str]) -> None:
        self._actual: dict[str, tuple[Header, ...]] = {}
        self._preflight: dict[str, tuple[Header, ...]] = {}
        for origin in origins:
            shared = (
                (b"access-control-allow-origin", origin.encode()),
                (b"access-control-allow-credentials", b"true"),
            )
            self._actual[origin] = (*shared, (b"access-control-expose-headers", EXPOSED_HEADERS))
            self._preflight[origin] = (
                *shared,
                (b"access-control-allow-methods", METHODS),
                (b"access-control-allow-headers", ALLOWED_HEADERS),
                (b"access-control-max-age", MAX_AGE),
            )

    def allows(self, origin: str) -> bool:
        """Whether this Origin header names an allowed origin."""
        return origin in self._actual or parse_origin(origin) in self._actual

    def actual(self, origin: str) -> tuple[Header, ...]:
        """Headers for an answer to `origin`, beside `VARY`; empty if it is not allowed."""
        return self._actual.get(parse_origin(origin) or "", ())

    def preflight(self, origin: str) -> tuple[Header, ...]:
        """Headers for a preflight of `origin`, beside `VARY`; empty if it is not allowed."""
        return self._preflight.get(parse_origin(origin) or "", ())
