"""Web origins (RFC 6454): parsed once, compared exactly."""

from __future__ import annotations

import re
from urllib.parse import urlsplit

from authward.errors import ConfigurationError

_ORIGIN = re.compile(
    r"(https?)://([a-z0-9.-]+|\[[0-9a-f:.]+\])(?::([0-9]{1,5}))?", re.ASCII | re.IGNORECASE
)
_DEFAULT_PORT = {"http": 80, "https": 443}


def parse_origin(text: str) -> str | None:
    """`text` as scheme://host[:port], lower case, without a default port; None if it is no http
    origin.

    Takes nothing but an origin: no path, no trailing slash, no user, not `null`.
    """
    found = _ORIGIN.fullmatch(text)
    if found is None:
        return None
    scheme, host = found[1].lower(), found[2].lower()
    port = int(found[3] or _DEFAULT_PORT[scheme])
    if not 0 < port < 65536:
        return None
    return f"{scheme}://{host}" if port == _DEFAULT_PORT[scheme] else f"{scheme}://{host}:{port}"


def configured_origin(text: str, setting: str) -> str:
    """A configured origin in its parsed form. Raises ConfigurationError with the likely intent."""
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
    guess = parse_origin(f"https://{text}")
    hint = f"Did you mean '{guess}'?" if guess else "Write it like 'https://app.example.com'"
    raise ConfigurationError(f"{setting}: '{text}' is not an origin. {hint}")


def _origin_in(text: str) -> str | None:
    """The origin of a longer URL."""
    try:
        parts = urlsplit(text)
    except ValueError:
        return None
    return parse_origin(f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}")
