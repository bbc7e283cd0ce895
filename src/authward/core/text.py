"""Text as it may be stored, logged and answered."""

from __future__ import annotations

import re
import unicodedata

_UNSTORABLE = re.compile(r"[\x00\ud800-\udfff]")
# Control characters; line and paragraph separators; zero-width characters and those that turn the
# direction of what follows (CVE-2021-42574); surrogates.
_UNPRINTABLE = re.compile(
    r"[\x00-\x1f\x7f-\x9f\u061c\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff\ud800-\udfff]"
)
_HIDDEN = frozenset({"Cc", "Cf", "Cs", "Zl", "Zp"})


def storable(text: str) -> bool:
    """Whether every database takes `text`: no NUL, no lone surrogate."""
    return _UNSTORABLE.search(text) is None


def printable(text: str, limit: int = 256) -> str:
    """At most `limit` characters of `text`, with control and zero-width characters and turns of
    direction as `\\xNN`, so that no log line can be forged.
    """
    return _UNPRINTABLE.sub(lambda found: f"\\x{ord(found[0]):02x}", text[:limit])


def shows_all(text: str) -> bool:
    """Whether `text` is one line without anything unseen: no control or format character (Unicode
    Cc, Cf), line separator or surrogate.
    """
    return not any(unicodedata.category(mark) in _HIDDEN for mark in text)
