"""The Host header: checked against a list, never trusted for links or origins."""

from __future__ import annotations

import re
from collections.abc import Container

# A port, and either a bracketed IPv6 address or a name (RFC 9112 section 3.2).
_HOST = re.compile(r"(\[[0-9a-f:.]+\]|[a-z0-9._-]+)(?::[0-9]{1,5})?", re.ASCII | re.IGNORECASE)
_LOOPBACK = re.compile(r"(.+\.)?localhost|127(\.[0-9]{1,3}){3}|\[::1\]", re.ASCII)
IN_PROCESS = frozenset({"testserver", "test"})
"""What the in-process test clients of Starlette and httpx send; no resolver answers for them."""


def host_name(header: str) -> str | None:
    """The host part of a Host header, lower case, without port or final dot; None if malformed."""
    found = _HOST.fullmatch(header)
    return found[1].lower().removesuffix(".") if found else None


def is_loopback(host: str) -> bool:
    """Whether `host` names this machine alone."""
    return _LOOPBACK.fullmatch(host) is not None


def host_allowed(header: str, allowed: Container[str] | None) -> bool:
    """Whether the Host header is one of `allowed` (any well-formed one if None). Loopback always
    is.
    """
    host = host_name(header)
    return host is not None and (allowed is None or host in allowed or is_loopback(host))
