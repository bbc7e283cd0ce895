"""Races of PostgreSQL held open by hand, so that they happen every time."""

import asyncio
import time
from collections.abc import AsyncIterator
from typing import Any

import asyncpg
import pytest
from sqlalchemy import Row

from authward.core.sessions import Verdict
from authward.core.users import User
from authward.ports import Refreshed
from authward.stores import sessions
from authward.stores.sql import SqlStore
from authward.stores.transactions import Transaction
from tests.contracts.fixtures import Stores
from tests.contracts.making import (
    CLIENT,
    DELETE,
    DISABLE,
    GRACE,
    TurnedClock,
    add_user,
    always,
    changes,
    happened,
    new_session,
    open_session,
    silent,
    verdict,
)

pytestmark = pytest.mark.postgres


@pytest.fixture
async def raw(postgres_database: str) -> AsyncIterator[asyncpg.Connection]:
    connection = await asyncpg.connect(postgres_database)
    yield connection
    connection.terminate()


@pytest.fixture
async def watch(postgres_database: str) -> AsyncIterator[asyncpg.Connection]:
    connection = await asyncpg.connect(postgres_database)
    yield connection
    connection.terminate()


@pytest.fixture
async def pg(stores: Stores, postgres_database: str) -> SqlStore:
    return await stores(postgres_database)


async def until_one_waits(watch: asyncpg.Connection) -> None:
    async with asyncio.timeout(60):
        while not await watch.fetchval(  # noqa: ASYNC110
            "SELECT count(*) FROM pg_stat_activity"
            " WHERE datname = current_database() AND wait_event_type = 'Lock'"
        ):
            await asyncio.sleep(0.005)


class TestASignInWaitsForWhatIsUnderWay:
    @pytest.mark.parametrize(
        "change",
        [
            "UPDATE users SET epoch = epoch + 1, ver = ver + 1",
            "UPDATE users SET disabled_at = 1",
            "DELETE FROM users",
        ],
    )
    async def test_and_gets_none_when_it_is_overtaken(
        self, pg: SqlStore, raw: asyncpg.Connection, watch: asyncpg.Connection, change: str
    ) -> None:
        user = await add_user(pg)
        async with raw.transaction():
            await raw.execute(change)
            opening = asyncio.create_task(
                pg.sessions.open(new_session(user), happened("login.ok"), replaces=None)
            )
            await until_one_waits(watch)
        assert await opening is None
        assert await watch.fetchval("SELECT count(*) FROM sessions") == 0

    async def test_and_goes_on_when_that_came_to_nothing(
        self, pg: SqlStore, raw: asyncpg.Connection, watch: asyncpg.Connection
    ) -> None:
        user = await add_user(pg)
        undone = raw.transaction()
        await undone.start()
        await raw.execute("UPDATE users SET epoch = epoch + 1")
        opening = asyncio.create_task(
            pg.sessions.open(new_session(user), happened(), replaces=None)
        )
        await until_one_waits(watch)
        await undone.rollback()
        assert await opening is not None


