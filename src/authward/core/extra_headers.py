"""Headers of one's own on every answer: which can be there."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from typing import Final

from authward.errors import ConfigurationError

_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+", re.ASCII)
_VALUE = re.compile(r"([!-~]([\t -~]*[!-~])?)?", re.ASCII)
_LIMITS: Final = "tells one caller of a limit. RateLimit sends it where it is due"
_NOT_EXTRA: Final[Mapping[str, str]] = {
    **dict.fromkeys(
        (
            *("connection", "content-encoding", "content-length", "content-type", "date"),
            *("keep-alive", "set-cookie", "trailer", "transfer-encoding", "upgrade"),
        ),
        "belongs to one answer. Set it in the app",
    ),
    "retry-after": _LIMITS,
    # What an app sets itself is left as it is: its Vary would then push Origin out of ours, and a
    # cache would hand one origin's answer to another.
    "vary": "says what one answer was chosen by, and is added to. Set it in the app",
    "x-request-id": "is another with each request. RequestId sends it",
}
_FAMILIES: Final[Mapping[str, str]] = {
    "access-control-": "is for the origins that are let in, and for no others. Use CORS",
    "ratelimit": _LIMITS,
}


def check_extra(extra: object, options: Collection[str]) -> None:
    """Raises ConfigurationError unless `extra` are pairs that can stand on every answer. `options`
    are those of the headers that have one of their own.
    """
    if not isinstance(extra, tuple) or not all(_is_pair(one) for one in extra):
        raise ConfigurationError(f"extra: {extra!r} is not pairs. Write (('x-name', 'value'),)")
    seen: set[str] = set()
    for name, value in extra:
        known = name.lower()
        if _TOKEN.fullmatch(name) is None:
            raise ConfigurationError(f"extra: {name!r} is no header name (RFC 9110 section 5.1)")
        if reason := _reason_against(known):
            raise ConfigurationError(f"extra: {known} {reason}")
        option = known.replace("-", "_")
        if option in options:
            raise ConfigurationError(f"extra: {known} has a field of its own. Use {option}")
        if known in seen:
            raise ConfigurationError(f"extra: {known} is there twice. Give it once")
        if _VALUE.fullmatch(value) is None:
            raise ConfigurationError(
                f"extra: {known}: {value!r} must be ASCII text, without line breaks (they would "
                "begin a header of their own) and without spaces around it"
            )
        seen.add(known)


def _is_pair(one: object) -> bool:
    return isinstance(one, tuple) and len(one) == 2 and all(isinstance(part, str) for part in one)


def _reason_against(name: str) -> str | None:
    """Why a header cannot be on every answer, and where it comes from instead."""
    for family, reason in _FAMILIES.items():
        if name.startswith(family):
            return reason
    return _NOT_EXTRA.get(name)
