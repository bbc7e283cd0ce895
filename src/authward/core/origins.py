"""Web origins (RFC 6454): parsed once, compared exactly."""

from __future__ import annotations

import re
from collections.abc import Container, Iterable
from urllib.parse import urlsplit

from authward.core.hosts import check_apex, is_below
from authward.core.paths import several
from authward.errors import ConfigurationError

_ORIGIN = re.compile(
    r"(https?)://([a-z0-9.-]+|\[[0-9a-f:.]+\])(?::([0-9]{1,5}))?", re.ASCII | re.IGNORECASE
)
_PATTERN = re.compile(r"(https?://)?\*\.(.+)", re.IGNORECASE)
_DEFAULT_PORT = {"http": 80, "https": 443}
_LONGEST = 300  # a name has at most 253 characters (RFC 1035 section 2.3.4)


def parse_origin(text: str) -> str | None:
    """`text` as scheme://host[:port], lower case, without a default port; None if it is no http
    origin.

    Takes nothing but an origin: no path, no trailing slash, no user, not `null`.
    """
    found = _ORIGIN.fullmatch(text) if len(text) <= _LONGEST else None
    if found is None:
        return None
    scheme, host = found[1].lower(), found[2].lower()
    port = int(found[3] or _DEFAULT_PORT[scheme])
    if not 0 < port < 65536:
        return None
    return f"{scheme}://{host}" if port == _DEFAULT_PORT[scheme] else f"{scheme}://{host}:{port}"


def configured_origin(text: str, setting: str, *, below: str = "") -> str:
    """A configured origin in its parsed form. Raises ConfigurationError with the likely intent.
    `below` is how one says "all below this origin", `{}`, where that can be said.
    """
    parsed = parse_origin(text)
    if parsed is not None:
        return parsed
    if text == "*":
        raise ConfigurationError(
            f"{setting}: '*' with credentials would let every site in. List the origins"
        )
    if text == "null":
        raise ConfigurationError(
            f"{setting}: 'null' is what sandboxed attackers send. List real origins"
        )
    guess = _origin_in(text)
    if guess is not None:
        raise ConfigurationError(
            f"{setting}: '{text}' has more than an origin. Did you mean '{guess}'?"
        )
    pattern = _PATTERN.fullmatch(text)
    apex = pattern and parse_origin(f"{pattern[1] or 'https://'}{pattern[2]}")
    if apex:
        cure = f", or say {below.format(repr(apex))}" if below else ""
        raise ConfigurationError(
            f"{setting}: '{text}' is not an origin, but a pattern. Write each origin out{cure}"
        )
    if not text.isascii():
        raise ConfigurationError(
            f"{setting}: '{text}' is not an origin. Write it like 'https://app.example.com', "
            "other alphabets as xn--…"
        )
    guess = parse_origin(f"https://{text}")
    hint = f"Did you mean '{guess}'?" if guess else "Write it like 'https://app.example.com'"
    raise ConfigurationError(f"{setting}: '{text}' is not an origin. {hint}")


def configured_own(given: Container[str], option: str) -> Container[str]:
    """A server's own origins, parsed. What can only be asked, and not gone through, is taken as it
    is. Raises ConfigurationError.
    """
    if not isinstance(given, Iterable):
        if isinstance(given, type) or not isinstance(given, Container):
            raise ConfigurationError(
                f"{option}: {given!r} is no list of origins. Write {option}=['https://…']"
            )
        return given
    # `in` finds a part of a text: 'https://app.example' in 'https://app.example.com'.
    return frozenset(configured_origin(one, option) for one in several(option, given))


class Subdomains:
    """All origins below one: same scheme, same port, any depth, never that one itself.

    https only, since whoever sits on the network can be any name on http; except below localhost.
    Raises ConfigurationError.
    """

    __slots__ = ("_apex", "_port", "_scheme", "apex")

    def __init__(self, written: str, option: str) -> None:
        pattern = _PATTERN.fullmatch(written)
        plain = f"{pattern[1] or 'https://'}{pattern[2]}" if pattern else written
        parsed = configured_origin(plain, option)
        if parsed != parse_origin(written):
            raise ConfigurationError(
                f"{option}: '{written}' has a wildcard. All names below are meant anyway. "
                f"Did you mean '{parsed}'?"
            )
        self.apex = parsed
        """The one they are below."""
        self._scheme, host, self._port = _parts(parsed)
        self._apex = host
        check_apex(host, option, written)
        if self._scheme != "https" and host != "localhost":
            raise ConfigurationError(
                f"{option}: '{written}' is plain http, where anybody on the network can be any "
                f"name. Did you mean '{parsed.replace('http', 'https', 1)}'?"
            )

    def hold(self, origin: str) -> bool:
        """Whether a parsed origin is one of them."""
        scheme, host, port = _parts(origin)
        return scheme == self._scheme and port == self._port and is_below(host, self._apex)


def _parts(parsed: str) -> tuple[str, str, str]:
    """Scheme, host and port (empty for the default one) of a parsed origin."""
    scheme, _, rest = parsed.partition("://")
    if rest[0] == "[":
        host, _, port = rest.partition("]")
        return scheme, host + "]", port
    host, _, port = rest.partition(":")
    return scheme, host, port


def _origin_in(text: str) -> str | None:
    """The origin of a longer URL."""
    try:
        parts = urlsplit(text)
    except ValueError:
        return None
    return parse_origin(f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}")
