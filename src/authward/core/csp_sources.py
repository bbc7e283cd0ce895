"""What may stand in a Content-Security-Policy, and means there what it says (CSP Level 3)."""

from __future__ import annotations

import re
from base64 import b64decode
from collections.abc import Mapping
from difflib import get_close_matches
from enum import Enum
from typing import Final, Literal

from authward.errors import ConfigurationError


class Marker(Enum):
    """What stands in a policy for something that only a request has."""

    NONCE = "nonce"


NONCE: Final = Marker.NONCE
"""A source: the nonce of the request at hand."""

Sources = tuple[str | Literal[Marker.NONCE], ...]
UPGRADE = "upgrade-insecure-requests"

# Directives by what may stand in them.
_SCRIPTS = frozenset({"default-src", "script-src", "script-src-elem"})
_NONCED = _SCRIPTS | {"style-src", "style-src-elem"}
_CODE = _NONCED | {"script-src-attr", "style-src-attr"}
_LISTS = _CODE | {
    *("base-uri", "child-src", "connect-src", "fenced-frame-src", "font-src", "form-action"),
    *("frame-ancestors", "frame-src", "img-src", "manifest-src", "media-src", "object-src"),
    "worker-src",
}
# Those of HTML (section 7.1.5), and that of the Storage Access API.
_SANDBOX = (
    *("allow-downloads", "allow-forms", "allow-modals", "allow-orientation-lock"),
    *("allow-pointer-lock", "allow-popups", "allow-popups-to-escape-sandbox"),
    *("allow-presentation", "allow-same-origin", "allow-scripts"),
    *("allow-storage-access-by-user-activation", "allow-top-navigation"),
    *("allow-top-navigation-by-user-activation", "allow-top-navigation-to-custom-protocols"),
)
_TOKENS: Final[Mapping[str, str]] = {
    "report-to": r"[A-Za-z0-9_.-]+",
    "report-uri": r"(https?:/)?/.+",
    "require-trusted-types-for": "'script'",
    "sandbox": "|".join(_SANDBOX),
    "trusted-types": r"\*|'none'|'allow-duplicates'|[\w#=/@.%-]+",
    UPGRADE: r"(?!)",
}
_NEVER_EMPTY = _LISTS | {"report-to", "report-uri", "require-trusted-types-for"}
_KNOWN = _LISTS | _TOKENS.keys()
FALLBACK: Final[Mapping[str, tuple[str, ...]]] = {
    "fenced-frame-src": ("frame-src", "child-src", "default-src"),
    "frame-src": ("child-src", "default-src"),
    "script-src-attr": ("script-src", "default-src"),
    "script-src-elem": ("script-src", "default-src"),
    "style-src-attr": ("style-src", "default-src"),
    "style-src-elem": ("style-src", "default-src"),
    "worker-src": ("child-src", "script-src", "default-src"),
}

_WHERE: Final[Mapping[str, frozenset[str]]] = {
    "self": _LISTS,
    "none": _LISTS,
    "inline-speculation-rules": _SCRIPTS,
    "report-sample": _CODE,
    "report-sha256": _SCRIPTS,
    "report-sha384": _SCRIPTS,
    "report-sha512": _SCRIPTS,
    "strict-dynamic": _SCRIPTS,
    "trusted-types-eval": _SCRIPTS,
    "unsafe-eval": _SCRIPTS,
    "unsafe-hashes": _CODE,
    "unsafe-inline": _CODE,
    "wasm-unsafe-eval": _SCRIPTS,
}
_DIGEST_BYTES = {"sha256": 32, "sha384": 48, "sha512": 64}
_VALUED = re.compile(r"(nonce|sha256|sha384|sha512)-[^.]*", re.ASCII | re.IGNORECASE)
_SCHEME = re.compile(r"[a-z][a-z0-9+.-]*:", re.ASCII | re.IGNORECASE)
_LABELS = r"[a-z0-9-]+(\.[a-z0-9-]+)*"
_HOST = re.compile(
    rf"([a-z][a-z0-9+.-]*://)?(\*|(\*\.)?{_LABELS}\.?)(:([0-9]{{1,5}}|\*))?(?P<path>/([^/?#][^?#]*)?)?",
    re.ASCII | re.IGNORECASE,
)
_BARE_SCHEMES = frozenset(
    {"about", "blob", "data", "filesystem", "http", "https", "mediastream", "ws", "wss"}
)
# A ';' would begin another directive, a ',' another policy (CSP injection).
_UNSAFE = re.compile(r"[^!-~]|[;,]")


def wrong(text: str) -> ConfigurationError:
    """The error for a policy, named after its option."""
    return ConfigurationError(f"content_security_policy: {text}")


def directive_name(name: str) -> str:
    """The name as it is sent. Names have no case (CSP 3, section 2.2.1)."""
    known = name.lower()
    if known in _KNOWN:
        return known
    spelt = re.sub(r"(?<=[a-z])([A-Z])", r"-\1", name).lower().replace("_", "-")
    guess = get_close_matches(spelt, sorted(_KNOWN), 1)
    cure = f"Did you mean '{guess[0]}'?" if guess else "Leave it out, or see CSP Level 3"
    raise wrong(f"{name!r} is no directive that browsers know. {cure}")


