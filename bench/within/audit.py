"""A million audit rows in the database of a URL: how long verifying them takes and how much memory,
how long it takes to find pages of them, beside a thousand; as JSON.

python -m bench.within.audit URL [ROWS]
"""

from __future__ import annotations

import asyncio
import json
import os
import resource
import sys
import time
from pathlib import Path

from sqlalchemy import Connection, insert, text

from authward.clock import SystemClock
from authward.core.audit import Client, Event
from authward.core.chain import AuditKeys, Head, advanced, first_head, link
from authward.ports import AuditQuery
from authward.stores.chains import PUT_HEAD
from authward.stores.schema import audit_events
from authward.stores.sql import SqlStore

WRITERS = 16
USERS = 20_000
KINDS = ("login.succeeded", "session.refreshed", "session.ended", "access.denied")
KEYS = AuditKeys("audit-key-of-bench", {"audit-key-of-bench": os.urandom(32)})
BUSY = "user-busy"
"""Has a hundredth of all rows: a page of theirs is full in a small log, too."""
PART = 10_000
TIMES = 200


def resident() -> int:
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    return pages * resource.getpagesize()


def event(number: int) -> Event:
    user = BUSY if number % 100 == 0 else f"user-{number * 7919 % USERS:012}"
    client = Client(f"10.{number % 200}.{number % 251}.9", "Mozilla/5.0 (X11; Linux x86_64)", "r-1")
    kind = KINDS[number % len(KINDS)] if number % 5000 else "user.role_set"
    return Event(kind, client, "ok", user, user, f"session-{number % 50_000}", {"n": number})


class Filling:
    """Chains as their writers write them, a second apart, many rows a statement."""

    def __init__(self, store: SqlStore) -> None:
        self._store = store
        self._heads = [first_head(KEYS, os.urandom(16).hex()) for _ in range(WRITERS)]
        self.rows = 0

    async def upto(self, rows: int) -> None:
        while self.rows < rows:
            await self._store.database.run_sync(self._part)

    def _part(self, connection: Connection) -> None:
        part = []
        for row_id in range(self.rows + 1, self.rows + PART + 1):
            place = row_id % WRITERS
            at = 1_700_000_000_000 + row_id * 1000
            row = link(KEYS, self._heads[place], at, event(row_id), os.urandom(32))
            self._heads[place] = advanced(self._heads[place], row, row_id)
            part.append({"id": row_id, **row})
        connection.execute(insert(audit_events).inline(), part)
        put = PUT_HEAD[connection.dialect.name]
        for head in self._heads:
            connection.execute(put, signed(self._store, head))
        self.rows += PART


def signed(store: SqlStore, head: Head) -> dict[str, object]:
    return store.database.chains.signed(head)


async def pages(store: SqlStore, rows: int) -> dict[str, float]:
    """Milliseconds of a page of 20, the median: by user, by time, and of what is rare."""
    ip = event(1).client.ip
    at = 1_700_000_000_000 + rows * 500
    queries = {
        "by user": AuditQuery(user=BUSY),
        "by time": AuditQuery(since=at, until=at + 3_600_000),
        "by address": AuditQuery(ip=ip),
        "by user and kind": AuditQuery(user=BUSY, kind="user.role_set"),
        "the latest": AuditQuery(),
    }
    found = {}
    for name, query in queries.items():
        took = []
        for _ in range(TIMES):
            began = time.perf_counter()
            await store.audit.page(query, 21, before=None)
            took.append(time.perf_counter() - began)
        found[name] = sorted(took)[TIMES // 2] * 1000
    return found


async def main(url: str, rows: int) -> None:
    store = SqlStore(url, SystemClock())
    store.audit.use(KEYS)
    await store.open()
    await store.chains.checkpoint()
    filling = Filling(store)
    await filling.upto(PART)
    few = await pages(store, PART)
    await filling.upto(rows)
    await store.chains.checkpoint()
    if store.database.postgresql:
        await store.database.write(lambda tx: tx.run(text("ANALYZE audit_events")))
    many = await pages(store, rows)
    before, most = resident(), 0

    def on_rows(done: int, total: int) -> None:
        nonlocal most
        most = max(most, resident())

    began = time.perf_counter()
    proof = await store.chains.verify({}, on_rows)
    took = time.perf_counter() - began
    await store.close()
    result = {
        "holds": proof.holds,
        "rows": proof.rows,
        "rows a second": proof.rows / took,
        "bytes": max(0, most - before),
        "few": few,
        "many": many,
    }
    print(json.dumps(result))


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], int(sys.argv[2]) if len(sys.argv) > 2 else 1_000_000))
