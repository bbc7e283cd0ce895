"""Request ids: what ties the log lines of one request together."""

from __future__ import annotations

import re
from collections.abc import Callable

ID_BYTES = 16
AT_ONCE = 256
_TAKEN_OVER = re.compile(rb"[A-Za-z0-9._-]{8,64}")
_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9a-z-]+", re.ASCII)
_HEX = 2 * ID_BYTES


class RequestIds:
    """Makes ids of 32 hexadecimal digits. `chance(size)` gives random bytes, and is asked for
    `AT_ONCE` ids at a time.

    They are random and not counted: a counter would tell any client how many requests there are.
    """

    __slots__ = ("__weakref__", "_chance", "ready")

    def __init__(self, chance: Callable[[int], bytes]) -> None:
        self._chance = chance
        self.ready: list[str] = []

    def __call__(self) -> str:
        """An id that was never given before."""
        return self.ready.pop() if self.ready else self._more()

    def forget(self) -> None:
        """Drop what was prepared. A forked process must, or it gives the ids of its parent."""
        self.ready.clear()

    def _more(self) -> str:
        digits = self._chance(ID_BYTES * AT_ONCE).hex()
        ready = [digits[at : at + _HEX] for at in range(0, len(digits), _HEX)]
        last = ready.pop()
        self.ready.extend(ready)
        return last


def taken_over(value: bytes) -> str | None:
    """An id that came with a request, if it may stand in logs and headers: 8 to 64 letters, digits,
    `.`, `_` or `-`.
    """
    return value.decode("ascii") if _TAKEN_OVER.fullmatch(value) else None


def is_header_name(name: str) -> bool:
    """Whether `name` is a header's, in lower case (RFC 9110 section 5.1)."""
    return _NAME.fullmatch(name) is not None
