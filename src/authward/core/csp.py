"""Content-Security-Policy (CSP Level 3): checked when it is made, one join per request where it has
a nonce.
"""

from __future__ import annotations

from base64 import urlsafe_b64encode
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Final, NewType

from authward.core.csp_sources import (
    FALLBACK,
    NONCE,
    UPGRADE,
    Sources,
    check_sources,
    check_tuple,
    directive_name,
    has_sense,
    wrong,
)
from authward.core.flags import flag

__all__ = [
    "DEFAULTS",
    "NONCE",
    "NONCE_BYTES",
    "ContentSecurityPolicy",
    "Nonce",
    "Sources",
    "nonce_of",
]

Nonce = NewType("Nonce", str)
"""What `nonce_of` made; fit for a header and an attribute as it is."""

NONCE_BYTES = 18
"""Randomness of a nonce. Never less than 16 (CSP 3, section 7.1); 18 need no padding."""

DEFAULTS: Final[Mapping[str, Sources]] = {
    "default-src": ("'self'",),
    "base-uri": ("'self'",),
    "font-src": ("'self'", "https:", "data:"),
    "form-action": ("'self'",),
    "frame-ancestors": ("'self'",),
    "img-src": ("'self'", "data:"),
    "object-src": ("'none'",),
    "script-src": ("'self'",),
    "script-src-attr": ("'none'",),
    "style-src": ("'self'", "https:", "'unsafe-inline'"),
    UPGRADE: (),
}


@dataclass(frozen=True, slots=True)
class ContentSecurityPolicy:
    """A policy. `directives` are laid over helmet's defaults, or stand alone if `defaults` is
    false: sources replace those of a directive, None drops it. Raises ConfigurationError for what a
    browser would ignore, or read otherwise than it looks.

    `report_only` lets everything happen and has the browser report it. It goes without
    upgrade-insecure-requests, which browsers ignore there.
    """

    directives: Mapping[str, Sources | None] = field(default_factory=dict, hash=False)
    defaults: bool = True
    report_only: bool = False
    dangerously_without_default_src: bool = False
    effective: Mapping[str, Sources] = field(init=False, repr=False, compare=False)
    """What is sent, in its order."""

    def __post_init__(self) -> None:
        for option in ("defaults", "report_only", "dangerously_without_default_src"):
            flag(f"content_security_policy: {option}", getattr(self, option))
        given: object = self.directives
        if not isinstance(given, Mapping):
            raise wrong(f"directives: {given!r} is none. Write {{'img-src': (\"'self'\",)}}")
        laid: dict[str, Sources | None] = {}
        for name, sources in self.directives.items():
            known = directive_name(name)
            if known in laid:
                raise wrong(f"{known} is given twice, as names have no case. Give it once")
            if sources is not None:
                check_sources(known, sources)
            laid[known] = sources
        whole = {**(DEFAULTS if self.defaults else {}), **laid}
        effective = {name: sources for name, sources in whole.items() if sources is not None}
        _check_whole(effective, self)
        object.__setattr__(self, "directives", laid)
        object.__setattr__(self, "effective", effective)

    def adding(self, directives: Mapping[str, Sources]) -> ContentSecurityPolicy:
        """This policy with more sources, in place of a `'none'`.

        A directive that is not there yet starts from the sources of the one that browsers fall back
        to (CSP 3, section 6.8.3): to allow one host more takes none away.
        """
        laid = dict(self.directives)
        for name, sources in directives.items():
            known = directive_name(name)
            check_tuple(known, sources)
            before = tuple(one for one in self._inherited(known) if one != "'none'")
            laid[known] = (*before, *(one for one in sources if one not in before))
        return replace(self, directives=laid)

    def _inherited(self, name: str) -> Sources:
        if name in self.effective:
            return self.effective[name]
        for other in FALLBACK.get(name, ("default-src",) if name.endswith("-src") else ()):
            if other in self.effective:
                return tuple(one for one in self.effective[other] if has_sense(name, one))
        return ()

    @property
    def name(self) -> bytes:
        """The header's name."""
        return b"content-security-policy" + (b"-report-only" if self.report_only else b"")

    @property
    def uses_nonce(self) -> bool:
        """Whether each request needs a nonce of its own."""
        return any(NONCE in sources for sources in self.effective.values())

    def value(self, *, https: bool) -> bytes:
        """The header's value for answers without a nonce: what a nonce would allow, it forbids."""
        return self._written(
            {
                name: tuple(one for one in sources if one is not NONCE) or ("'none'",)
                if NONCE in sources
                else sources
                for name, sources in self.effective.items()
            },
            https,
        )

    def pieces(self, *, https: bool) -> tuple[bytes, ...]:
        """What the nonce stands between: `nonce.join(pieces)` is the header's value."""
        return tuple(self._written(self.effective, https).split(b"\0"))

    def _written(self, directives: Mapping[str, Sources], https: bool) -> bytes:
        return ";".join(
            " ".join((name, *("'nonce-\0'" if one is NONCE else str(one) for one in sources)))
            for name, sources in directives.items()
            # On plain http it would send a developer's page to https, where nobody listens.
            if name != UPGRADE or (https and not self.report_only)
        ).encode("ascii")


def nonce_of(entropy: bytes) -> Nonce:
    """A nonce of `NONCE_BYTES` fresh random bytes, in base64url."""
    return Nonce(urlsafe_b64encode(entropy).decode("ascii"))


def _check_whole(effective: Mapping[str, Sources], policy: ContentSecurityPolicy) -> None:
    if not effective:
        raise wrong("no directives are left. Give some, or None for the whole policy")
    if policy.dangerously_without_default_src:
        if "default-src" in effective:
            raise wrong(
                "dangerously_without_default_src, but there is a default-src. "
                "Drop it with 'default-src': None, or leave the option out"
            )
    elif "default-src" not in effective:
        raise wrong(
            "without default-src whatever is not named is allowed. Give one, like (\"'self'\",), "
            "or say dangerously_without_default_src=True"
        )
    if policy.report_only and "sandbox" in effective:
        raise wrong("sandbox: browsers ignore it in a report_only policy. Leave it out")
