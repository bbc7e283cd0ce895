"""The promises of `Store` itself."""

import pytest

from authward.core.sessions import Verdict
from authward.ports import Store
from tests.contracts.fixtures import Stores
from tests.contracts.making import (
    CLIENT,
    LIFETIME,
    TurnedClock,
    add_user,
    always,
    at_once,
    changes,
    happened,
    open_session,
    verdict,
)

WEEK = 7 * 86_400_000


class TestOpening:
    async def test_an_empty_database_is_made_ready(self, stores: Stores, database_url: str) -> None:
        store = await stores(database_url)
        await store.open()
        await store.ping()
        user = await add_user(store)
        await store.open()
        again = await stores(database_url)
        await again.open()
        assert await again.users.by_id(user.id) == user

    async def test_eight_may_open_it_at_once(self, stores: Stores, database_url: str) -> None:
        eight = [await stores(database_url) for _ in range(8)]
        await at_once(one.open() for one in eight)
        user = await add_user(eight[0])
        assert await at_once(one.users.by_id(user.id) for one in eight) == [user] * 8

    async def test_what_is_stored_outlives_the_process(self, stores: Stores, database: str) -> None:
        first = await stores(database)
        user = await add_user(first)
        session = await open_session(first, user)
        await first.close()
        second = await stores(database)
        await second.open()
        assert await second.users.by_id(user.id) == user
        assert await second.sessions.of_user(user.id) == [session]

    async def test_closing_twice_is_harmless(self, stores: Stores, database: str) -> None:
        store = await stores(database)
        await store.ping()
        await store.close()
        await store.close()


class TestSweeping:
    async def test_what_nothing_asks_for_goes_and_the_rest_stays(
        self, store: Store, clock: TurnedClock
    ) -> None:
        user, old = await add_user(store), await add_user(store)
        short = await open_session(store, user)
        long = await open_session(store, user, lifetime=2 * WEEK)
        revoked = await open_session(store, user, lifetime=2 * WEEK)
        await store.users.change(old.id, always(supersede=True), happened())
        await store.sweep()
        assert await verdict(store, short, 0) is Verdict.SAME

        clock.turn(WEEK - 60_000)
        await store.sessions.revoke(revoked.id, happened())
        clock.turn(60_000 + 1000)
        await store.sweep()
        assert (
            await store.sessions.refresh(
                short.id, 0, kid="k", grace=0, client=CLIENT, event=lambda *_: None
            )
            is None
        )
        assert await verdict(store, long, 0) is Verdict.ROTATE
        # Its refresh tokens live on: they must still be told that it ended.
        assert await verdict(store, revoked, 0) is Verdict.ENDED
        # Wherever a reader stands, what is left of the feed is what is young.
        assert await changes(store) == [("session.revoked", revoked.id, 0, None)]
        assert len(await store.audit.latest(100)) == 7
        assert await store.users.by_id(user.id) == user

    async def test_it_takes_more_than_one_batch(
        self, store: Store, clock: TurnedClock, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("authward.stores.sql.SWEEP_BATCH", 3)
        user = await add_user(store)
        opened = [await open_session(store, user) for _ in range(7)]
        kept = await open_session(store, user, lifetime=2 * LIFETIME)
        clock.turn(LIFETIME + 1000)
        await at_once([store.sweep(), store.sweep()])
        for session in opened:
            assert await store.sessions.revoke(session.id, happened()) is None
        assert await store.sessions.of_user(user.id) == [kept]