def check_tuple(name: str, sources: Sources) -> None:
    """Raises ConfigurationError for a string, which would fall into its letters, and for lists."""
    given: object = sources
    if not isinstance(given, tuple):
        cure = (given,) if isinstance(given, str) else tuple(sources)
        raise wrong(f"{name}: {given!r} is not a tuple. Did you mean {cure}?")


def check_sources(name: str, sources: Sources) -> None:
    """Raises ConfigurationError unless a browser heeds all of `sources` in this directive."""
    check_tuple(name, sources)
    if not sources and name in _NEVER_EMPTY:
        none = "(\"'none'\",) to forbid all, or " if name in _LISTS else ""
        raise wrong(f"{name}: is empty. Give {none}None to leave the directive out")
    for one in sources:
        if one is not NONCE:
            _check_text(name, one)
        if not has_sense(name, one):
            shown = "NONCE" if one is NONCE else f"{one}"
            raise wrong(f"{name}: {shown} means nothing there. Leave it out")
    _check_together(name, sources)
    if name in ("report-to", "require-trusted-types-for") and len(sources) > 1:
        raise wrong(f"{name}: takes one value, not {len(sources)}")


def _check_together(name: str, sources: Sources) -> None:
    plain = [one.lower() for one in sources if isinstance(one, str)]
    if "'none'" in plain and len(sources) > 1:
        raise wrong(f"{name}: 'none' beside other sources is ignored. Give one or the others")
    exact = NONCE in sources or any(one.startswith("'sha") for one in plain)
    if exact and "'unsafe-inline'" in plain:
        raise wrong(
            f"{name}: browsers ignore 'unsafe-inline' beside a nonce or a hash. "
            "Give the directive anew, without it"
        )
    if not exact and "'strict-dynamic'" in plain:
        raise wrong(f"{name}: 'strict-dynamic' without a nonce or a hash lets no script run")


def _check_text(name: str, source: str) -> None:
    """Raises ConfigurationError unless `source` is one well-formed source or token."""
    given: object = source
    if not isinstance(given, str):
        raise wrong(f"{name}: {given!r} is no text. A source is one, or NONCE")
    bad = _UNSAFE.search(source)
    if bad is not None or not source:
        what = f"has {bad[0]!r} in it" if bad else "is empty"
        raise wrong(f"{name}: {source!r} {what}. One string holds one source (percent-encode ;,)")
    if name in _TOKENS:
        if re.fullmatch(_TOKENS[name], source, re.ASCII) is None:
            guess = get_close_matches(source, _SANDBOX, 1) if name == "sandbox" else ()
            cure = f". Did you mean '{guess[0]}'?" if guess else ""
            raise wrong(f"{name}: {source!r} is nothing that may stand there{cure}")
        return
    inner = source.strip("'\"")
    if inner.lower() in _WHERE or _VALUED.fullmatch(inner):
        if source != f"'{inner}'":
            raise wrong(f"{name}: {source!r} lacks its quotes. Did you mean \"'{inner}'\"?")
        _check_quoted(name, inner)
    elif source.lower() in _BARE_SCHEMES:
        raise wrong(f"{name}: {source!r} would be a host. Did you mean '{source}:'?")
    elif not _SCHEME.fullmatch(source):
        _check_address(name, source, inner)


def _check_address(name: str, source: str, inner: str) -> None:
    found = _HOST.fullmatch(source)
    if found is None:
        guess = get_close_matches(inner.lower(), sorted(_WHERE), 1) if inner != source else ()
        cure = f"Did you mean \"'{guess[0]}'\"?" if guess else "Write it like 'https://a.example'"
        raise wrong(f"{name}: {source!r} is no source. {cure}")
    if (found["path"] or "").endswith("*"):
        raise wrong(
            f"{name}: in {source!r} the '*' of the path stands for itself. All below a folder is "
            f"'{source.rpartition('/')[0]}/'"
        )


def _check_quoted(name: str, inner: str) -> None:
    """Of what stands in quotes, a nonce must be fresh and a hash whole."""
    kind, _, value = inner.partition("-")
    if kind.lower() == "nonce":
        raise wrong(
            f"{name}: a nonce that stays the same is known to the attacker. Use NONCE, "
            "which is another with each request"
        )
    size = _DIGEST_BYTES.get(kind.lower())
    if size is not None:
        bare = value.rstrip("=").replace("-", "+").replace("_", "/")
        try:
            digest = b64decode(bare + "=" * (-len(bare) % 4), validate=True)
        except ValueError:
            digest = b""
        if len(digest) != size:
            raise wrong(f"{name}: '{inner}' is no {kind}: it must be {size} bytes in base64")


def has_sense(name: str, source: str | Literal[Marker.NONCE]) -> bool:
    """Whether a browser heeds a (well-formed) source in this directive."""
    if source is NONCE:
        return name in _NONCED
    if name in _LISTS and source.startswith("'"):
        return name in _WHERE.get(source[1:-1].lower(), _CODE)
    return True
