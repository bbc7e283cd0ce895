"""What every limiter over processes shares: names of keys, the decision, refusals remembered."""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Sequence
from hashlib import sha256
from typing import NamedTuple

from authward.core.limits import Decision, Limit

LONGEST_KEY = 200
_HASHED = "sha256:"


def stored_key(key: str, limit: Limit) -> str:
    """Where the places under `key` and `limit` are kept: `5/900.0 <key>` if that is short and
    plain, else its hash.

    Each limit has places of its own: a shorter window would cut off what a longer one still counts.
    """
    # Begins with a digit, so no key can be made to look like another's hash.
    name = f"{limit.most}/{float(limit.window)!r} {key}"
    if len(name) <= LONGEST_KEY and name.isascii() and name.isprintable():
        return name
    return _HASHED + sha256(name.encode("utf-8", "surrogatepass")).hexdigest()


def check_cost(cost: int, limit: Limit) -> None:
    """Raises ValueError for a cost that can never fit."""
    if not 1 <= cost <= limit.most:
        raise ValueError(f"a cost of {cost} under a limit of {limit.most}")


def window_ms(limit: Limit) -> int:
    """The window in whole milliseconds, never shorter than it is."""
    return math.ceil(round(limit.window * 1000, 6))


def decide(
    places: Sequence[int], now: int, limit: Limit, cost: int
) -> tuple[Decision, Sequence[int]]:
    """The decision at `now`, and the places taken after it. `places` are the times, in
    milliseconds and in order, at which places were taken; one counts until a window later. Time
    that runs backwards stands still.
    """
    window = window_ms(limit)
    if places and now < places[-1]:
        now = places[-1]
    alive = places[bisect_right(places, now - window) :]
    free = limit.most - len(alive)
    if cost > free:
        first = alive[cost - free - 1]
        return Decision(False, limit, max(0, free), _until(first, now, limit)), alive
    taken = [*alive, *(now,) * cost]
    return Decision(True, limit, free - cost, _until(taken[0], now, limit)), taken


def _until(place: int, now: int, limit: Limit) -> float:
    """Seconds until a place is free."""
    return min((place + window_ms(limit) - now) / 1000, limit.window)


class _Refusal(NamedTuple):
    until: float
    limit: Limit
    cost: int
    remaining: int


class Refusals:
    """What was refused, until there is room again: who asks before that is answered from here, so
    a flood costs no database. At most `most` keys; the oldest is forgotten, and then asked anew.
    """

    def __init__(self, most: int = 10_000) -> None:
        self._most = most
        self._kept: dict[str, _Refusal] = {}

    def __len__(self) -> int:
        return len(self._kept)

    def note(self, key: str, decision: Decision, cost: int, asked: float) -> None:
        """Remember a refusal. `asked` is when it was asked for: never later than it was judged."""
        self._kept.pop(key, None)
        if len(self._kept) >= self._most:
            del self._kept[next(iter(self._kept))]
        _, limit, remaining, reset = decision
        self._kept[key] = _Refusal(asked + reset, limit, cost, remaining)

    def find(self, key: str, cost: int, now: float) -> Decision | None:
        """The refusal that still holds, and for this request too. `key` is of one limit."""
        kept = self._kept.get(key)
        if kept is None:
            return None
        if now >= kept.until:
            del self._kept[key]
            return None
        if cost != kept.cost:
            return None
        limit = kept.limit
        return Decision(False, limit, kept.remaining, min(kept.until - now, limit.window))
