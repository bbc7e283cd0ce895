"""The promises of `KeyStore`."""

import os
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest

from authward.core.keys import RINGS, MasterSecret, StoredKey
from authward.core.rotation import ROTATING, Lives
from authward.errors import ConfigurationError, RotatedLately
from authward.ports import Cursor, KeyChange, SessionMatch, Store
from authward.services.keys import KeyPolicy, Keys
from authward.services.rings import Seals
from tests.contracts.fixtures import Stores
from tests.contracts.making import (
    CLIENT,
    GRACE,
    TurnedClock,
    add_user,
    at_once,
    audited,
    changes,
    happened,
    open_session,
    silent,
)

OLD = MasterSecret("8dXo2nqIp0Jv5cFh3mRzYw7LkTbQeUa1sGxNfWdC6yE")
NEW = MasterSecret("t5GkQz2Wn8Vb0Ld7Xc4Rf1Hj6Ps9My3EaUiOqTwYvZo")
LIVES = Lives.of(notice=300, access=3600, refresh=7 * 86400, session=30 * 86400)
NOTICE_MS = 301_000
DAY_MS = 86_400_000
COUNTED = {"unused": 7 * DAY_MS, "grace": GRACE, "late": 300_000}


def keys_of(maker: str, rings: tuple = RINGS) -> list[StoredKey]:
    return [
        StoredKey(f"{maker}-{ring}-0001", ring, "HS256", "signing", bytes([0, 255, number]), 0)
        for number, ring in enumerate(rings)
    ]


def kids(keys: Sequence[StoredKey]) -> set[str]:
    return {key.kid for key in keys}


class TestKeyStore:
    async def test_the_first_keys_are_stored_as_given(
        self, store: Store, clock: TurnedClock
    ) -> None:
        clock.turn(86_400_000)
        before = int(clock.now() * 1000)
        new = [*keys_of("one"), StoredKey("next-0001", "csrf", "HS256", "pending", b"1", 0)]
        stored = {key.kid: key for key in await store.keys.add_first(new)}
        assert set(stored) == kids(new)
        for key in new:
            found = stored[key.kid]
            assert before - 1000 <= found.created_at <= int(clock.now() * 1000) + 1000
            assert (found.ring, found.algorithm, found.state) == (key.ring, "HS256", key.state)
            assert found.sealed == key.sealed
            since = found.signing_at
            assert (since is None) == (key.state == "pending")
            assert abs((since or before) - before) < 2000
            assert found.verifying_at is found.retired_at is None

    async def test_a_change_tells_of_the_sessions_that_are_meant_too(self, store: Store) -> None:
        told = happened("test.began")
        await store.keys.change(lambda there, now: KeyChange((), ("csrf",), [told], 5000))
        announced = (await store.changes.since(Cursor(), horizon=DAY_MS)).changes
        assert [(change.kind, change.subject, change.before) for change in announced] == [
            ("keys.changed", "csrf", None),
            ("sessions.revoked", "", 5000),
        ]
        assert (await audited(store))[-1] == "test.began"

    async def test_a_ring_that_has_keys_takes_no_more(self, store: Store) -> None:
        first = await store.keys.add_first(keys_of("one", ("access", "refresh")))
        stored = await store.keys.add_first(keys_of("two"))
        assert kids(stored) == {
            "one-access-0001",
            "one-refresh-0001",
            "two-csrf-0001",
            "two-audit-0001",
        }
        assert stored[: len(first)] == first
        assert await store.keys.add_first(keys_of("three")) == stored
        assert await store.keys.add_first([]) == stored == await store.keys.all()

    async def test_one_ring_may_start_with_several(self, store: Store) -> None:
        pair = [
            StoredKey("signing-0001", "access", "EdDSA", "signing", b"1", 0),
            StoredKey("pending-0001", "access", "EdDSA", "pending", b"2", 0),
        ]
        assert kids(await store.keys.add_first(pair)) == kids(pair)

    async def test_of_eight_at_once_one_wins_and_all_get_its_set(
        self, stores: Stores, database: str
    ) -> None:
        eight = [await stores(database) for _ in range(8)]
        found = await at_once(
            one.keys.add_first(keys_of(f"maker{number}")) for number, one in enumerate(eight)
        )
        assert all(one == found[0] for one in found)
        assert len({key.kid.partition("-")[0] for key in found[0]}) == 1
        assert {key.ring for key in found[0]} == set(RINGS)

    async def test_a_change_is_stored_whole_told_and_announced(
        self, store: Store, clock: TurnedClock
    ) -> None:
        await store.keys.add_first(keys_of("one"))
        seen: list[Any] = []

        def decide(keys: Sequence[StoredKey], now: int) -> KeyChange:
            seen[:] = [list(keys), now]
            [one] = [key for key in keys if key.ring == "access"]
            moved = replace(
                one, state="retired", sealed=b"", signing_at=1, verifying_at=2, retired_at=now
            )
            new = StoredKey("two-access-0001", "access", "EdDSA", "signing", b"2", 5, 6)
            return KeyChange([moved, new], ("access", "csrf"), [happened("key.moved")] * 2)

        there = await store.keys.all()
        after = {key.kid: key for key in await store.keys.change(decide)}
        assert seen[0] == there
        assert abs(seen[1] - clock.now() * 1000) < 60_000
        assert after["two-access-0001"] == StoredKey(
            "two-access-0001", "access", "EdDSA", "signing", b"2", 5, 6
        )
        gone = after["one-access-0001"]
        assert (gone.state, gone.sealed, gone.signing_at, gone.verifying_at) == (
            "retired",
            b"",
            1,
            2,
        )
        assert gone.retired_at == seen[1]
        assert list(after.values()) == await store.keys.all()
        assert await changes(store) == [
            ("keys.changed", ring, 0, None) for ring in ("access", "csrf")
        ]
        assert await audited(store) == ["key.moved"] * 2

    async def test_nothing_happens_without_a_decision_or_after_a_refusal(
        self, store: Store
    ) -> None:
        there = await store.keys.add_first(keys_of("one"))
        assert await store.keys.change(lambda keys, now: None) == there
        assert await store.keys.change(lambda keys, now: KeyChange()) == there

        def refuse(keys: Sequence[StoredKey], now: int) -> KeyChange:
            raise RotatedLately("no")

        with pytest.raises(RotatedLately):
            await store.keys.change(refuse)
        assert await store.keys.all() == there
        assert await changes(store) == []

    async def test_each_of_many_sees_what_the_one_before_left(
        self, stores: Stores, database: str
    ) -> None:
        eight = [await stores(database) for _ in range(8)]
        await eight[0].keys.add_first(keys_of("one", ("csrf",)))

        def count(keys: Sequence[StoredKey], now: int) -> KeyChange:
            return KeyChange([replace(keys[0], created_at=keys[0].created_at + 1)])

        await eight[0].keys.change(lambda keys, now: KeyChange([replace(keys[0], created_at=0)]))
        await at_once(one.keys.change(count) for one in eight for _ in range(3))
        [key] = await eight[0].keys.all()
        assert key.created_at == 24


