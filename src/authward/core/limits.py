"""Limits: how many requests in any window of time, exactly, in bounded memory.

A request at `t` counts while `now < t + window`: at `t + window` its place is free again.
"""

from __future__ import annotations

import math
import re
from array import array
from bisect import bisect_right
from collections import OrderedDict
from dataclasses import dataclass, field
from heapq import merge
from itertools import islice
from threading import Lock
from typing import Literal, NamedTuple, TypeAlias

from authward.core.clients import coarser
from authward.core.envelope import Header

MOST = 10_000
LONGEST = 31 * 86_400.0
EVERYONE = "*"
"""The bucket that is left when there is room for no other."""

_LIMIT = re.compile(r"([0-9]{1,9})/([0-9]{1,12})(ms|s|m|h|d|w)", re.ASCII)
_UNITS = {"ms": 0.001, "s": 1, "m": 60, "h": 3600, "d": 86_400, "w": 604_800}
_DIGITS = tuple(b"%d" % number for number in range(1024))
_SHORT = 1024
"""Places that are moved at once when one of them is free: in a longer ring only by the quarter."""
_REMAINING = tuple((b"ratelimit-remaining", digits) for digits in _DIGITS)
_RESET = tuple((b"ratelimit-reset", digits) for digits in _DIGITS)

HeaderStyle = Literal["draft-6", "draft-11"]


@dataclass(frozen=True, slots=True)
class Limit:
    """At most `most` (1 to 10,000) requests in any window of `window` seconds (1 second to 31
    days). Raises ValueError outside of that.
    """

    most: int
    window: float
    policy: bytes = field(init=False, repr=False, compare=False)
    """`100;w=900`, as draft-6 writes it."""
    stated: tuple[Header, Header] = field(init=False, repr=False, compare=False)
    """The two header fields of draft-6 that are the same for every request."""

    def __post_init__(self) -> None:
        if not 1 <= self.most <= MOST:
            raise ValueError(f"a limit of {self.most} requests. Take 1 to {MOST}, or 'off'")
        if not 1 <= self.window <= LONGEST:
            raise ValueError(f"a window of {self.window:g} seconds. Take 1 second to 31 days")
        written = b"%d;w=%d" % (self.most, math.ceil(self.window))
        object.__setattr__(self, "policy", written)
        stated = (b"ratelimit-policy", written), (b"ratelimit-limit", b"%d" % self.most)
        object.__setattr__(self, "stated", stated)

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


_new = tuple.__new__
"""What Decision(…) does, at half the price."""


def retry_after(decision: Decision) -> int:
    """Whole seconds to wait after a refusal, at least 1 (RFC 9110 section 10.2.3)."""
    return max(1, math.ceil(decision.reset))


def limit_headers(
    decision: Decision, style: HeaderStyle, name: bytes = b"default"
) -> tuple[Header, ...]:
    """What tells a client where it stands: the four fields of draft-ietf-httpapi-ratelimit-headers
    -06, or the two of -11 (structured fields), where the policy has a `name`, fit for a quoted
    string.
    """
    if style == "draft-6":
        return (*decision.limit.stated, *left(decision))
    policy = decision.limit.policy
    told = (name, decision.remaining, math.ceil(decision.reset))
    return (
        (b"ratelimit-policy", b'"%b";q=%b' % (name, policy)),
        (b"ratelimit", b'"%b";r=%d;t=%d' % told),
    )


def left(decision: Decision) -> tuple[Header, Header]:
    """The two fields of draft-6 that differ from request to request; the other two are
    `Limit.stated`.
    """
    _, _, remaining, reset = decision
    seconds = math.ceil(reset)
    if remaining < 1024 and seconds < 1024:
        return _REMAINING[remaining], _RESET[seconds]
    return (
        (b"ratelimit-remaining", b"%d" % remaining),
        (b"ratelimit-reset", b"%d" % seconds),
    )


_Ring: TypeAlias = "array[float]"
"""When each place becomes free, in rising order. Never empty in a table."""


class _Heir:
    """A client that was counted in a shared bucket and now has an entry of its own. What still
    counts there counts against it too.
    """

    __slots__ = ("bucket", "own")

    def __init__(self, bucket: _Ring) -> None:
        self.bucket = bucket
        self.own: _Ring = array("d")


_Entry: TypeAlias = "float | _Ring | _Heir"