class TestARevocationBetweenTheStatementsOfARefresh:
    @pytest.mark.parametrize("change", [always(revoke=True), DISABLE])
    async def test_ends_it(
        self, pg: SqlStore, monkeypatch: pytest.MonkeyPatch, clock: TurnedClock, change: Any
    ) -> None:
        user = await add_user(pg)
        session = await open_session(pg, user)
        clock.turn(GRACE)
        rotated = sessions._rotated

        async def revoke_first(tx: Transaction, row: Row[Any]) -> Refreshed:
            await pg.users.change(user.id, change, happened())
            return await rotated(tx, row)

        monkeypatch.setattr(sessions, "_rotated", revoke_first)
        told: list[Verdict] = []
        found = await pg.sessions.refresh(
            session.id,
            0,
            kid="k",
            grace=GRACE,
            client=CLIENT,
            event=lambda verdict, _: told.append(verdict),
        )
        assert found is not None
        # With ROTATE the service would mint a token of version 1, which the revocation spares.
        assert (found.verdict, found.user.ver, told) == (Verdict.ENDED, 1, [Verdict.ENDED])

    async def test_of_a_role_hands_out_the_new_rights(
        self, pg: SqlStore, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        user = await add_user(pg)
        session = await open_session(pg, user)
        rotated = sessions._rotated
        promoted: list[User | None] = []

        async def promote_first(tx: Transaction, row: Row[Any]) -> Refreshed:
            change = always(values={"role": "moderator"}, supersede=True)
            promoted.append(await pg.users.change(user.id, change, happened()))
            return await rotated(tx, row)

        monkeypatch.setattr(sessions, "_rotated", promote_first)
        found = await pg.sessions.refresh(
            session.id, 0, kid="k", grace=0, client=CLIENT, event=silent
        )
        assert found is not None
        assert (found.verdict, [found.user]) == (Verdict.ROTATE, promoted)


class TestWaitingForTheRow:
    async def test_a_refresh_that_waited_for_a_logout_has_ended(
        self, pg: SqlStore, raw: asyncpg.Connection, watch: asyncpg.Connection
    ) -> None:
        session = await open_session(pg, await add_user(pg))
        async with raw.transaction():
            await raw.execute("UPDATE sessions SET revoked_at = 1")
            refreshing = asyncio.create_task(verdict(pg, session, 0, grace=0))
            await until_one_waits(watch)
        assert await refreshing is Verdict.ENDED

    async def test_a_refresh_that_waited_past_the_end_of_its_session_has_ended(
        self, pg: SqlStore, raw: asyncpg.Connection, watch: asyncpg.Connection
    ) -> None:
        session = await open_session(pg, await add_user(pg), lifetime=2000)
        async with raw.transaction():
            await raw.execute("UPDATE sessions SET last_used_at = last_used_at + 1")
            refreshing = asyncio.create_task(verdict(pg, session, 0, grace=0))
            await until_one_waits(watch)
            # Real time is what this is about.
            while time.time() * 1000 <= session.expires_at:  # noqa: ASYNC110
                await asyncio.sleep(0.05)
        assert await refreshing is Verdict.ENDED

    async def test_a_refresh_that_waited_to_be_taken_along_rotates(
        self, pg: SqlStore, raw: asyncpg.Connection, watch: asyncpg.Connection
    ) -> None:
        session = await open_session(pg, await add_user(pg))
        async with raw.transaction():
            await raw.execute("UPDATE users SET epoch = 1")
            await raw.execute("UPDATE sessions SET epoch = 1")
            refreshing = asyncio.create_task(verdict(pg, session, 0, grace=0))
            await until_one_waits(watch)
        assert await refreshing is Verdict.ROTATE

    async def test_a_logout_that_waited_for_a_password_change_is_not_lost(
        self, pg: SqlStore, raw: asyncpg.Connection, watch: asyncpg.Connection
    ) -> None:
        session = await open_session(pg, await add_user(pg))
        async with raw.transaction():
            await raw.execute("UPDATE users SET epoch = 1")
            await raw.execute("UPDATE sessions SET epoch = 1")
            revoking = asyncio.create_task(pg.sessions.revoke(session.id, happened()))
            await until_one_waits(watch)
        assert await revoking is not None
        assert await verdict(pg, session, 0) is Verdict.ENDED

    async def test_a_replay_that_waited_for_a_logout_is_no_reuse(
        self, pg: SqlStore, raw: asyncpg.Connection, watch: asyncpg.Connection
    ) -> None:
        session = await open_session(pg, await add_user(pg))
        for generation in range(2):
            await verdict(pg, session, generation, grace=0)
        async with raw.transaction():
            await raw.execute("UPDATE sessions SET revoked_at = 1")
            replaying = asyncio.create_task(verdict(pg, session, 0))
            await until_one_waits(watch)
        assert await replaying is Verdict.ENDED
        assert await changes(pg) == []

    async def test_an_admin_is_judged_by_what_the_one_before_left(
        self, pg: SqlStore, raw: asyncpg.Connection, watch: asyncpg.Connection
    ) -> None:
        one, two = [await add_user(pg, role="admin") for _ in range(2)]
        async with raw.transaction():
            await raw.execute("UPDATE users SET role = 'user' WHERE id = $1", one.id)
            deleting = asyncio.create_task(pg.users.change(two.id, DELETE, happened()))
            await until_one_waits(watch)
        with pytest.raises(Exception, match="no other enabled admin"):
            await deleting

    async def test_who_became_an_admin_meanwhile_is_judged_as_one(
        self, pg: SqlStore, raw: asyncpg.Connection, watch: asyncpg.Connection
    ) -> None:
        user = await add_user(pg)
        async with raw.transaction():
            await raw.execute("UPDATE users SET role = 'admin'")
            deleting = asyncio.create_task(pg.users.change(user.id, DELETE, happened()))
            await until_one_waits(watch)
        with pytest.raises(Exception, match="no other enabled admin"):
            await deleting
