"""One of several processes under one limit. Prints how many of its requests were let in.

python -m tests.contracts.limiting URL KEY MOST REQUESTS

It says `ready`, and begins when told to by a line of input.
"""

import asyncio
import sys
from collections.abc import Awaitable, Callable

from authward.clock import SystemClock
from authward.core.limits import Limit
from authward.ports import RateLimiter


async def let_in(limiter: RateLimiter, key: str, limit: Limit, requests: int) -> int:
    """How many of `requests` at once are let in."""
    decisions = await asyncio.gather(*(limiter.take(key, limit) for _ in range(requests)))
    return sum(decision.allowed for decision in decisions)


async def main(url: str, key: str, most: str, requests: str) -> None:
    limiter, close = _limiter(url)
    print("ready", flush=True)
    sys.stdin.readline()
    print(await let_in(limiter, key, Limit(int(most), 900), int(requests)))
    await close()


def _limiter(url: str) -> tuple[RateLimiter, Callable[[], Awaitable[None]]]:
    # Four processes that start share two cores: each imports what it needs.
    if url.startswith("redis"):
        from authward.stores.redis import RedisLimiter

        limiter = RedisLimiter(url, patience=10)
        return limiter, limiter.close
    from authward.stores.sql import SqlStore

    store = SqlStore(url, SystemClock())
    return store.limits, store.close


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
