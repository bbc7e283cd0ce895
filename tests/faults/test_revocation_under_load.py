"""What takes hold everywhere at once, while four processes serve protected requests: a revoked
session, a demoted admin, a role's permissions; and none of those requests waits for the database.

OWASP ASVS 7.4, 8.3; authorization that is asked of a database goes away with it.
"""

import asyncio
import os
import sqlite3
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, closing
from dataclasses import dataclass, field
from urllib.parse import urlsplit

import asyncpg
import httpx2
import pytest
from sqlalchemy import delete, insert

from authward.core.audit import Event
from authward.core.users import UserChange
from authward.ports import Change
from authward.stores.schema import role_permissions
from authward.stores.sql import SqlStore
from authward.stores.transactions import Transaction
from authward.testing import TurnableClock
from tests.fleets import OPERATOR, Fleet
from tests.serving import Account, error_of, refresh_headers, register

RATE = int(os.environ.get("AUTHWARD_TEST_RATE", "2000"))
"""Requests a second, over all workers."""
CONNECTIONS = 16
SLOW_S = 1.0
"""What a request may take that only waits for its turn on a busy machine. The database is held for
longer.
"""

Client = httpx2.AsyncClient
pytestmark = [pytest.mark.load]


@dataclass
class Load:
    """Requests at a steady rate, each timed."""

    took: list[float] = field(default_factory=list)
    statuses: set[bytes] = field(default_factory=set)
    began: float = field(default_factory=time.monotonic)

    def percentile(self, part: float) -> float:
        return sorted(self.took)[int(len(self.took) * part)]

    def rate(self) -> float:
        return len(self.took) / (time.monotonic() - self.began)


async def _ask(load: Load, port: int, request: bytes, every: float) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        due = time.monotonic()
        while True:
            began = time.monotonic()
            writer.write(request)
            head = await reader.readuntil(b"\r\n\r\n")
            [length] = [
                int(line.partition(b":")[2])
                for line in head.lower().split(b"\r\n")
                if line.startswith(b"content-length:")
            ]
            await reader.readexactly(length)
            load.statuses.add(head[9:12])
            load.took.append(time.monotonic() - began)
            # What cannot be reached is not made up for: a backlog would only measure itself.
            due = max(due + every, time.monotonic() - every)
            await asyncio.sleep(due - time.monotonic())
    finally:
        writer.close()


@asynccontextmanager
async def loaded(fleet: Fleet, account: Account) -> AsyncIterator[Load]:
    """A protected route that reads memory only is asked RATE times a second."""
    request = (
        "GET /metrics HTTP/1.1\r\nhost: localhost\r\n"
        f"authorization: {account.bearer['authorization']}\r\n\r\n"
    ).encode()
    load, port = Load(), urlsplit(fleet.server.url).port or 0
    every = CONNECTIONS / RATE
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(_ask(load, port, request, every)) for _ in range(CONNECTIONS)]
        await asyncio.sleep(0.5)
        yield load
        for task in tasks:
            task.cancel()


async def seen(client: Client, path: str, account: Account, expected: tuple[int, str]) -> None:
    while error_of(await client.get(path, headers=account.bearer)) != expected:  # noqa: ASYNC110
        await asyncio.sleep(0.02)


async def _change(fleet: Fleet, work: Callable[[SqlStore], Awaitable[object]]) -> None:
    """By another process than the four."""
    store = SqlStore(fleet.database_url, TurnableClock())
    await work(store)
    await store.close()


async def demote(fleet: Fleet, account: Account) -> None:
    change = UserChange({"role": "user"}, supersede=True)
    event = Event("user.role_set", OPERATOR, subject=account.id)
    await _change(fleet, lambda store: store.users.change(account.id, lambda user: change, event))


async def grant(fleet: Fleet, role: str, permission: str, *, taken: bool = False) -> None:
    async def work(tx: Transaction) -> None:
        if taken:
            where = role_permissions.c.role == role, role_permissions.c.permission == permission
            await tx.run(delete(role_permissions).where(*where))
        else:
            row = {"role": role, "permission": permission}
            await tx.run(insert(role_permissions).values(row))
        await tx.announce(Change("roles.changed", role, 0, None, 0))

    await _change(fleet, lambda store: store.database.write(work))


async def test_within_a_second_under_load(fleet: Fleet) -> None:
    took: dict[str, float] = {}
    with fleet.server.client() as any_of_them:
        gone, reader = register(any_of_them), register(any_of_them)
    admin = await asyncio.to_thread(fleet.admin)
    busy = await asyncio.to_thread(fleet.admin)
    async with fleet.each() as workers, loaded(fleet, busy) as load:
        clients = list(workers.values())

        async def everywhere(
            what: str, path: str, account: Account, expected: tuple[int, str], began: float
        ) -> None:
            async with asyncio.timeout(30):
                await asyncio.gather(*(seen(one, path, account, expected) for one in clients))
            took[what] = time.monotonic() - began

        for one in clients:
            for account in (gone, admin):
                answer = await one.get("/api/profile", headers=account.bearer)
                assert answer.status_code == 200
        began = time.monotonic()
        await clients[0].post("/api/auth/logout", headers=refresh_headers(gone))
        await everywhere("revoked", "/api/profile", gone, (401, "token_revoked"), began)
        began = time.monotonic()
        await demote(fleet, admin)
        await everywhere("demoted", "/api/users", admin, (401, "token_expired"), began)
        began = time.monotonic()
        await grant(fleet, "user", "list:users")
        await everywhere("granted", "/api/users", reader, (200, ""), began)
        began = time.monotonic()
        await grant(fleet, "user", "list:users", taken=True)
        await everywhere("taken", "/api/users", reader, (403, "forbidden"), began)
        rate = load.rate()
    print(f"{fleet.database_url[:6]} at {rate:,.0f}/s of {RATE:,}: {took}")
    print(f"protected GET: p50 {load.percentile(0.5):.4f} p99 {load.percentile(0.99):.4f} s")
    assert load.statuses == {b"200"}
    assert max(took.values()) <= 1, took


@asynccontextmanager
async def held(url: str) -> AsyncIterator[None]:
    """While the block runs nobody writes to the database, and on PostgreSQL nobody reads it."""
    if url.startswith("sqlite"):
        path = url.removeprefix("sqlite:///")
        with closing(sqlite3.connect(path, isolation_level=None)) as file:
            file.execute("BEGIN EXCLUSIVE")
            yield
        return
    connection = await asyncpg.connect(url)
    try:
        await connection.execute("BEGIN")
        await connection.execute("LOCK TABLE changes, sessions, users IN ACCESS EXCLUSIVE MODE")
        yield
    finally:
        await connection.close()


async def test_no_request_waits_for_the_database(fleet: Fleet) -> None:
    busy = await asyncio.to_thread(fleet.admin)
    async with loaded(fleet, busy) as load, held(fleet.database_url):
        await asyncio.sleep(1)
        before = len(load.took)
        await asyncio.sleep(2)
        during = sorted(load.took[before:])
    print(
        f"{fleet.database_url[:6]} held: {len(during) / 2:,.0f}/s, "
        f"p99 {during[int(len(during) * 0.99)]:.4f} s, slowest {during[-1]:.4f} s"
    )
    assert load.statuses == {b"200"}
    assert len(during) > 100
    assert during[-1] < SLOW_S
