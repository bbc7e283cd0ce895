"""How long what one of four worker processes was asked to end is still let in by another, while
protected requests are served at a steady rate.

`authward serve --workers 4` and its databases are those that the tests run. From before the request
that ends something, until the last process refuses.
"""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from itertools import cycle
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import httpx2
import pytest
import uvloop

from bench.machine import Missing
from bench.serving import Broken
from tests import postgres, redis
from tests.fleets import WORKERS, Fleet
from tests.loading import Connection, each_worker, everywhere, loaded, request
from tests.serving import Account, refresh_headers, register, serving

SESSIONS = 40
# Of each: an admin demoted, a role that lost a permission.
RIGHTS = 5
RATE = 2000
"""Protected requests a second meanwhile."""
PATH, LISTED = "/api/profile", "/api/users"


@dataclass
class Found:
    """Milliseconds, and the requests a second and the 99th percentile of theirs meanwhile."""

    sessions: list[float] = field(default_factory=list)
    rights: list[float] = field(default_factory=list)
    rate: float = 0
    waited: float = 0


def all_found() -> Iterator[tuple[str, Found]]:
    """By what carries the news. Raises Missing before anything is measured, and Broken."""
    # The load is counted by the general limit, and never over it.
    counted: dict[str, Any] = {"rate_limit": "10000/1s"}
    with ExitStack() as stack:
        folder = Path(stack.enter_context(TemporaryDirectory(prefix="bench-")))
        postgres_url, redis_url = stack.enter_context(_servers())
        databases: dict[str, tuple[str, dict[str, Any]]] = {
            "SQLite": (f"sqlite:///{folder / 'a.db'}", {}),
            "SQLite, Redis": (f"sqlite:///{folder / 'b.db'}", {"redis_url": redis_url}),
            "PostgreSQL": (postgres_url, {}),
        }
        for name, (url, settings) in databases.items():
            try:
                with serving(url, folder, workers=WORKERS, **counted, **settings) as server:
                    yield name, uvloop.run(_measured(Fleet(server, url)))
            # A load or a wait that failed comes in a group.
            except (AssertionError, httpx2.HTTPError, ExceptionGroup) as error:
                raise Broken(f"four workers on {name}: {_told(error)}") from error


@contextmanager
def _servers() -> Iterator[tuple[str, str]]:
    """An empty database on a PostgreSQL, and a Redis."""
    with ExitStack() as stack:
        stack.callback(postgres.end)
        postgres.begin()
        try:
            postgres_url = postgres.fresh_database()
            stack.callback(postgres.drop_database, postgres_url)
            redis_url = stack.enter_context(redis.running())
        except (pytest.skip.Exception, pytest.fail.Exception) as lacking:
            raise Missing(str(lacking)) from None
        yield postgres_url, redis_url


async def _measured(fleet: Fleet) -> Found:
    found = Found()
    with fleet.server.client() as any_of_them:
        users = [register(any_of_them) for _ in range(SESSIONS)]
        reader = register(any_of_them)
    admins = [await asyncio.to_thread(fleet.admin) for _ in range(RIGHTS)]
    chief = await asyncio.to_thread(fleet.admin)
    async with each_worker(fleet) as workers, loaded(fleet, chief, RATE) as load:

        async def timed(
            by: Connection,
            ends: bytes,
            path: str,
            account: Account,
            expected: tuple[int, str],
        ) -> float:
            await everywhere(workers, path, account, (200, ""))
            # Not in step with the polls.
            await asyncio.sleep(secrets.randbelow(250) / 1000)
            began = time.perf_counter()
            await _done(by, ends)
            await everywhere(workers, path, account, expected)
            return (time.perf_counter() - began) * 1000

        gone, stale, less = (401, "token_revoked"), (401, "token_expired"), (403, "forbidden")
        for user, by in zip(users, cycle(workers), strict=False):
            found.sessions.append(await timed(by, _log_out(user), PATH, user, gone))
        for admin, by in zip(admins, cycle(workers), strict=False):
            found.rights.append(await timed(by, _demote(chief, admin), LISTED, admin, stale))
            await _done(by, _grant(chief, "list:users"))
            found.rights.append(await timed(by, _grant(chief), LISTED, reader, less))
        found.rate, found.waited = load.rate(), load.percentile(0.99) * 1000
    if load.statuses != {200}:
        raise Broken(f"the load was answered with {load.statuses}")
    return found


async def _done(by: Connection, ends: bytes) -> None:
    answer = await by.ask(ends)
    if answer.status != 200:
        raise Broken(f"a change was answered with {answer.status} {answer.body[:300]!r}")


def _log_out(user: Account) -> bytes:
    return request("POST", "/api/auth/logout", refresh_headers(user))


def _demote(chief: Account, admin: Account) -> bytes:
    return request("PUT", f"{LISTED}/{admin.id}/role", chief.bearer, {"role": "user"})


def _grant(chief: Account, *permissions: str) -> bytes:
    return request("PUT", "/api/roles/user", chief.bearer, {"permissions": permissions})


def _told(error: BaseException) -> str:
    """The first failure within a group."""
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return f"{type(error).__name__} {error}".strip()
