"""Rate-limit decisions in memory: microseconds for one, as JSON, by workload and package.

Each package counts under 100 requests in 15 minutes, with the exactest window it has in memory:
`limits` its moving window, throttled-py its sliding one, which is an estimate. A decision says
whether, how many are left and until when, as the headers of an answer need it; `limits` is asked
for the latter two apart. `limits, hit alone` leaves them out. The others read the clock themselves;
ours is given the time, and reading it is counted.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable
from datetime import timedelta

sys.path.append(os.environ["BENCH_PACKAGES"])

from limits import RateLimitItemPerMinute  # type: ignore[import-not-found]
from limits.storage import MemoryStorage  # type: ignore[import-not-found]
from limits.strategies import MovingWindowRateLimiter  # type: ignore[import-not-found]
from throttled import MemoryStore, Throttled, per_duration  # type: ignore[import-not-found]

from authward.core.limits import Limit, SlidingWindows
from bench.within.timing import least

CLIENTS = [f"192.0.2.{number % 256}:{number}" for number in range(1_000)]
MOST, MINUTES = 100, 15


def ours() -> Callable[[str], object]:
    windows = SlidingWindows(Limit(MOST, MINUTES * 60.0))
    take, now = windows.take, time.monotonic
    return lambda client: take(client, now())


def limits() -> Callable[[str], object]:
    limiter, item = MovingWindowRateLimiter(MemoryStorage()), RateLimitItemPerMinute(MOST, MINUTES)
    return lambda client: (limiter.hit(item, client), limiter.get_window_stats(item, client))


def limits_alone() -> Callable[[str], object]:
    limiter, item = MovingWindowRateLimiter(MemoryStorage()), RateLimitItemPerMinute(MOST, MINUTES)
    return lambda client: limiter.hit(item, client)


def throttled() -> Callable[[str], object]:
    one = Throttled(
        using="sliding_window",
        quota=per_duration(timedelta(minutes=MINUTES), MOST),
        store=MemoryStore(options={"MAX_SIZE": 100_000}),
    )
    return lambda client: one.limit(client)


MAKERS = {
    "ours": ours,
    "limits": limits,
    "limits, hit alone": limits_alone,
    "throttled-py": throttled,
}


def allowed(make: Callable[[], Callable[[str], object]]) -> Callable[[], int]:
    """A thousand clients, fifty requests each, in turn."""

    def batch() -> int:
        take = make()
        for _ in range(50):
            for client in CLIENTS:
                take(client)
        return 50 * len(CLIENTS)

    return batch


def refused(make: Callable[[], Callable[[str], object]]) -> Callable[[], int]:
    """One client, far beyond its limit."""

    def batch() -> int:
        take = make()
        for _ in range(20_000):
            take("192.0.2.1")
        return 20_000

    return batch


def main() -> None:
    result = {
        workload.__name__: least({name: workload(make) for name, make in MAKERS.items()}, rounds=5)
        for workload in (allowed, refused)
    }
    print(json.dumps(result))


if __name__ == "__main__":
    main()
