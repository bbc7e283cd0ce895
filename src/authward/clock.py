"""The real clock. Everything else takes a `Clock`."""

from __future__ import annotations

import time


class SystemClock:
    """Real time."""

    offset_ms = 0

    def now(self) -> float:
        return time.time()

    def monotonic(self) -> float:
        return time.monotonic()
