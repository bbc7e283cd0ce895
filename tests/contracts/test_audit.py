"""The promises of `AuditLog`."""

from authward.core.audit import Client, Event
from authward.ports import Store
from tests.contracts.making import TurnedClock, at_once, happened


class TestAuditLog:
    async def test_events_come_back_whole_newest_first(
        self, store: Store, clock: TurnedClock
    ) -> None:
        clock.turn(86_400_000)
        before = int(clock.now() * 1000)
        bare = Event("login.failed", Client(), "refused")
        full = Event(
            "user.changed",
            Client("2001:db8::1", "lynx ümläut", "r-7"),
            "ok",
            "actor-0001",
            "subject-0001",
            "session-0001",
            {"role": "user → admin", "count": 3},
        )
        await store.audit.record([bare, full])
        newest, oldest = await store.audit.latest(10)
        assert (newest.event, oldest.event) == (full, bare)
        assert newest.id > oldest.id
        assert before - 1000 <= oldest.at <= newest.at <= int(clock.now() * 1000) + 1000

    async def test_no_more_than_asked_for(self, store: Store) -> None:
        await store.audit.record([happened(f"n{number}") for number in range(5)])
        assert [row.event.kind for row in await store.audit.latest(2)] == ["n4", "n3"]

    async def test_nothing_is_nothing(self, store: Store) -> None:
        await store.audit.record([])
        assert await store.audit.latest(10) == []

    async def test_none_is_lost_among_many_at_once(self, store: Store, other: Store) -> None:
        await at_once(
            one.audit.record([happened(f"{name}{number}a"), happened(f"{name}{number}b")])
            for name, one in (("x", store), ("y", other))
            for number in range(10)
        )
        rows = await store.audit.latest(1000)
        assert len(rows) == len({row.id for row in rows}) == 40
        assert len({row.event.kind for row in rows}) == 40
