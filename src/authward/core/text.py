"""Text as it may be stored, logged and answered."""

from __future__ import annotations

import re

_UNSTORABLE = re.compile(r"[\x00\ud800-\udfff]")
_UNPRINTABLE = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")


def storable(text: str) -> bool:
    """Whether every database takes `text`: no NUL, no lone surrogate."""
    return _UNSTORABLE.search(text) is None


def printable(text: str, limit: int = 256) -> str:
    """At most `limit` characters of `text`, with control characters as `\\xNN`, so that no log line
    can be forged.
    """
    return _UNPRINTABLE.sub(lambda found: f"\\x{ord(found[0]):02x}", text[:limit])
