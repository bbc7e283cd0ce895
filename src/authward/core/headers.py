"""Security headers: what helmet 8 sends by default, and Permissions-Policy. Written once, added to
each answer.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import Final, Literal, get_args

from authward.core.csp import ContentSecurityPolicy, Nonce
from authward.core.extra_headers import check_extra
from authward.core.flags import flag
from authward.core.permissions_policy import PermissionsPolicy
from authward.errors import ConfigurationError

Header = tuple[bytes, bytes]

EmbedderPolicy = Literal["require-corp", "credentialless", "unsafe-none"]
OpenerPolicy = Literal[
    "same-origin", "same-origin-allow-popups", "noopener-allow-popups", "unsafe-none"
]
ResourcePolicy = Literal["same-origin", "same-site", "cross-origin"]
ReferrerPolicy = Literal[
    "no-referrer",
    "no-referrer-when-downgrade",
    "same-origin",
    "origin",
    "strict-origin",
    "origin-when-cross-origin",
    "strict-origin-when-cross-origin",
    "unsafe-url",
]
CrossDomainPolicies = Literal["none", "master-only", "by-content-type", "all"]

_YEAR = 31_536_000
_POWERED_BY = b"x-powered-by"
_ALLOW_ORIGIN = b"access-control-allow-origin"
_ALLOW_CREDENTIALS = b"access-control-allow-credentials"
CORS_NAMES: Final = frozenset(
    {
        *(_ALLOW_ORIGIN, _ALLOW_CREDENTIALS, b"access-control-allow-headers"),
        *(b"access-control-allow-methods", b"access-control-allow-private-network"),
        *(b"access-control-expose-headers", b"access-control-max-age"),
    }
)
"""What answers say of CORS, for those who state it and so watch what an app says."""

# The words of header names that RFCs, IANA's registry and helmet write otherwise than `str.title`.
_USUAL: Final[Mapping[bytes, bytes]] = {
    word.lower(): word
    for word in (
        *(b"CH", b"CT", b"DNS", b"ETag", b"GPC", b"ID", b"NEL", b"RateLimit", b"SourceMap"),
        *(b"UA", b"WWW", b"WebSocket", b"XSS"),
    )
}

_CHOICES: Final[Mapping[str, tuple[str, ...]]] = {
    "cross_origin_embedder_policy": get_args(EmbedderPolicy),
    "cross_origin_opener_policy": get_args(OpenerPolicy),
    "cross_origin_resource_policy": get_args(ResourcePolicy),
    "origin_agent_cluster": ("?1", "?0"),
    "referrer_policy": get_args(ReferrerPolicy),
    "x_content_type_options": ("nosniff",),
    "x_dns_prefetch_control": ("off", "on"),
    "x_download_options": ("noopen",),
    "x_frame_options": ("SAMEORIGIN", "DENY"),
    "x_permitted_cross_domain_policies": get_args(CrossDomainPolicies),
    "x_xss_protection": ("0",),
}


@dataclass(frozen=True, slots=True)
class StrictTransportSecurity:
    """HSTS (RFC 6797). `max_age` in seconds; 0 makes browsers forget it. `preload` asks for a place
    in the list that browsers are built with (hstspreload.org).
    """

    max_age: int = _YEAR
    include_subdomains: bool = True
    preload: bool = False

    def __post_init__(self) -> None:
        where = "strict_transport_security"
        if type(self.max_age) is not int or self.max_age < 0:
            raise ConfigurationError(f"{where}: max_age={self.max_age!r} is not whole seconds >= 0")
        for option in ("include_subdomains", "preload"):
            flag(f"{where}: {option}", getattr(self, option))
        if self.preload and not self.include_subdomains:
            raise ConfigurationError(
                f"{where}: preload without include_subdomains is refused by the preload list. "
                "Set include_subdomains=True, or leave preload out"
            )
        if self.preload and self.max_age < _YEAR:
            raise ConfigurationError(
                f"{where}: preload with max_age={self.max_age} is refused by the preload list. "
                f"Set max_age={_YEAR} (a year) or more, or leave preload out"
            )

    def __str__(self) -> str:
        subdomains = "; includeSubDomains" if self.include_subdomains else ""
        return f"max-age={self.max_age}{subdomains}{'; preload' if self.preload else ''}"


_CLASSES: Final[Mapping[str, type]] = {
    "content_security_policy": ContentSecurityPolicy,
    "permissions_policy": PermissionsPolicy,
    "strict_transport_security": StrictTransportSecurity,
}


@dataclass(frozen=True, slots=True)
class SecurityPolicy:
    """The headers of every answer; None leaves one out. Each is named as the field is. Raises
    ConfigurationError.

    `hide_powered_by` takes away an app's `X-Powered-By`. `extra` are headers of your own.
    """

    content_security_policy: ContentSecurityPolicy | None = field(
        default_factory=ContentSecurityPolicy
    )
    cross_origin_embedder_policy: EmbedderPolicy | None = None
    cross_origin_opener_policy: OpenerPolicy | None = "same-origin"
    cross_origin_resource_policy: ResourcePolicy | None = "same-origin"
    origin_agent_cluster: Literal["?1", "?0"] | None = "?1"
    referrer_policy: ReferrerPolicy | tuple[ReferrerPolicy, ...] | None = "no-referrer"
    strict_transport_security: StrictTransportSecurity | None = StrictTransportSecurity()
    x_content_type_options: Literal["nosniff"] | None = "nosniff"
    x_dns_prefetch_control: Literal["off", "on"] | None = "off"
    x_download_options: Literal["noopen"] | None = "noopen"
    x_frame_options: Literal["SAMEORIGIN", "DENY"] | None = "SAMEORIGIN"
    x_permitted_cross_domain_policies: CrossDomainPolicies | None = "none"
    x_xss_protection: Literal["0"] | None = "0"
    permissions_policy: PermissionsPolicy | None = field(default_factory=PermissionsPolicy)
    hide_powered_by: bool = True
    extra: tuple[tuple[str, str], ...] = ()
    names: frozenset[bytes] = field(init=False, repr=False, compare=False)
    """What `merged` looks for in an app's own headers."""
    uses_nonce: bool = field(init=False, repr=False, compare=False)
    """Whether `with_nonce` is to be asked for each request."""
    _sent: Mapping[bool, tuple[Header, ...]] = field(init=False, repr=False, compare=False)
    _pieces: Mapping[bool, tuple[bytes, ...]] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        for option, choices in _CHOICES.items():
            _check_choice(option, getattr(self, option), choices)
        for option, kind in _CLASSES.items():
            value = getattr(self, option)
            if value is not None and not isinstance(value, kind):
                raise ConfigurationError(
                    f"{option}: {value!r} is no {kind.__name__}. Make one, or None to leave it out"
                )
        flag("hide_powered_by", self.hide_powered_by)
        check_extra(self.extra, _OPTIONS)
        sent = {https: tuple(self._written(https)) for https in (False, True)}
        watched = {name for name, _ in (*sent[False], *sent[True])}
        if self.hide_powered_by:
            watched.add(_POWERED_BY)
        csp = self.content_security_policy
        noncing = csp is not None and csp.uses_nonce
        pieces = {} if csp is None else {https: csp.pieces(https=https) for https in sent}
        object.__setattr__(self, "names", spellings(watched))
        object.__setattr__(self, "uses_nonce", noncing)
        object.__setattr__(self, "_sent", sent)
        object.__setattr__(self, "_pieces", pieces)

    def headers(self, *, https: bool) -> tuple[Header, ...]:
        """The headers of an answer that holds no nonce. On plain http (`https` false) without HSTS
        (RFC 6797 section 7.2) and upgrade-insecure-requests.
        """
        return self._sent[https]

    def with_nonce(self, nonce: Nonce, *, https: bool) -> tuple[Header, ...]:
        """The headers of an answer whose scripts and styles bear `nonce`."""
        sent = self._sent[https]
        if not self.uses_nonce:
            return sent
        return ((sent[0][0], nonce.encode("ascii").join(self._pieces[https])), *sent[1:])

    def _written(self, https: bool) -> Iterator[Header]:
        """In the order of the fields, so Content-Security-Policy comes first."""
        csp = self.content_security_policy
        if csp is not None and (value := csp.value(https=https)):
            yield csp.name, value
        for option in _OPTIONS[1:]:
            one = getattr(self, option)
            if one is None or (option == "strict_transport_security" and not https):
                continue
            # Browsers take the last token that they know (Referrer Policy, section 8.1).
            text = ",".join(one) if isinstance(one, tuple) else str(one)
            yield option.replace("_", "-").encode(), text.encode("ascii")
        for name, content in self.extra:
            yield name.lower().encode(), content.encode("ascii")


