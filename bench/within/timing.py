"""The least time of several batches: what disturbs a batch only ever adds to it."""

from __future__ import annotations

import gc
import time
from collections.abc import Callable, Mapping

BATCHES = 9


def least(batches: Mapping[str, Callable[[], int]], *, rounds: int = BATCHES) -> dict[str, float]:
    """Microseconds for one of the things that each batch does, and tells the number of; batches in
    turn, `rounds` times.
    """
    best = dict.fromkeys(batches, float("inf"))
    for _ in range(rounds):
        for name, batch in batches.items():
            gc.collect()
            began = time.perf_counter()
            done = batch()
            took = time.perf_counter() - began
            best[name] = min(best[name], took / done * 1e6)
    return best
