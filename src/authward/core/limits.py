"""Limits: how many requests in any window of time, exactly.

A request at `t` is counted at `now` while `now - t < window`: at `t + window` its place is free.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import NamedTuple

MOST = 10_000
LONGEST = 31 * 86_400.0

_LIMIT = re.compile(r"([0-9]{1,9})/([0-9]{1,12})(ms|s|m|h|d|w)")
_UNITS = {"ms": 0.001, "s": 1, "m": 60, "h": 3600, "d": 86_400, "w": 604_800}


@dataclass(frozen=True, slots=True)
class Limit:
    """At most `most` (1 to 10,000) requests in any window of `window` seconds (1 second to 31
    days). Raises ValueError outside of that.
    """

    most: int
    window: float

    def __post_init__(self) -> None:
        if not 1 <= self.most <= MOST:
            raise ValueError(f"a limit of {self.most} requests. Take 1 to {MOST}, or 'off'")
        if not 1 <= self.window <= LONGEST:
            raise ValueError(f"a window of {self.window:g} seconds. Take 1 second to 31 days")

    @classmethod
    def parse(cls, text: str) -> Limit | None:
        """`100/15m` (units ms, s, m, h, d, w); None for `off`. Raises ValueError with the cure."""
        text = text.strip().lower()
        if text == "off":
            return None
        found = _LIMIT.fullmatch(text)
        if found is None:
            raise ValueError(f"'{text}' is not a limit. Write it like '100/15m', or 'off'")
        return cls(int(found[1]), int(found[2]) * _UNITS[found[3]])


class Decision(NamedTuple):
    """What became of a request. A refused one has taken no place.

    `remaining` places are left in the window. `reset`, in seconds, is how long until at least one
    more place is free (0 < reset <= window; the whole window if nothing is counted); of a refused
    one, until there is room for it.
    """

    allowed: bool
    limit: Limit
    remaining: int
    reset: float
