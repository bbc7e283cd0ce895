"""What happened in this process, as plain numbers. Names come from lists of ours alone, so that no
client can make more of them.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter
from collections.abc import Sequence

from authward.core.audit import Event
from authward.core.events import EVENT_KINDS
from authward.errors import CODES, DENIALS

OK = "ok"
OTHER = "other"
PROTECTIONS = ("cors", "csrf", "rate_limit")
"""Those that may only report."""
SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5)


class Times:
    """How long something took, sorted by upper bounds in seconds; the last is without."""

    def __init__(self) -> None:
        self.counts = [0] * (len(SECONDS) + 1)
        self.total = 0.0

    def note(self, seconds: float) -> None:
        self.counts[bisect_left(SECONDS, seconds)] += 1
        self.total += seconds


class Counts:
    """Written where it happens, read at a scrape. In one event loop, so without locks."""

    def __init__(self) -> None:
        self.denied: dict[str, int] = dict.fromkeys((*sorted(DENIALS), OTHER), 0)
        self.outcomes: Counter[tuple[str, str]] = Counter()
        """By what was tried (login, refresh, registration) and how it ended."""
        self.events: Counter[str] = Counter()
        self.limited: Counter[bool] = Counter()
        """Decisions on credential routes, by whether the request was allowed."""
        self.hashing_refused = 0
        self.hashing = Times()

    def deny(self, code: str) -> None:
        """A request was refused for who sent it, or how often."""
        # An app's own refusals may be called anything.
        self.denied[code if code in self.denied else OTHER] += 1

    def ended(self, what: str, code: str = OK) -> None:
        """One of what is counted by outcome is over; `code` is the error's."""
        self.outcomes[what, code if code == OK or code in CODES else OTHER] += 1

    def happened(self, events: Sequence[Event]) -> None:
        """Audit events that were committed; folded ones count for all they stand for."""
        for event in events:
            kind = event.kind if event.kind in EVENT_KINDS else OTHER
            self.events[kind] += int(event.detail.get("count", 1))
