"""How long it takes until a session that one process ended is refused by three others, as JSON:
milliseconds, from before the statement that ends it.

All four are in this process, each with connections of its own, so that no HTTP is measured.
PostgreSQL is measured where BENCH_POSTGRES_URL names an empty database.
"""

from __future__ import annotations

import asyncio
import json
import os
import secrets
import sys
import tempfile
import time
from contextlib import AsyncExitStack
from pathlib import Path

sys.path.append(os.environ["BENCH_PACKAGES"])

from authward.clock import SystemClock
from authward.errors import TokenRevoked
from authward.ports import Change, Wakes
from authward.services.feed import Feed
from authward.stores.listening import PostgresWakes
from authward.stores.publishing import RedisWakes
from authward.stores.sql import SqlStore
from bench.within.round_trips import valkey

TIMES = 100
OTHERS = 3
INTERVAL_S = 0.25  # as AUTHWARD_FEED_INTERVAL is by default


def refused(feed: Feed, session: str) -> bool:
    try:
        feed.revocations.check("ada", session, 1, 0, ("user",))
    except TokenRevoked:
        return True
    return False


async def measured(url: str, redis_url: str | None = None) -> dict[str, float]:
    clock = SystemClock()
    async with AsyncExitStack() as stack:

        def pushed() -> Wakes | None:
            if redis_url is not None:
                return RedisWakes(redis_url, "bench")
            return PostgresWakes(url) if url.startswith("postgresql") else None

        async def process() -> tuple[SqlStore, Feed, Wakes | None]:
            store = SqlStore(url, clock)
            stack.push_async_callback(store.close)
            await store.open()
            feed = Feed(
                store.changes,
                clock,
                interval=INTERVAL_S,
                max_lag=60,
                horizon=3600,
                on_scheme=lambda prefix: None,
            )
            await feed.start()
            stack.push_async_callback(feed.stop)
            wakes = pushed()
            if wakes is not None:
                await wakes.start(feed.wake)
                stack.push_async_callback(wakes.stop)
            return store, feed, wakes

        writer, _, tells = await process()
        others = [(await process())[1] for _ in range(OTHERS)]
        await asyncio.sleep(0.5)
        took = []
        for _ in range(TIMES):
            session = secrets.token_hex(8)
            began = time.perf_counter()
            await writer.changes.announce([Change("session.revoked", session, 0, None, 0)])
            if tells is not None:
                tells.tell()
            while not all(refused(feed, session) for feed in others):  # noqa: ASYNC110
                await asyncio.sleep(0.0005)
            took.append((time.perf_counter() - began) * 1000)
            # Not in step with the polls.
            await asyncio.sleep(secrets.randbelow(100) / 1000)
    took.sort()
    return {"p50": took[len(took) // 2], "p99": took[int(len(took) * 0.99)]}


def main() -> dict[str, dict[str, float]]:
    found = {}
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        found["SQLite"] = asyncio.run(measured(f"sqlite:///{Path(folder) / 'a.db'}"))
        with valkey() as port:
            url = f"sqlite:///{Path(folder) / 'b.db'}"
            found["SQLite, Redis"] = asyncio.run(measured(url, f"redis://127.0.0.1:{port}/0"))
    address = os.environ.get("BENCH_POSTGRES_URL")
    if address is not None:
        found["PostgreSQL"] = asyncio.run(measured(address))
    return found


if __name__ == "__main__":
    print(json.dumps(main()))