class TestLiveSessions:
    async def test_they_are_counted_by_the_key_of_their_refresh_token(
        self, store: Store, clock: TurnedClock
    ) -> None:
        one, two = "one-refresh-0001", "two-refresh-0001"
        await store.keys.add_first(
            [replace(keys_of("one", ("refresh",))[0], kid=kid) for kid in (one, two)]
            + keys_of("one", ("access",))
        )
        ann, bob, eve = [await add_user(store) for _ in range(3)]
        for user, kid in ((ann, one), (ann, one), (bob, one), (bob, two), (eve, two)):
            await open_session(store, user, kid=kid, lifetime=30 * DAY_MS)
        # Of an access key there is none, even if a session says so.
        await open_session(store, ann, kid="one-access-0001")
        assert await store.keys.live_sessions(**COUNTED) == {one: 3, two: 2}
        ended = await open_session(store, ann, kid=one)
        await store.sessions.revoke(ended.id, happened())
        await open_session(store, ann, kid=one, lifetime=1000)
        await store.users.change(eve.id, lambda user: _disable(), happened())
        clock.turn(2000)
        assert await store.keys.live_sessions(**COUNTED) == {one: 3, two: 1}
        clock.turn(7 * DAY_MS)
        assert await store.keys.live_sessions(**COUNTED) == {}

    async def test_one_that_left_within_the_grace_hangs_on_the_key_before_too(
        self, store: Store, clock: TurnedClock
    ) -> None:
        old, new = "old-refresh-0001", "new-refresh-0001"
        await store.keys.add_first(
            [replace(keys_of("one", ("refresh",))[0], kid=kid) for kid in (old, new)]
        )
        ann = await add_user(store)
        session = await open_session(store, ann, kid=old, lifetime=DAY_MS)
        await store.keys.change(
            lambda keys, now: KeyChange(
                [
                    replace(key, state="verifying", verifying_at=now)
                    for key in keys
                    if key.kid == old
                ]
            )
        )
        clock.turn(400_000)
        await open_session(store, ann, kid=new, lifetime=DAY_MS)
        assert await store.keys.live_sessions(**COUNTED) == {old: 1, new: 1}
        await store.sessions.refresh(
            session.id, 0, kid=new, grace=GRACE, client=CLIENT, event=silent
        )
        assert await store.keys.live_sessions(**COUNTED) == {old: 1, new: 2}
        clock.turn(GRACE + 1000)
        assert await store.keys.live_sessions(**COUNTED) == {new: 2}

    async def test_they_can_be_ended_by_their_key(self, store: Store) -> None:
        ann, bob = await add_user(store), await add_user(store)
        await open_session(store, ann, kid="one")
        await open_session(store, bob, kid="two")
        match = SessionMatch(kids=frozenset({"one", "three"}))
        assert not match.cut
        assert (await store.sessions.count_matching(match)).sessions == 1
        done = await store.sessions.revoke_matching(match, happened(), lambda done: happened())
        assert (done.sessions, done.accounts) == (1, 1)
        assert await store.sessions.of_user(ann.id) == []
        assert len(await store.sessions.of_user(bob.id)) == 1
        told = await changes(store)
        assert [(kind, subject) for kind, subject, *_ in told] == [("user.superseded", ann.id)]

    @pytest.mark.parametrize(("early", "ended"), [(False, {"held", "left"}), (True, {"early"})])
    async def test_and_by_the_key_before_or_that_could_have_been(
        self, store: Store, clock: TurnedClock, early: bool, ended: set[str]
    ) -> None:
        ann = await add_user(store)
        first = await open_session(store, ann, id="early", kid="zero")
        clock.turn(1000)
        await open_session(store, ann, id="held", kid="one")
        await open_session(store, ann, id="left", kid="one")
        await open_session(store, ann, id="other", kid="two")
        for generation in range(2):
            clock.turn(GRACE)
            await store.sessions.refresh(
                "left", generation, kid="two", grace=0, client=CLIENT, event=silent
            )
        before = first.created_at
        match = SessionMatch(kids=frozenset({"one"}), signed_before=before)
        if early:
            match = SessionMatch(kids=frozenset({"none"}), signed_before=before + 1)
        counted = await store.sessions.count_matching(match)
        assert counted.sessions == len(ended)
        done = await store.sessions.revoke_matching(match, happened(), lambda done: happened())
        assert done == counted
        lives = {session.id for session in await store.sessions.of_user(ann.id)}
        assert lives == {"early", "held", "left", "other"} - ended


