"""Four worker processes of `authward serve` on one database, started once for all tests."""

import asyncio
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass

import httpx2
import pytest

from authward.core.audit import Client, Event
from authward.core.users import UserChange
from authward.stores.sql import SqlStore
from authward.testing import TurnableClock
from tests.contracts.making import AUDIT_KEYS
from tests.postgres import drop_database, fresh_database
from tests.serving import START_S, Account, Server, error_of, register, serving, sign_in

WORKERS = 4
OPERATOR = Client("operator")
SEEN_S = 20
"""By when all processes have acted on a change. The second that is promised is what `make bench`
measures, with nothing else running. Among tests, which share two cores and a tracer, a second tells
of the machine; this tells the feed from what comes without it: tokens that expire, after minutes.
"""


@dataclass
class Fleet:
    """The server of four processes, and the address of its database."""

    server: Server
    database_url: str

    @asynccontextmanager
    async def connected(self, times: int = WORKERS) -> AsyncIterator[list[httpx2.AsyncClient]]:
        """Clients of one open connection each, at least `times` of them, of which every worker
        process has one or more. The first ones belong to different processes.
        """
        async with AsyncExitStack() as stack:
            found: dict[str, list[httpx2.AsyncClient]] = {}
            # One that was killed a moment ago is being replaced.
            give_up = time.monotonic() + START_S
            while time.monotonic() < give_up:
                client = self.server.async_client(connections=1, keep=1)
                stack.push_async_callback(client.aclose)
                answer = await client.get("/healthz")
                found.setdefault(answer.headers["x-test-pid"], []).append(client)
                if len(found) == WORKERS and sum(map(len, found.values())) >= times:
                    firsts = [clients.pop() for clients in found.values()]
                    yield [*firsts, *(one for clients in found.values() for one in clients)]
                    return
            raise AssertionError(f"only {len(found)} workers answer")

    @asynccontextmanager
    async def each(self) -> AsyncIterator[dict[str, httpx2.AsyncClient]]:
        """A client for each worker process, by its id, on a connection that stays."""
        async with self.connected() as clients:
            yield {
                (await client.get("/healthz")).headers["x-test-pid"]: client
                for client in clients[:WORKERS]
            }

    def store(self) -> SqlStore:
        """The database as another process sees it, at the same time of day: what is told from an
        hour ago is past for who remembers tokens of an hour.
        """
        clock = TurnableClock()
        clock.turn(self.server.turned)
        store = SqlStore(self.database_url, clock)
        store.audit.use(AUDIT_KEYS)
        return store

    def admin(self) -> Account:
        """An admin, signed in."""
        with self.server.client() as client:
            account = register(client)
            asyncio.run(self._promote(account.id))
            return sign_in(client, account.email)

    async def _promote(self, user_id: str) -> None:
        store = self.store()
        event = Event("user.role_set", OPERATOR, subject=user_id)
        change = UserChange({"role": "admin"}, supersede=True)
        await store.users.change(user_id, lambda user: change, event)
        await store.close()

    async def told(self, kind: str, subject: str) -> list[Event]:
        """The audit events of a kind about an account."""
        store = self.store()
        rows = await store.audit.latest(100_000)
        await store.close()
        return [
            row.event
            for row in rows
            if row.event.kind == kind and subject in (row.event.subject, row.event.actor)
        ]


@pytest.fixture(
    scope="session",
    params=[
        pytest.param("sqlite", marks=pytest.mark.xdist_group("fleet")),
        pytest.param("postgresql", marks=[pytest.mark.xdist_group("fleet"), pytest.mark.postgres]),
    ],
)
def fleet(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Fleet]:
    """One on SQLite, one on PostgreSQL, with a grace of ten seconds to be turned past."""
    folder = tmp_path_factory.mktemp("fleet")
    sqlite = request.param == "sqlite"
    url = f"sqlite:///{folder / 'test.db'}" if sqlite else fresh_database()
    with serving(url, folder, workers=WORKERS) as server:
        yield Fleet(server, url)
        log = server.log
    if not sqlite:
        drop_database(url)
    for sign in ("database is locked", "Traceback"):
        assert sign not in log, log


async def eventually(client: httpx2.AsyncClient, account: Account, expected: str) -> None:
    """Wait until a protected route answers with this error."""
    while error_of(await client.get("/api/profile", headers=account.bearer))[1] != expected:  # noqa: ASYNC110
        await asyncio.sleep(0.01)