_OPTIONS = tuple(
    one.name
    for one in fields(SecurityPolicy)
    if one.init and one.name not in ("hide_powered_by", "extra")
)


def spellings(names: Iterable[bytes]) -> frozenset[bytes]:
    """`names` in lower case, as ASGI asks for, and as people write them: `X-Xss-Protection`,
    `X-XSS-Protection`, `X-XSS-PROTECTION`. An app that does not heed it must not get a header
    twice.
    """
    lower = {name.lower() for name in names}
    usual = {
        b"-".join(_USUAL.get(word, word.capitalize()) for word in name.split(b"-"))
        for name in lower
    }
    return frozenset(
        lower | usual | {name.title() for name in lower} | {name.upper() for name in lower}
    )


def merged(own: Iterable[Header], added: Sequence[Header], names: frozenset[bytes]) -> list[Header]:
    """An answer's headers: the app's `own`, and those of `added` that it did not set itself, where
    `names` (of a policy) says that once is enough. An app's X-Powered-By goes if it is among them.
    With `CORS_NAMES` among them, all that the app says of CORS goes where `added` lets an origin
    in, as two of a header let nobody in; elsewhere what would let it in with cookies.
    """
    headers = [*own]
    for name, _ in headers:
        if name in names:
            return _apart(headers, added, names)
    headers += added
    return headers


def _apart(own: Sequence[Header], added: Sequence[Header], names: frozenset[bytes]) -> list[Header]:
    """Both, without what collides."""
    states = any(name == _ALLOW_ORIGIN for name, _ in added)
    gone = {_POWERED_BY, *(CORS_NAMES if states else (_ALLOW_CREDENTIALS,))} & names
    kept = [one for one in own if one[0].lower() not in gone]
    taken = names.intersection(name.lower() for name, _ in kept)
    return [*kept, *(one for one in added if one[0] not in taken)]


def _check_choice(option: str, value: object, choices: Sequence[str]) -> None:
    given = value if isinstance(value, tuple) and option == "referrer_policy" else (value,)
    if value is None:
        return
    if isinstance(value, list) and option == "referrer_policy":
        raise ConfigurationError(f"{option}: {value!r} is not a tuple. Did you mean {(*value,)}?")
    if not given or any(given.count(one) > 1 for one in given):
        raise ConfigurationError(f"{option}: {value!r} is empty or says a word twice")
    for one in given:
        if one not in choices:
            raise ConfigurationError(
                f"{option}: {one!r} is none of {', '.join(choices)}. None leaves the header out"
            )


DEFAULT_POLICY: Final = SecurityPolicy()
"""What every answer carries unless told otherwise."""
