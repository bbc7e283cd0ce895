"""CORS: which answer headers an Origin earns (Fetch standard, CORS protocol)."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from copy import copy
from typing import NamedTuple

from authward.core.flags import flag
from authward.core.functions import plain_function
from authward.core.methods import check_method
from authward.core.origins import Subdomains, configured_origin, parse_origin
from authward.core.paths import several
from authward.errors import ConfigurationError

Header = tuple[bytes, bytes]

SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS", "TRACE"})
METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE")
ALLOWED_HEADERS = ("Content-Type", "Authorization", "X-CSRF-Token")
EXPOSED_HEADERS = ("RateLimit-Limit", "RateLimit-Remaining", "RateLimit-Reset", "Retry-After")
MAX_AGE = 600
VARY: Header = (b"vary", b"Origin")

REMEMBERED = 1024
"""For how many origins that a rule lets in, or `allow`, the headers are kept."""

_LONGEST_AGE = 86_400  # Firefox caps here, Chromium at two hours
_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+", re.ASCII)  # RFC 9110 section 5.6.2
_FORBIDDEN_METHODS = frozenset({"CONNECT", "TRACE", "TRACK"})
_FORBIDDEN_RESPONSE_HEADERS = frozenset({"set-cookie", "set-cookie2"})
_PRIVATE_NETWORK: Header = (b"access-control-allow-private-network", b"true")


class Grant(NamedTuple):
    """The headers that one origin earns, beside `VARY`: on answers, on preflights, and on
    preflights from a less private network.
    """

    actual: tuple[Header, ...]
    preflight: tuple[Header, ...]
    private: tuple[Header, ...]


_NOTHING = Grant((), (), ())


class CorsPolicy:
    """Who may read answers, and send what.

    `origins` are exact. `subdomains_of` lets in all https origins below one, at its port, and not
    itself. `allow` is asked, each time, about any other origin in its parsed form, and lets in by
    True alone. `null` is never let in: any sandboxed frame is that. `max_age` in seconds.

    Raises ConfigurationError for what a browser would not honour, and for what would let anyone in.
    """

    __slots__ = (
        "_allow",
        "_any",
        "_asked",
        "_below",
        "_common",
        "_credentials",
        "_exact",
        "_exposed",
        "_https_only",
        "_preflight",
        "_private_network",
        "_subdomains",
        "named",
        "plain",
    )

    def __init__(
        self,
        origins: Iterable[str] = (),
        *,
        subdomains_of: Iterable[str] = (),
        allow: Callable[[str], bool] | None = None,
        credentials: bool = True,
        methods: Iterable[str] = METHODS,
        allowed_headers: Iterable[str] = ALLOWED_HEADERS,
        exposed_headers: Iterable[str] = EXPOSED_HEADERS,
        max_age: int = MAX_AGE,
        private_network: bool = False,
        dangerously_allow_any_origin: bool = False,
    ) -> None:
        named = list(several("origins", origins))
        self._subdomains = tuple(
            Subdomains(one, "subdomains_of") for one in several("subdomains_of", subdomains_of)
        )
        self._allow = plain_function("allow", allow, "origin")
        flag("dangerously_allow_any_origin", dangerously_allow_any_origin)
        self._credentials = flag("credentials", credentials)
        self._private_network = flag("private_network", private_network)
        self._common = ((b"access-control-allow-credentials", b"true"),) if credentials else ()
        self._exposed = _row("expose-headers", _exposed(exposed_headers, credentials))
        self._preflight = (
            *_row("allow-methods", _methods(methods, credentials)),
            *_row("allow-headers", _allowed(allowed_headers, credentials)),
            (b"access-control-max-age", _age(max_age)),
        )
        others = bool(self._subdomains) or allow is not None
        anyone = _any_origin(named, others, credentials, dangerously_allow_any_origin)
        self._any = self._made("*") if anyone else _NOTHING
        named = [
            configured_origin(one, "origins", below="subdomains_of=[{}]")
            for one in named
            if one != "*"
        ]
        self._exact = {one: self._made(one) for one in named}
        self.named = {one.encode(): grant.actual for one, grant in self._exact.items()}
        """What `actual` says to the origins that are named, as browsers send them."""
        below = (rule.apex for rule in self._subdomains)
        self.plain = tuple(one for one in (*named, *below) if one.startswith("http:"))
        """The origins and rules that are named, and are of plain http."""
        self._https_only = False
        self._below: dict[str, Grant] = {}
        self._asked: dict[str, Grant] = {}

    def https_only(self) -> CorsPolicy:
        """This policy without any origin of plain http, whatever a rule or `allow` says: whoever
        sits on the network can be any of those. Only one that lets in all, without credentials,
        lets in those too. Raises ConfigurationError where one is named.
        """
        if self.plain:
            raise ConfigurationError(
                f"cors: '{self.plain[0]}' is plain http, where anybody on the network can be that "
                f"page. Did you mean '{self.plain[0].replace('http', 'https', 1)}'?"
            )
        only = copy(self)
        only._https_only = True
        only._below, only._asked = {}, {}
        return only

    def allows(self, origin: str) -> bool:
        """Whether this Origin header names an allowed origin."""
        return origin in self._exact or self._found(origin) is not _NOTHING

    def trusts(self, origin: str) -> bool:
        """Whether this Origin header names an origin whose pages may act with the visitor's
        cookies: one that is allowed, with credentials. Without them, only who reads answers was
        said, and nobody is trusted.
        """
        return self._credentials and self.allows(origin)

    def actual(self, origin: str) -> tuple[Header, ...]:
        """Headers for an answer to `origin`, beside `VARY`; empty if it is not allowed."""
        return (self._exact.get(origin) or self._found(origin)).actual

    def preflight(self, origin: str, *, private_network: bool = False) -> tuple[Header, ...]:
        """Headers for a preflight of `origin`, beside `VARY`; empty if it is not allowed.
        `private_network`: the browser asked, by `Access-Control-Request-Private-Network`.
        """
        grant = self._exact.get(origin) or self._found(origin)
        return grant.private if private_network else grant.preflight

    def _found(self, origin: str) -> Grant:
        known = self._below.get(origin)
        if known is not None:
            return known
        parsed = parse_origin(origin)
        if parsed is None:
            return _NOTHING
        known = self._exact.get(parsed)
        if known is not None:
            return known
        if self._https_only and parsed.startswith("http:"):
            return self._any
        if any(rule.hold(parsed) for rule in self._subdomains):
            return self._remembered(self._below, parsed)
        # Not a value that merely counts as true: a coroutine does, and nobody awaited it.
        if self._allow is not None and self._allow(parsed) is True:
            return self._remembered(self._asked, parsed)
        return self._any

    def _remembered(self, grants: dict[str, Grant], origin: str) -> Grant:
        known = grants.get(origin)
        if known is None:
            if len(grants) >= REMEMBERED:
                del grants[next(iter(grants))]
            known = grants[origin] = self._made(origin)
        return known

    def _made(self, origin: str) -> Grant:
        shared = ((b"access-control-allow-origin", origin.encode()), *self._common)
        preflight = (*shared, *self._preflight)
        private = (*preflight, _PRIVATE_NETWORK) if self._private_network else preflight
        return Grant((*shared, *self._exposed), preflight, private)


def _any_origin(named: list[str], others: bool, credentials: bool, dangerously: bool) -> bool:
    """Whether every origin is meant, and that can be done."""
    if "*" not in named:
        if dangerously:
            raise ConfigurationError(
                "dangerously_allow_any_origin: changes nothing unless origins=['*']. Remove it"
            )
        return False
    if credentials:
        raise ConfigurationError(
            "origins: '*' with credentials would let every site in. List the origins, "
            "or set credentials=False"
        )
    if not dangerously:
        raise ConfigurationError(
            "origins: '*' lets every site read the answers. List the origins, "
            "or set dangerously_allow_any_origin=True"
        )
    if others or set(named) != {"*"}:
        raise ConfigurationError("origins: beside '*' nothing else counts. Remove the rest, or '*'")
    return True


def _methods(given: Iterable[str], credentials: bool) -> list[str]:
    methods = _tokens("methods", given, credentials)
    for method in methods:
        if method.upper() in _FORBIDDEN_METHODS:
            raise ConfigurationError(f"methods: no browser sends '{method}'. Remove it")
        if method != method.upper():
            # Methods are compared as they are written: 'patch' would never match.
            raise ConfigurationError(f"methods: '{method}'. Did you mean '{method.upper()}'?")
        if method != "*":
            check_method(method)
    return methods


def _allowed(given: Iterable[str], credentials: bool) -> list[str]:
    names = _tokens("allowed_headers", given, credentials)
    if "*" in names and "authorization" not in (name.lower() for name in names):
        raise ConfigurationError(
            "allowed_headers: a browser does not let '*' cover Authorization. "
            "Did you mean ['*', 'Authorization']?"
        )
    return names


def _exposed(given: Iterable[str], credentials: bool) -> list[str]:
    names = _tokens("exposed_headers", given, credentials)
    for name in names:
        if name.lower() in _FORBIDDEN_RESPONSE_HEADERS:
            raise ConfigurationError(
                f"exposed_headers: no browser shows '{name}' to a script. Remove it"
            )
    return names


def _tokens(option: str, given: Iterable[str], credentials: bool) -> list[str]:
    tokens = list(several(option, given))
    for token in tokens:
        if not _TOKEN.fullmatch(token):
            raise ConfigurationError(
                f"{option}: '{token}' is not one name. Write each by itself: {option}=['…', '…']"
            )
    if "*" in tokens and credentials:
        raise ConfigurationError(
            f"{option}: with credentials a browser takes '*' for a name, not for all. List them"
        )
    return tokens


def _age(seconds: int) -> bytes:
    if type(seconds) is not int or not 0 <= seconds <= _LONGEST_AGE:
        raise ConfigurationError(
            f"max_age: {seconds}. Take whole seconds from 0 to {_LONGEST_AGE}, "
            "where browsers stop anyway"
        )
    return str(seconds).encode()


def _row(name: str, values: list[str]) -> tuple[Header, ...]:
    """A header with a list, if there is anything in it."""
    joined = ", ".join(dict.fromkeys(values)).encode()
    return ((b"access-control-" + name.encode(), joined),) if values else ()
