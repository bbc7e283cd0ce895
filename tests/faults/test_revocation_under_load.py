"""What takes hold everywhere at once, while four processes serve protected requests: a revoked
session, a demoted admin, a role's permissions; and none of those requests waits for the database.

OWASP ASVS 7.4, 8.3; authorization that is asked of a database goes away with it.
"""

import asyncio
import sqlite3
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, closing

import asyncpg
import pytest
from sqlalchemy import delete, insert

from authward.core.audit import Event
from authward.core.users import UserChange
from authward.ports import Change
from authward.stores.schema import role_permissions
from authward.stores.sql import SqlStore
from authward.stores.transactions import Transaction
from tests.fleets import OPERATOR, SEEN_S, Fleet
from tests.loading import RATE, each_worker, everywhere, loaded, request
from tests.serving import Account, refresh_headers, register

HELD_S = 2.0
"""Nobody gets at the database for at least so long."""

pytestmark = [pytest.mark.load]


async def _change(fleet: Fleet, work: Callable[[SqlStore], Awaitable[object]]) -> None:
    """By another process than the four."""
    store = fleet.store()
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


async def test_seen_by_all_under_load(fleet: Fleet) -> None:
    took: dict[str, float] = {}
    with fleet.server.client() as any_of_them:
        gone, reader = register(any_of_them), register(any_of_them)
    admin = await asyncio.to_thread(fleet.admin)
    busy = await asyncio.to_thread(fleet.admin)
    async with each_worker(fleet) as workers, loaded(fleet, busy) as load:

        async def timed(what: str, path: str, account: Account, expected: tuple[int, str]) -> None:
            """From when it is committed."""
            began = time.monotonic()
            await everywhere(workers, path, account, expected)
            took[what] = time.monotonic() - began

        for account in (gone, admin):
            await everywhere(workers, "/api/profile", account, (200, ""))
        await workers[0].ask(request("POST", "/api/auth/logout", refresh_headers(gone)))
        await timed("revoked", "/api/profile", gone, (401, "token_revoked"))
        await demote(fleet, admin)
        await timed("demoted", "/api/users", admin, (401, "token_expired"))
        await grant(fleet, "user", "list:users")
        await timed("granted", "/api/users", reader, (200, ""))
        await grant(fleet, "user", "list:users", taken=True)
        await timed("taken", "/api/users", reader, (403, "forbidden"))
        rate = load.rate()
    print(f"{fleet.database_url[:6]} at {rate:,.0f}/s of {RATE:,}: {took}")
    print(f"protected GET: p50 {load.percentile(0.5):.4f} p99 {load.percentile(0.99):.4f} s")
    # How many requests that were is the machine's affair, and so is how long each took.
    assert load.statuses == {200}
    assert load.statements == 0, "no request asks the database"
    assert max(took.values()) < SEEN_S, took


@asynccontextmanager
async def held(url: str) -> AsyncIterator[None]:
    """While the block runs nobody writes to the database, and on PostgreSQL nobody reads it. On
    SQLite those who read it wait for nobody: they are counted.
    """
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
        first = len(load.took)
        await asyncio.sleep(HELD_S)
        before = list(load.answered)
        async with asyncio.timeout(30):
            # Of two answers on a connection, one was asked for meanwhile.
            while any(now < then + 2 for now, then in zip(load.answered, before, strict=True)):  # noqa: ASYNC110
                await asyncio.sleep(0.01)
        during = load.took[first:]
    print(f"{fleet.database_url[:6]} held: {len(during):,} answers, slowest {max(during):.4f} s")
    # Each connection was answered while nobody got at the database: none waited for it.
    assert load.statuses == {200}
    assert load.statements == 0


async def test_a_request_that_asks_the_database_would_be_seen(fleet: Fleet) -> None:
    """What the counts above rest on."""
    with fleet.server.client() as client:
        user = register(client)
        asks = client.get("/api/profile", headers=user.bearer)
        asks_not = client.get("/members", headers=user.bearer)
    assert (asks.status_code, asks_not.status_code) == (200, 200)
    assert int(asks.headers["x-test-statements"]) > 0
    assert int(asks_not.headers["x-test-statements"]) == 0
