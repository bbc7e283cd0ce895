"""The real clock. Everything else takes a `Clock`."""

from __future__ import annotations

import time


class SystemClock:
    """Real time."""

    offset_ms = 0
    # The functions themselves, with no frame of ours around them.
    now = staticmethod(time.time)
    monotonic = staticmethod(time.monotonic)