class SlidingWindows:
    """The requests of many clients under one limit, in bounded memory. Threads may share it.

    Exact: no window of `limit.window` seconds holds more than `limit.most` places of one key. An
    entry is one float for a client's first request, an array of them from the second on. What is
    dead is found by halving and cut off a quarter at a time, so a place is moved a bounded number
    of times.

    Bounded: at most `most_keys` entries. The least recently counted goes first, and only once all
    its places are free. If there is none such, a new key shares a bucket with its neighbours
    (`clients.coarser`), or with everyone when that would be one too many. So a full table refuses
    sooner, never later.
    """

    def __init__(self, limit: Limit, *, most_keys: int = 100_000) -> None:
        if most_keys < 2:
            raise ValueError(f"most_keys: {most_keys} is too few. Take 2 or more")
        self.limit = limit
        self._most = limit.most
        self._window = float(limit.window)
        self._room_shared = max(1, most_keys // 16)
        self._room = most_keys - self._room_shared
        # Both ordered by the last place taken: if the first entry is not idle, none is.
        self._table: OrderedDict[str, _Entry] = OrderedDict()
        self._shared: OrderedDict[str, _Entry] = OrderedDict()
        self._latest = -math.inf
        self._lock = Lock()

    def __len__(self) -> int:
        """How many entries there are."""
        return len(self._table) + len(self._shared)

    def take(self, key: str, now: float, cost: int = 1) -> Decision:
        """Take `cost` places at `now` (monotonic seconds), all or none. Raises ValueError if they
        can never fit. Time that runs backwards stands still.
        """
        with self._lock:
            if now < self._latest:
                now = self._latest
            else:
                self._latest = now
            kept = self._table.get(key)
            if type(kept) is array and cost == 1 and (kept[0] > now or len(kept) <= _SHORT):
                # The usual case of `_count`, spelt out.
                if kept[0] <= now:
                    del kept[: bisect_right(kept, now)]
                allowed = len(kept) < self._most
                if allowed:
                    kept.append(now + self._window)
                    self._table.move_to_end(key)
                wait = kept[0] - now
                if wait > self._window:  # by a rounding
                    wait = self._window
                return _new(Decision, (allowed, self.limit, self._most - len(kept), wait))
            if not 1 <= cost <= self._most:
                raise ValueError(f"a cost of {cost} under a limit of {self._most}")
            if kept is None:
                return self._newcomer(key, now, cost)
            if isinstance(kept, _Heir):
                return self._inherit(key, kept, now, cost)
            return self._count(self._table, key, kept, now, cost)

    def give_back(self, key: str, taken: float, cost: int = 1) -> None:
        """Free `cost` places that were taken at `taken`. Never frees a later one."""
        with self._lock:
            table, kept = self._table, self._table.get(key)
            if kept is None:
                name = self._live_bucket(coarser(key), self._latest)
                if name is None:
                    return
                table, key, kept = self._shared, name, self._shared[name]
            ring = _ring(kept)
            end = bisect_right(ring, taken + self._window)
            start = max(0, end - cost)
            if end - start == len(ring):
                del table[key]
            else:
                del ring[start:end]

    def _count(
        self, table: OrderedDict[str, _Entry], key: str, kept: _Entry, now: float, cost: int
    ) -> Decision:
        ring = _ring(kept)
        dead = 0 if ring[0] > now else bisect_right(ring, now)
        free = self._most - len(ring) + dead
        if cost > free:
            return self._answer(False, free, ring[dead + cost - free - 1] - now)
        if ring is not kept:
            table[key] = ring
        self._append(ring, now, cost)
        if dead * 4 >= len(ring):
            del ring[:dead]
            dead = 0
        table.move_to_end(key)
        return self._answer(True, free - cost, ring[dead] - now)

    def _newcomer(self, key: str, now: float, cost: int) -> Decision:
        _drop_idle(self._table, now)
        full = len(self._table) >= self._room
        name = None
        if full or self._shared:
            near = coarser(key)
            name = self._live_bucket(near, now)
            if full:
                name = name or self._new_bucket(near, now)
                return self._count(self._shared, name, self._shared[name], now, cost)
            _drop_idle(self._shared, now)
        if name is not None:
            return self._inherit(key, _Heir(_ring(self._shared[name])), now, cost)
        end = now + self._window
        self._table[key] = end if cost == 1 else array("d", (end,)) * cost
        return self._answer(True, self._most - cost, self._window)

    def _inherit(self, key: str, heir: _Heir, now: float, cost: int) -> Decision:
        own = heir.own[bisect_right(heir.own, now) :]
        bucket = heir.bucket[bisect_right(heir.bucket, now) :]
        if not bucket:
            self._table[key] = heir.own
            return self._count(self._table, key, heir.own, now, cost)
        free = self._most - len(own) - len(bucket)
        if cost > free:
            end = next(islice(merge(own, bucket), cost - free - 1, None))
            return self._answer(False, max(0, free), end - now)
        self._append(own, now, cost)
        heir.own = own
        self._table[key] = heir
        self._table.move_to_end(key)
        return self._answer(True, free - cost, min(own[0], bucket[0]) - now)

    def _live_bucket(self, near: str, now: float) -> str | None:
        """The bucket that requests of a key may have been counted in, `near` being its neighbours'.
        Never in two at once: while one of them counts, the other is not begun.
        """
        for name in (near, EVERYONE):
            kept = self._shared.get(name)
            if kept is not None and _end(kept) > now:
                return name
        return None

    def _new_bucket(self, near: str, now: float) -> str:
        _drop_idle(self._shared, now)
        name = near
        if name not in self._shared:
            # One place is kept for everyone's.
            if len(self._shared) - (EVERYONE in self._shared) >= self._room_shared - 1:
                name = EVERYONE
            self._shared[name] = array("d", (now,))  # dead already
        return name

    def _append(self, ring: _Ring, now: float, cost: int) -> None:
        end = now + self._window
        if cost == 1:
            ring.append(end)
        else:
            ring.extend((end,) * cost)

    def _answer(self, allowed: bool, remaining: int, reset: float) -> Decision:
        if reset > self._window:  # by a rounding
            reset = self._window
        return _new(Decision, (allowed, self.limit, remaining, reset))


def _ring(kept: _Entry) -> _Ring:
    if isinstance(kept, array):
        return kept
    return array("d", (kept,)) if isinstance(kept, float) else kept.own


def _end(kept: _Entry) -> float:
    """When the last of its places becomes free."""
    return kept if isinstance(kept, float) else _ring(kept)[-1]


def _drop_idle(table: OrderedDict[str, _Entry], now: float) -> None:
    """Forget up to two entries nothing of which counts any more: more than can be added."""
    for _ in range(2):
        if not table:
            return
        key = next(iter(table))
        if _end(table[key]) > now:
            return
        del table[key]