def _disable() -> Any:
    from authward.core.users import UserChange

    return UserChange({"disabled_at": 1}, revoke=True)


def service(store: Store, clock: TurnedClock, master: MasterSecret = OLD, **more: Any) -> Keys:
    previous = more.pop("previous", None)
    policy = KeyPolicy("HS256", LIVES, unused=7 * DAY_MS, grace=GRACE, **more)
    return Keys(store, Seals(master, os.urandom, previous), policy, clock, os.urandom)


class TestProcessesAtOnce:
    async def test_of_eight_that_rotate_one_does(
        self, stores: Stores, database: str, clock: TurnedClock
    ) -> None:
        eight = [service(await stores(database), clock) for _ in range(8)]
        await at_once(one.start() for one in eight)
        clock.turn(NOTICE_MS)
        found = await at_once(unless_lately(one) for one in eight)
        assert sorted(found) == [False] * 7 + [True]
        keys = await eight[0]._store.keys.all()
        for ring in ROTATING:
            states = sorted(key.state for key in keys if key.ring == ring)
            assert states == ["pending", "signing", "verifying"]

    async def test_of_eight_schedules_one_rotates(
        self, stores: Stores, database: str, clock: TurnedClock
    ) -> None:
        eight = [service(await stores(database), clock, every=DAY_MS) for _ in range(8)]
        await at_once(one.start() for one in eight)
        clock.turn(DAY_MS + 1000)
        await at_once(one.rotate_due() for one in eight)
        told = await audited(eight[0]._store)
        assert told.count("key.rotated") == 3

    async def test_of_eight_that_seal_anew_one_does_and_all_go_on(
        self, stores: Stores, database: str, clock: TurnedClock
    ) -> None:
        before = await service(await stores(database), clock).start()
        eight = [service(await stores(database), clock, NEW, previous=OLD) for _ in range(8)]
        found = await at_once(one.start() for one in eight)
        assert all(one.csrf == before.csrf for one in found)
        assert (await audited(eight[0]._store)).count("keys.resealed") == 1
        await service(await stores(database), clock, NEW).start()
        with pytest.raises(ConfigurationError, match="does not open"):
            await service(await stores(database), clock).start()


async def unless_lately(keys: Keys) -> bool:
    try:
        await keys.rotate(None, CLIENT)
    except RotatedLately:
        return False
    return True
