"""Permission strings: what they look like, and which of them grants which."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable

EVERYTHING = "*:*"
_WORD = r"[a-z0-9][a-z0-9_.-]{0,62}"
_PERMISSION = re.compile(rf"{_WORD}:{_WORD}", re.ASCII)
_GRANT = re.compile(rf"(?:\*|{_WORD}):(?:\*|{_WORD})", re.ASCII)


class BadPermission(ValueError):
    """Not a permission. The text is public, and says the cure."""


def check_permission(text: str) -> str:
    """One permission `verb:resource`, as a route asks for it. Raises BadPermission."""
    if _PERMISSION.fullmatch(text) is None:
        if _GRANT.fullmatch(text) is not None:
            raise BadPermission(
                "Only grants hold '*'. Ask for one permission, written verb:resource, like "
                "read:reports: who was granted read:* or *:* holds it."
            )
        raise BadPermission(
            "A permission is written verb:resource, like read:reports, in small letters, digits, "
            "'-', '_' and '.'."
        )
    return text


def check_grant(text: str) -> str:
    """A permission as it is granted: `read:reports`, all of a verb `read:*`, all on a resource
    `*:reports`, or `*:*`. Raises BadPermission.
    """
    if _GRANT.fullmatch(text) is None:
        raise BadPermission(
            "A permission is written verb:resource, like read:reports, in small letters, digits, "
            "'-', '_' and '.'. '*' stands for every verb or every resource, and only whole: read:*."
        )
    return text


def holds(granted: Collection[str], needed: str) -> bool:
    """Whether `needed`, a permission or a wildcard of them, is among what was granted."""
    if needed in granted or EVERYTHING in granted:
        return True
    verb, _, resource = needed.partition(":")
    return f"{verb}:*" in granted or f"*:{resource}" in granted


def covering(needed: str) -> tuple[str, ...]:
    """Every grant that `holds` takes for `needed`, the narrowest first."""
    verb, _, resource = needed.partition(":")
    return tuple(dict.fromkeys((needed, f"{verb}:*", f"*:{resource}", EVERYTHING)))


def beyond(granted: Collection[str], wanted: Iterable[str]) -> list[str]:
    """Those of `wanted` that `granted` does not cover, sorted."""
    return sorted(one for one in wanted if not holds(granted, one))
