"""The Host header: checked against a list, never trusted for links or origins."""

from __future__ import annotations

import re
from collections.abc import Container, Iterable

from authward.core.paths import several
from authward.errors import ConfigurationError

# A port, and either a bracketed IPv6 address or a name (RFC 9112 section 3.2).
_HOST = re.compile(r"(\[[0-9a-f:.]+\]|[a-z0-9._-]+)(?::[0-9]{1,5})?", re.ASCII | re.IGNORECASE)
_LOOPBACK = re.compile(r"(.+\.)?localhost|127(\.[0-9]{1,3}){3}|\[::1\]", re.ASCII)
_LABEL = "[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?"
_LABELS = re.compile(rf"(?:{_LABEL}\.)+", re.ASCII)
_NAME = re.compile(rf"(?:{_LABEL}\.)*{_LABEL}", re.ASCII)
_SHARED = re.compile(
    r"(ac|co|gov|org)\.uk|(com|net|org)\.au|(ac|co|ne|or)\.jp|(co|com)\.(il|in|kr|nz|za)"
    r"|com\.(br|cn|hk|mx|sg|tr|tw)|(amazonaws|appspot|blogspot|firebaseapp|herokuapp)\.com"
    r"|(azurewebsites|azurestaticapps|cloudfront)\.net|(fly|pages|workers)\.dev"
    r"|(github|gitlab|ngrok|readthedocs)\.io|(netlify|ngrok-free|run|vercel|web)\.app"
    r"|(onrender|trycloudflare)\.com|up\.railway\.app"
)
"""Well-known names below which strangers get names of their own. The whole list is long, and grows:
publicsuffix.org.
"""
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


def is_below(host: str, apex: str) -> bool:
    """Whether `host` is a well-formed name below `apex`, at any depth, and not `apex` itself."""
    return host.endswith("." + apex) and _LABELS.fullmatch(host[: -len(apex)]) is not None


def check_apex(host: str, option: str, written: str) -> None:
    """Refuse a rule for all names below `host` where those are not one owner's, or none. Raises
    ConfigurationError.
    """
    if not _NAME.fullmatch(host):
        raise ConfigurationError(
            f"{option}: '{written}' does not end in a name. Write it like 'example.com', "
            "other alphabets as xn--…"
        )
    if host.rpartition(".")[2].isdigit():
        raise ConfigurationError(
            f"{option}: '{written}' is an address, and nothing is below one. List whole addresses"
        )
    # Every name below localhost is this machine.
    if ("." not in host and host != "localhost") or _SHARED.fullmatch(host):
        raise ConfigurationError(
            f"{option}: '{written}' would let in whoever has a name below '{host}'. "
            "Name a domain of your own"
        )


def configured_host(text: str) -> str:
    """The name of a host that a setting lists; its port does not count. Raises ConfigurationError
    for what no Host header could name.
    """
    host = host_name(text)
    if host is not None and (host[0] == "[" or _NAME.fullmatch(host)):
        return host
    if "*" in text:
        raise _no_host(text, "Names are compared whole. Write each out")
    raise _no_host(text, _meant(text))


class HostList:
    """Hosts by their exact name, and by `*.example.com` all names below one, never that one itself.
    Ports are not compared. This machine's own names count only if listed.

    Raises ConfigurationError for what is no name, and for an empty list.
    """

    __slots__ = ("_exact", "_headers", "_parents")

    def __init__(self, hosts: Iterable[str]) -> None:
        names = list(several("hosts", hosts))
        if not names:
            raise ConfigurationError(
                "hosts: there is none, so every request would be refused. "
                "Write hosts=['api.example.com']"
            )
        self._exact = frozenset(_exact(name) for name in names if not name.startswith("*."))
        self._parents = tuple({_parent(name) for name in names if name.startswith("*.")})
        # The usual spelling needs no parsing.
        self._headers = frozenset(name.encode() for name in self._exact)

    def allows(self, header: bytes) -> bool:
        """Whether a Host header names one of them."""
        if header in self._headers:
            return True
        host = host_name(header.decode("latin-1"))
        return host is not None and (
            host in self._exact or any(is_below(host, parent) for parent in self._parents)
        )


def _exact(text: str) -> str:
    host = host_name(text)
    if host is not None and ":" not in text.rpartition("]")[2]:
        if host[0] != "[" and not _NAME.fullmatch(host):
            raise _no_host(text, "")
        return host
    if text == "*":
        raise ConfigurationError(
            "hosts: '*' would let in any. List the names, or leave TrustedHost away"
        )
    if host is not None:
        raise ConfigurationError(
            f"hosts: '{text}' has a port, and ports are not compared. Did you mean '{host}'?"
        )
    if "*" in text:
        raise _no_host(text, "'*.example.com' stands for all names below one")
    raise _no_host(text, _meant(text))


def _meant(text: str) -> str:
    guess = host_name(text.partition("://")[2].partition("/")[0] or f"[{text}]")
    return f"Did you mean '{guess}'?" if guess else ""


def _parent(text: str) -> str:
    apex = text[2:].lower().removesuffix(".")
    if ":" in apex:
        raise ConfigurationError(
            f"hosts: '{text}' has a port, and ports are not compared. "
            f"Did you mean '{text.partition(':')[0]}'?"
        )
    check_apex(apex, "hosts", text)
    return apex


def _no_host(text: str, cure: str) -> ConfigurationError:
    cure = cure or "Write it like 'api.example.com', other alphabets as xn--…"
    return ConfigurationError(f"hosts: '{text}' is not a host. {cure}")
