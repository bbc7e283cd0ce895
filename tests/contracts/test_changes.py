"""The promises of `ChangeFeed`."""

import asyncio

from authward.core.permissions import DEFAULT_ROLES
from authward.ports import Change, Cursor, Store
from tests.contracts.making import (
    HORIZON,
    TurnedClock,
    add_user,
    always,
    at_once,
    changes,
    happened,
    open_session,
    plain,
)


class TestChangeFeed:
    async def test_a_new_database_has_nothing_to_tell(self, store: Store) -> None:
        batch = await store.changes.since(Cursor(), horizon=HORIZON)
        assert batch.changes == []

    async def test_everything_since_the_cursor_comes_with_its_time(
        self, store: Store, clock: TurnedClock
    ) -> None:
        user = await add_user(store)
        await store.users.change(user.id, always(revoke=True), happened())
        first = await store.changes.since(Cursor(), horizon=HORIZON)
        assert [plain(change) for change in first.changes] == [("user.revoked", user.id, 1, None)]
        clock.turn(60_000)
        before = int(clock.now() * 1000)
        await store.users.change(user.id, always(supersede=True), happened())
        session = await open_session(store, user, epoch=1)
        await store.sessions.revoke(session.id, happened())

        batch = await store.changes.since(first.cursor, horizon=HORIZON)
        assert [plain(change) for change in batch.changes][-2:] == [
            ("user.superseded", user.id, 2, None),
            ("session.revoked", session.id, 0, None),
        ]
        assert batch.cursor.head > first.cursor.head
        for change in batch.changes[-2:]:
            assert before - 1000 <= change.at <= int(clock.now() * 1000) + 1000

    async def test_a_reader_that_has_all_gets_nothing_new(self, store: Store) -> None:
        user = await add_user(store)
        await store.users.change(user.id, always(revoke=True), happened())
        cursor = (await store.changes.since(Cursor(), horizon=HORIZON)).cursor
        again = await store.changes.since(cursor, horizon=HORIZON)
        assert again.changes == []
        assert again.cursor.head >= cursor.head

    async def test_cursor_zero_reads_what_is_younger_than_the_horizon(
        self, store: Store, clock: TurnedClock
    ) -> None:
        old, young = await add_user(store), await add_user(store)
        await store.users.change(old.id, always(revoke=True), happened())
        clock.turn(HORIZON)
        await store.users.change(young.id, always(revoke=True), happened())
        assert await changes(store) == [("user.revoked", young.id, 1, None)]
        clock.turn(HORIZON + 1000)
        assert await changes(store) == []

    async def test_a_reader_that_was_away_misses_nothing(
        self, store: Store, clock: TurnedClock
    ) -> None:
        user = await add_user(store)
        await store.users.change(user.id, always(supersede=True), happened())
        cursor = (await store.changes.since(Cursor(), horizon=1000)).cursor
        for _ in range(3):
            await store.users.change(user.id, always(supersede=True), happened())
            clock.turn(HORIZON * 10)
        assert [ver for _, _, ver, _ in (await changes(store, cursor))[-3:]] == [2, 3, 4]

    async def test_a_reader_misses_nothing_of_what_many_write_at_once(
        self, store: Store, other: Store
    ) -> None:
        users = [await add_user(store) for _ in range(20)]
        seen: list[tuple] = []
        cursor = Cursor()
        writing = True

        async def write(number: int) -> None:
            one = (store, other)[number % 2]
            for _ in range(5):
                await one.users.change(users[number].id, always(supersede=True), happened())

        async def follow() -> None:
            nonlocal cursor
            while True:
                last = not writing
                batch = await other.changes.since(cursor, horizon=HORIZON)
                assert batch.cursor.head >= cursor.head
                cursor = batch.cursor
                seen.extend(plain(change) for change in batch.changes)
                if last:
                    return

        following = asyncio.create_task(follow())
        await at_once(write(number) for number in range(20))
        writing = False
        await following
        assert sorted(seen) == sorted(
            ("user.superseded", user.id, ver, None) for user in users for ver in range(1, 6)
        )

    async def test_it_holds_the_roles_there_are(self, store: Store) -> None:
        roles = await store.changes.roles()
        assert roles == DEFAULT_ROLES

    async def test_an_announcement_of_its_own_is_read_by_others(
        self, store: Store, other: Store
    ) -> None:
        prefixes = ["$2a$10$", "$2b$12$"]
        cursor = (await other.changes.since(Cursor(), horizon=HORIZON)).cursor
        await store.changes.announce([Change("scheme.added", one, 0, None, 0) for one in prefixes])
        batch = await other.changes.since(cursor, horizon=HORIZON)
        assert [plain(change) for change in batch.changes] == [
            ("scheme.added", one, 0, None) for one in prefixes
        ]
        assert all(change.at for change in batch.changes)
