"""Running services over a migrated SQLite file, with cheap hashing and a clock to turn."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from typing import Any

import pytest

from authward import Authward
from authward.core.audit import Client
from authward.services import Services
from authward.testing import TurnableClock
from tests.cheap import make_hashing_cheap
from tests.contracts.fixtures import (  # noqa: F401
    migrated_sqlite,
    sqlite_database,
)

SECRET = "8dXo2nqIp0Jv5cFh3mRzYw7LkTbQeUa1sGxNfWdC6yE"
PASSWORD = "correct horse battery"
HERE = Client("203.0.113.9", "a browser")
Make = Callable[..., Awaitable[Authward]]


@pytest.fixture
def clock() -> TurnableClock:
    return TurnableClock()


@pytest.fixture
async def make(
    sqlite_database: str,  # noqa: F811
    clock: TurnableClock,
    monkeypatch: pytest.MonkeyPatch,
) -> AsyncIterator[Make]:
    """Starts processes on one database: make(access_ttl=60). One that does not serve is a
    command.
    """
    make_hashing_cheap(monkeypatch)
    async with AsyncExitStack() as stack:

        async def started(*, serves: bool = True, **settings: Any) -> Authward:
            auth = Authward(
                clock=clock, **{"database_url": sqlite_database, "secret": SECRET, **settings}
            )
            auth._serves = serves
            await auth.startup()
            stack.push_async_callback(auth.shutdown)
            return auth

        yield started


@pytest.fixture
async def services(make: Make) -> Services:
    return (await make()).services


async def told(services: Services, kind: str) -> list[dict[str, Any]]:
    """The audit rows of a kind, oldest first, with all that is pending written."""
    await services.refusals.flush(all_of_it=True)
    rows = reversed(await services.store.audit.latest(1000))
    return [
        {
            "outcome": row.event.outcome,
            "actor": row.event.actor,
            "subject": row.event.subject,
            "session": row.event.session,
            "ip": row.event.client.ip,
            **row.event.detail,
        }
        for row in rows
        if row.event.kind == kind
    ]


async def register(services: Services, email: str = "ada@example.com", **values: Any) -> Any:
    """A new account, signed in."""
    given: dict[str, Any] = {"password": PASSWORD, "name": "Ada", "client": HERE}
    given = given | {"presented": None} | values
    return await services.accounts.register(email, **given)


def principal_of(services: Services, signed_in: Any) -> Any:
    return services.tokens.verify(signed_in.access_token)
