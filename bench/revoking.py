"""How long what one of four worker processes was asked to end is still let in by another, while
protected requests are served at a steady rate.

`authward serve --workers 4` and its databases are those that the tests run. From before the request
that ends something, until the last process refuses.
"""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from functools import partial
from itertools import cycle
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import httpx2
import pytest

from bench.machine import Missing
from bench.serving import Broken
from tests import postgres, redis
from tests.fleets import WORKERS, Fleet
from tests.loading import everywhere, loaded
from tests.serving import Account, refresh_headers, register, serving

SESSIONS = 50
# Of each: an admin demoted, a role that lost a permission.
RIGHTS = 10
PATH, LISTED, ROLE = "/api/profile", "/api/users", "/api/roles/user"

Client = httpx2.AsyncClient


@dataclass
class Found:
    """Milliseconds, and the requests a second and the 99th percentile of theirs meanwhile."""

    sessions: list[float] = field(default_factory=list)
    rights: list[float] = field(default_factory=list)
    rate: float = 0
    waited: float = 0


def all_found() -> Iterator[tuple[str, Found]]:
    """By what carries the news. Raises Missing before anything is measured, and Broken."""
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
                with serving(url, folder, workers=WORKERS, **settings) as server:
                    yield name, asyncio.run(_measured(Fleet(server, url)))
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
    async with fleet.each() as workers, loaded(fleet, chief) as load:
        clients = list(workers.values())

        async def timed(
            ends: Callable[[], Awaitable[httpx2.Response]],
            path: str,
            account: Account,
            expected: tuple[int, str],
        ) -> float:
            await everywhere(clients, path, account, (200, ""))
            # Not in step with the polls.
            await asyncio.sleep(secrets.randbelow(250) / 1000)
            began = time.perf_counter()
            (await ends()).raise_for_status()
            await everywhere(clients, path, account, expected)
            return (time.perf_counter() - began) * 1000

        gone, stale, less = (401, "token_revoked"), (401, "token_expired"), (403, "forbidden")
        for user, by in zip(users, cycle(clients), strict=False):
            found.sessions.append(await timed(partial(_log_out, by, user), PATH, user, gone))
        for admin, by in zip(admins, cycle(clients), strict=False):
            found.rights.append(
                await timed(partial(_demote, by, chief, admin), LISTED, admin, stale)
            )
            (await _grant(by, chief, "list:users")).raise_for_status()
            found.rights.append(await timed(partial(_grant, by, chief), LISTED, reader, less))
        found.rate, found.waited = load.rate(), load.percentile(0.99) * 1000
    if load.statuses != {b"200"}:
        raise Broken(f"the load was answered with {load.statuses}")
    return found


async def _log_out(by: Client, user: Account) -> httpx2.Response:
    return await by.post("/api/auth/logout", headers=refresh_headers(user))


async def _demote(by: Client, chief: Account, admin: Account) -> httpx2.Response:
    path = f"{LISTED}/{admin.id}/role"
    return await by.put(path, headers=chief.bearer, json={"role": "user"})


async def _grant(by: Client, chief: Account, *permissions: str) -> httpx2.Response:
    return await by.put(ROLE, headers=chief.bearer, json={"permissions": permissions})


def _told(error: BaseException) -> str:
    """The first failure within a group."""
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return f"{type(error).__name__} {error}".strip()
