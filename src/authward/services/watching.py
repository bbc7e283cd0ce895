"""Whoever stays connected hears of what concerns them as soon as this process knows it."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Callable, Collection, Iterator
from itertools import islice
from typing import TypeAlias

from authward.ports import Change

Hear: TypeAlias = Callable[[], None]
"""Told to look once more at what it stands on."""

AT_ONCE, EVERY_S = 50, 0.005
"""What concerns many is told to so many of them, and after that time to the next: thousands of
looks in one turn of the event loop would keep requests waiting.
"""


class Watching:
    """Who hears of changes: by session and by account, so that of thousands those look who are
    concerned. Requests pay nothing for it.
    """

    def __init__(self) -> None:
        self._by_id: defaultdict[str, dict[int, Hear]] = defaultdict(dict)
        self._all: dict[int, Hear] = {}
        self._last = 0

    def add(self, ids: Collection[str], hear: Hear) -> Callable[[], None]:
        """Let `hear` know of changes of these sessions and accounts, until what this returns is
        called.
        """
        self._last = number = self._last + 1
        self._all[number] = hear
        for one in ids:
            self._by_id[one][number] = hear

        def leave() -> None:
            self._all.pop(number, None)
            for one in ids:
                found = self._by_id.get(one, {})
                found.pop(number, None)
                if not found:
                    self._by_id.pop(one, None)

        return leave

    def tell(self, change: Change) -> None:
        """Let those hear whom a change concerns that has been taken in."""
        if change.kind in ("session.revoked", "user.revoked", "user.superseded"):
            _tell(iter([*self._by_id.get(change.subject, {}).values()]))
        elif change.kind == "sessions.revoked":
            self.tell_all()

    def tell_all(self) -> None:
        """Let everybody hear, as what roles grant has changed, or some sessions of many ended."""
        _tell(iter([*self._all.values()]))


def _tell(those: Iterator[Hear]) -> None:
    told = 0
    for hear in islice(those, AT_ONCE):
        hear()
        told += 1
    if told == AT_ONCE:
        asyncio.get_running_loop().call_later(EVERY_S, _tell, those)
