"""The promises of `SessionStore`."""

import asyncio
import itertools
from typing import Any

import pytest

from authward.core.audit import Client, Event
from authward.core.keys import StoredKey
from authward.core.sessions import Session, Verdict
from authward.ports import KeyChange, Refreshed, Store
from tests.contracts.making import (
    CLIENT,
    DELETE,
    DISABLE,
    GRACE,
    LIFETIME,
    TurnedClock,
    add_user,
    always,
    at_once,
    audited,
    changes,
    happened,
    new_session,
    open_session,
    silent,
    verdict,
)


async def refresh(
    store: Store, session: Session, generation: int, *, grace: int = GRACE, kid: str = "kid-0001"
) -> Refreshed:
    found = await store.sessions.refresh(
        session.id, generation, kid=kid, grace=grace, client=CLIENT, event=silent
    )
    assert found is not None
    return found


class TestOpening:
    async def test_a_session_is_stored_as_given(self, store: Store, clock: TurnedClock) -> None:
        clock.turn(86_400_000)
        user = await add_user(store)
        await store.users.change(user.id, always(revoke=True), happened())
        before = int(clock.now() * 1000)
        new = new_session(user, epoch=1, kid="kid-0002", ip="2001:db8::1", user_agent="lynx")
        session = await store.sessions.open(new, happened("login.ok"), replaces=None)
        assert session is not None
        now = session.created_at
        assert before - 1000 <= now <= int(clock.now() * 1000) + 1000
        # A statement may see the clock move.
        assert 0 <= session.rotated_at - now <= 100
        assert 0 <= session.expires_at - now - LIFETIME <= 100
        assert session == Session(
            id=new.id,
            user_id=user.id,
            epoch=1,
            generation=0,
            rotated_at=session.rotated_at,
            kid="kid-0002",
            created_at=now,
            expires_at=session.expires_at,
            auth_time=session.auth_time,
            last_used_at=session.last_used_at,
            revoked_at=None,
            ip="2001:db8::1",
            user_agent="lynx",
            kid_before=None,
            kid_from=0,
        )
        assert 0 <= session.auth_time - now <= 100
        assert 0 <= session.last_used_at - now <= 100
        assert await store.sessions.of_user(user.id) == [session]
        assert (await audited(store))[-1] == "login.ok"

    @pytest.mark.parametrize("how", ["older epoch", "newer epoch", "disabled", "deleted"])
    async def test_a_sign_in_that_was_overtaken_gets_none(self, store: Store, how: str) -> None:
        user = await add_user(store)
        planted = await open_session(store, await add_user(store))
        epoch = 1 if how == "newer epoch" else 0
        change = {
            "older epoch": always(revoke=True),
            "newer epoch": always(supersede=True),
            "disabled": always(values={"disabled_at": 1}),
            "deleted": DELETE,
        }[how]
        await store.users.change(user.id, change, happened())
        rows, feed = await audited(store), await changes(store)

        new = new_session(user, epoch=epoch)
        assert await store.sessions.open(new, happened("login.ok"), replaces=planted.id) is None
        assert await store.sessions.of_user(user.id) == []
        assert await verdict(store, planted, 0) is Verdict.SAME
        assert (await audited(store), await changes(store)) == (rows, feed)

    async def test_the_session_it_replaces_ends(self, store: Store) -> None:
        user = await add_user(store)
        old = await open_session(store, user)
        new = await open_session(store, user, replaces=old.id)
        assert [session.id for session in await store.sessions.of_user(user.id)] == [new.id]
        assert await verdict(store, old, 0) is Verdict.ENDED
        assert await changes(store) == [("session.revoked", old.id, 0, None)]

    async def test_one_that_is_over_or_unknown_is_replaced_in_silence(self, store: Store) -> None:
        user = await add_user(store)
        old = await open_session(store, user)
        await store.sessions.revoke(old.id, happened())
        feed = await changes(store)
        await open_session(store, user, replaces=old.id)
        await open_session(store, user, replaces="no-such-session")
        assert await changes(store) == feed

    async def test_it_never_outlives_a_revocation_it_races_with(
        self, store: Store, other: Store
    ) -> None:
        for change in itertools.islice(itertools.cycle((always(revoke=True), DISABLE)), 20):
            user = await add_user(store)
            opened, _ = await asyncio.gather(
                other.sessions.open(new_session(user), happened(), replaces=None),
                store.users.change(user.id, change, happened()),
            )
            if opened is not None:
                assert await verdict(store, opened, 0) is Verdict.ENDED
            assert await store.sessions.of_user(user.id) == []

    async def test_it_never_outlives_a_deletion_it_races_with(
        self, store: Store, other: Store
    ) -> None:
        for _ in range(20):
            user = await add_user(store)
            new = new_session(user)
            await at_once(
                [
                    other.sessions.open(new, happened(), replaces=None),
                    store.users.change(user.id, DELETE, happened()),
                ]
            )
            assert await store.sessions.revoke(new.id, happened()) is None


class TestRefreshing:
    """The table of the protocol."""

    async def test_who_has_another_key_rotates_nothing(
        self, store: Store, clock: TurnedClock
    ) -> None:
        user = await add_user(store)
        session = await open_session(store, user)
        for age, own in ((0, Verdict.SAME), (GRACE, Verdict.ROTATE)):
            clock.turn(age)
            for kid, judged in (("kid-0000", Verdict.FORGED), (session.kid, own)):
                found = await store.sessions.refresh(
                    session.id,
                    0,
                    kid="kid-0002",
                    grace=GRACE,
                    client=CLIENT,
                    event=silent,
                    signed_by=kid,
                )
                assert found is not None
                assert found.verdict is judged
                if judged is not Verdict.ROTATE:
                    assert found.session == session

    async def test_who_has_an_old_key_never_reaches_a_session_that_moved_on(
        self, store: Store, clock: TurnedClock
    ) -> None:
        session = await open_session(store, await add_user(store), kid="one")

        async def judged(generation: int, signed_by: str) -> Verdict:
            found = await store.sessions.refresh(
                session.id,
                generation,
                kid="two",
                grace=GRACE,
                client=CLIENT,
                event=silent,
                signed_by=signed_by,
            )
            assert found is not None
            return found.verdict

        clock.turn(GRACE)
        assert await judged(0, "one") is Verdict.ROTATE
        # The token before is of the old key, the present one is not.
        assert await judged(0, "one") is Verdict.OVERLAP
        assert await judged(0, "two") is Verdict.FORGED
        assert await judged(1, "one") is Verdict.FORGED
        clock.turn(GRACE)
        assert await judged(1, "two") is Verdict.ROTATE
        assert await judged(1, "one") is Verdict.FORGED
        assert await judged(1, "two") is Verdict.OVERLAP
        clock.turn(GRACE)
        assert await judged(1, "one") is Verdict.FORGED
        assert await judged(0, "zero") is Verdict.FORGED  # it is known that "one" signed it
        assert await judged(2, "two") is Verdict.ROTATE
        [held] = await store.sessions.of_user(session.user_id)
        assert (held.kid, held.kid_before, held.kid_from) == ("two", "one", 1)
        # A genuine token from before still ends it.
        assert await judged(0, "one") is Verdict.REUSED

    async def test_a_key_that_is_retired_moves_no_session(
        self, store: Store, clock: TurnedClock
    ) -> None:
        """Whoever asks may not have heard that it was killed: the database knows."""
        user = await add_user(store)
        old, next_one, lively = [
            await open_session(store, user, kid=kid) for kid in ("dead", "dead-next", "lively")
        ]

        async def judged(session: Session, kid: str, signed_by: str | None) -> Verdict:
            found = await store.sessions.refresh(
                session.id,
                0,
                kid=kid,
                grace=GRACE,
                client=CLIENT,
                event=silent,
                signed_by=signed_by,
            )
            assert found is not None
            if found.verdict is not Verdict.ROTATE:
                assert found.session == session
            return found.verdict

        dead = [
            StoredKey(kid, "refresh", "HS256", "retired", b"", 0) for kid in ("dead", "dead-next")
        ]
        alive = [
            StoredKey("lively", "refresh", "HS256", "verifying", b"", 0),
            StoredKey("next", "refresh", "HS256", "signing", b"", 0),
        ]
        assert await judged(old, "next", "dead") is Verdict.SAME
        await store.keys.change(lambda there, now: KeyChange([*dead, *alive]))
        for age in (0, GRACE):
            clock.turn(age)
            assert await judged(old, "next", "dead") is Verdict.KILLED
            assert await judged(old, "next", None) is Verdict.KILLED
            assert await judged(lively, "next", "dead") is Verdict.KILLED
            # A living key does not help who would get a token of a dead one.
            assert await judged(next_one, "next", "lively") is Verdict.KILLED
        assert await judged(lively, "dead-next", "lively") is Verdict.BEHIND
        assert await judged(lively, "dead-next", None) is Verdict.BEHIND
        assert await judged(lively, "next", "lively") is Verdict.ROTATE

    async def test_current_and_past_the_grace_rotates(
        self, store: Store, clock: TurnedClock
    ) -> None:
        user = await add_user(store)
        session = await open_session(store, user)
        clock.turn(GRACE)
        found = await refresh(store, session, 0, kid="kid-0002")
        after = found.session
        assert (found.verdict, after.generation, after.kid) == (Verdict.ROTATE, 1, "kid-0002")
        assert after.rotated_at >= session.rotated_at + GRACE
        assert 0 <= after.last_used_at - after.rotated_at <= 100
        assert 0 <= found.now - after.rotated_at <= 100
        assert found.user == user
        for same in ("created_at", "expires_at", "auth_time", "epoch", "revoked_at"):
            assert getattr(after, same) == getattr(session, same)
        assert await store.sessions.of_user(user.id) == [after]

    async def test_a_rotation_notes_where_it_came_from_and_nothing_else_does(
        self, store: Store, clock: TurnedClock
    ) -> None:
        user = await add_user(store)
        session = await open_session(store, user)
        seen: list[tuple[Verdict, str, str]] = []

        def see(verdict: Verdict, held: Session) -> None:
            seen.append((verdict, held.ip, held.user_agent))

        async def use(generation: int, client: Client) -> None:
            await store.sessions.refresh(
                session.id, generation, kid="k", grace=GRACE, client=client, event=see
            )

        away, further = Client("2001:db8::2", "lynx"), Client("198.51.100.7", "curl")
        await use(0, away)
        clock.turn(GRACE)
        await use(0, away)
        await use(0, further)
        await use(1, further)
        await use(7, further)
        [held] = await store.sessions.of_user(user.id)
        assert (held.ip, held.user_agent) == (away.ip, away.user_agent)
        clock.turn(GRACE)
        await use(0, further)
        assert seen == [
            (Verdict.SAME, session.ip, session.user_agent),
            *[
                (verdict, away.ip, away.user_agent)
                for verdict in (
                    Verdict.ROTATE,
                    Verdict.OVERLAP,
                    Verdict.SAME,
                    Verdict.AHEAD,
                    Verdict.REUSED,
                )
            ],
        ]

    async def test_current_and_within_the_grace_stays(
        self, store: Store, clock: TurnedClock
    ) -> None:
        user = await add_user(store)
        session = await open_session(store, user)
        clock.turn(GRACE // 2)
        found = await refresh(store, session, 0, kid="kid-0002")
        assert (found.verdict, found.session, found.user) == (Verdict.SAME, session, user)

    async def test_one_before_within_the_grace_gets_the_current(
        self, store: Store, clock: TurnedClock
    ) -> None:
        session = await open_session(store, await add_user(store))
        clock.turn(GRACE)
        rotated = await refresh(store, session, 0)
        clock.turn(GRACE // 2)
        for _ in range(2):
            late = await refresh(store, session, 0, kid="kid-0002")
            assert (late.verdict, late.session) == (Verdict.OVERLAP, rotated.session)

    @pytest.mark.parametrize(("rotations", "late"), [(1, GRACE), (2, 0), (3, GRACE)])
    async def test_one_before_after_the_grace_or_older_ends_the_session(
        self, store: Store, clock: TurnedClock, rotations: int, late: int
    ) -> None:
        session = await open_session(store, await add_user(store))
        for generation in range(rotations):
            clock.turn(GRACE)
            assert await verdict(store, session, generation) is Verdict.ROTATE
        clock.turn(late)
        found = await refresh(store, session, 0)
        assert found.verdict is Verdict.REUSED
        assert found.session.revoked_at is not None
        assert found.session.revoked_at >= found.session.rotated_at + late
        assert await changes(store) == [("session.revoked", session.id, 0, None)]
        for generation in (0, rotations):
            assert await verdict(store, session, generation) is Verdict.ENDED

    async def test_above_current_is_told_and_changes_nothing(
        self, store: Store, clock: TurnedClock
    ) -> None:
        session = await open_session(store, await add_user(store))
        clock.turn(GRACE)
        found = await refresh(store, session, 1)
        assert (found.verdict, found.session) == (Verdict.AHEAD, session)
        assert await verdict(store, session, 0) is Verdict.ROTATE

    async def test_without_a_grace_every_use_rotates_and_every_repeat_is_reuse(
        self, store: Store
    ) -> None:
        session = await open_session(store, await add_user(store))
        assert await verdict(store, session, 0, grace=0) is Verdict.ROTATE
        assert await verdict(store, session, 1, grace=0) is Verdict.ROTATE
        assert await verdict(store, session, 1, grace=0) is Verdict.REUSED
        assert await verdict(store, session, 2, grace=0) is Verdict.ENDED

    @pytest.mark.parametrize("how", ["revoked", "expired", "disabled", "revoked user"])
    @pytest.mark.parametrize("generation", [0, 1, 7])
    async def test_an_ended_session_stays_ended(
        self, store: Store, clock: TurnedClock, how: str, generation: int
    ) -> None:
        user = await add_user(store)
        session = await open_session(store, user)
        clock.turn(GRACE)
        await refresh(store, session, 0)
        if how == "revoked":
            await store.sessions.revoke(session.id, happened())
        elif how == "disabled":
            await store.users.change(user.id, always(values={"disabled_at": 1}), happened())
        elif how == "revoked user":
            await store.users.change(user.id, always(revoke=True), happened())
        clock.turn(LIFETIME if how == "expired" else GRACE)
        feed = await changes(store)
        found = await refresh(store, session, generation)
        assert (found.verdict, found.session.generation) == (Verdict.ENDED, 1)
        assert await changes(store) == feed

    async def test_the_absolute_end_never_slides(self, store: Store, clock: TurnedClock) -> None:
        session = await open_session(store, await add_user(store))
        for generation in range(5):
            clock.turn(LIFETIME // 6)
            found = await refresh(store, session, generation)
            assert found.session.expires_at == session.expires_at
        clock.turn(LIFETIME // 6)
        assert await verdict(store, session, 5) is Verdict.ENDED

    async def test_unknown_is_none_and_asks_for_no_event(self, store: Store) -> None:
        def never(verdict: Verdict, session: Session) -> Event:
            raise AssertionError(verdict)

        found = await store.sessions.refresh(
            "nowhere", 0, kid="k", grace=0, client=CLIENT, event=never
        )
        assert found is None

    async def test_it_reads_the_account_as_it_now_is(
        self, store: Store, clock: TurnedClock
    ) -> None:
        user = await add_user(store)
        session = await open_session(store, user)
        change = always(values={"role": "moderator"}, supersede=True)
        changed = await store.users.change(user.id, change, happened())
        assert (await refresh(store, session, 0)).user == changed
        clock.turn(GRACE)
        assert (await refresh(store, session, 0)).user == changed

    async def test_the_event_is_recorded_with_what_it_tells(
        self, store: Store, clock: TurnedClock
    ) -> None:
        session = await open_session(store, await add_user(store))
        told: list[tuple[Verdict, int]] = []

        def tell(verdict: Verdict, after: Session) -> Event | None:
            told.append((verdict, after.generation))
            if verdict is Verdict.SAME:
                return None
            return happened(f"refresh.{verdict.name.lower()}", session=after.id)

        async def use(generation: int) -> None:
            await store.sessions.refresh(
                session.id, generation, kid="k", grace=GRACE, client=CLIENT, event=tell
            )

        await use(0)
        clock.turn(GRACE)
        await use(0)
        await use(0)
        clock.turn(GRACE)
        await use(0)
        await use(1)
        assert told == [
            (Verdict.SAME, 0),
            (Verdict.ROTATE, 1),
            (Verdict.OVERLAP, 1),
            (Verdict.REUSED, 1),
            (Verdict.ENDED, 1),
        ]
        assert (await audited(store))[2:] == [
            "refresh.rotate",
            "refresh.overlap",
            "refresh.reused",
            "refresh.ended",
        ]

    async def test_an_event_that_refuses_rolls_the_rotation_back(
        self, store: Store, clock: TurnedClock
    ) -> None:
        session = await open_session(store, await add_user(store))
        clock.turn(GRACE)

        def refuse(verdict: Verdict, after: Session) -> Event:
            raise LookupError

        with pytest.raises(LookupError):
            await store.sessions.refresh(
                session.id, 0, kid="k", grace=GRACE, client=CLIENT, event=refuse
            )
        [present] = await store.sessions.of_user(session.user_id)
        assert present == session


class TestRefreshRaces:
    async def test_of_fifty_on_one_generation_one_rotates_and_all_get_its_session(
        self, store: Store, other: Store, clock: TurnedClock
    ) -> None:
        session = await open_session(store, await add_user(store))
        both = itertools.cycle([store, other])
        for generation in range(2):
            clock.turn(GRACE)
            found = await at_once(
                refresh(one, session, generation, kid=f"kid-{number:04}")
                for one, number in zip(both, range(50), strict=False)
            )
            verdicts = [one.verdict for one in found]
            assert verdicts.count(Verdict.ROTATE) == 1
            assert verdicts.count(Verdict.OVERLAP) == 49
            after = found[0].session
            assert after.generation == generation + 1
            assert {one.session for one in found} == {after}
        assert await changes(store) == []

    async def test_parallel_uses_of_two_generations_converge(
        self, store: Store, other: Store, clock: TurnedClock
    ) -> None:
        session = await open_session(store, await add_user(store))
        clock.turn(GRACE)
        rotated = await refresh(store, session, 0)
        found = await at_once(
            refresh(one, session, generation)
            for one, generation in itertools.product((store, other), (0, 1) * 5)
        )
        assert {one.verdict for one in found} == {Verdict.SAME, Verdict.OVERLAP}
        assert {one.session for one in found} == {rotated.session}

    async def test_of_twenty_thieves_one_is_told(
        self, store: Store, other: Store, clock: TurnedClock
    ) -> None:
        session = await open_session(store, await add_user(store))
        clock.turn(GRACE)
        await refresh(store, session, 0)
        clock.turn(GRACE)
        both = itertools.cycle([store, other])
        found = await at_once(
            refresh(one, session, 0) for one, _ in zip(both, range(20), strict=False)
        )
        verdicts = [one.verdict for one in found]
        assert verdicts.count(Verdict.REUSED) == 1
        assert verdicts.count(Verdict.ENDED) == 19
        assert all(one.session.revoked_at is not None for one in found)
        assert await changes(store) == [("session.revoked", session.id, 0, None)]

    async def test_a_session_that_is_revoked_meanwhile_has_ended(
        self, store: Store, other: Store
    ) -> None:
        user = await add_user(store)
        for _ in range(20):
            session = await open_session(store, user)
            _, revoked = await at_once(
                [
                    other.sessions.refresh(
                        session.id, 0, kid="k", grace=0, client=CLIENT, event=silent
                    ),
                    store.sessions.revoke(session.id, happened()),
                ]
            )
            assert isinstance(revoked, Session)
            for generation in (0, 1):
                assert await verdict(store, session, generation, grace=0) is Verdict.ENDED

    async def test_no_refresh_gets_the_version_of_the_revocation_that_ended_it(
        self, store: Store, other: Store
    ) -> None:
        for _ in range(20):
            user = await add_user(store)
            session = await open_session(store, user)
            found, _ = await at_once(
                [
                    other.sessions.refresh(
                        session.id, 0, kid="k", grace=0, client=CLIENT, event=silent
                    ),
                    store.users.change(user.id, always(revoke=True), happened()),
                ]
            )
            assert isinstance(found, Refreshed)
            if found.verdict is Verdict.ROTATE:
                # Its access token is below the version the feed declares dead.
                assert found.user.ver == 0
            else:
                assert found.verdict is Verdict.ENDED
            for generation in (0, 1):
                assert await verdict(store, session, generation, grace=0) is Verdict.ENDED

    async def test_a_session_taken_along_by_a_password_change_refreshes_on(
        self, store: Store, other: Store
    ) -> None:
        for _ in range(20):
            user = await add_user(store)
            session = await open_session(store, user)
            keep = always(revoke=True, keep_session=session.id)
            found, _ = await at_once(
                [
                    other.sessions.refresh(
                        session.id, 0, kid="k", grace=0, client=CLIENT, event=silent
                    ),
                    store.users.change(user.id, keep, happened()),
                ]
            )
            assert isinstance(found, Refreshed)
            assert found.verdict is Verdict.ROTATE
            assert await verdict(store, session, 1, grace=0) is Verdict.ROTATE


class TestRevoking:
    async def test_it_ends_once_and_is_announced(self, store: Store) -> None:
        session = await open_session(store, await add_user(store))
        ended = await store.sessions.revoke(session.id, happened("logout"))
        assert ended is not None
        assert ended.revoked_at is not None
        assert ended.id == session.id
        assert await store.sessions.revoke(session.id, happened("logout")) is None
        assert await changes(store) == [("session.revoked", session.id, 0, None)]
        assert (await audited(store)).count("logout") == 1

    async def test_none_if_unknown_over_or_anothers(self, store: Store, clock: TurnedClock) -> None:
        user, stranger = await add_user(store), await add_user(store)
        session = await open_session(store, user)

        async def revoke(session_id: str, **whose: Any) -> Session | None:
            return await store.sessions.revoke(session_id, happened("logout"), **whose)

        assert await revoke("nowhere") is None
        assert await revoke(session.id, user_id=stranger.id) is None
        assert await verdict(store, session, 0) is Verdict.SAME
        clock.turn(LIFETIME)
        assert await revoke(session.id, user_id=user.id) is None
        assert await changes(store) == []
        assert "logout" not in await audited(store)

    async def test_the_owner_may(self, store: Store) -> None:
        user = await add_user(store)
        session = await open_session(store, user)
        assert await store.sessions.revoke(session.id, happened(), user_id=user.id)

    async def test_of_twenty_at_once_one_ends_it(self, store: Store, other: Store) -> None:
        session = await open_session(store, await add_user(store))
        both = itertools.cycle([store, other])
        ended = await at_once(
            one.sessions.revoke(session.id, happened())
            for one, _ in zip(both, range(20), strict=False)
        )
        assert sum(one is not None for one in ended) == 1
        assert len(await changes(store)) == 1

    async def test_it_is_not_lost_to_a_password_change_that_keeps_the_session(
        self, store: Store, other: Store
    ) -> None:
        for _ in range(20):
            user = await add_user(store)
            session = await open_session(store, user)
            keep = always(revoke=True, keep_session=session.id)
            ended, _ = await at_once(
                [
                    other.sessions.revoke(session.id, happened()),
                    store.users.change(user.id, keep, happened()),
                ]
            )
            assert isinstance(ended, Session)
            assert await verdict(store, session, 0) is Verdict.ENDED


class TestListing:
    async def test_live_sessions_latest_first(self, store: Store, clock: TurnedClock) -> None:
        user, stranger = await add_user(store), await add_user(store)
        await open_session(store, stranger)
        short = await open_session(store, user, lifetime=GRACE)
        gone = await open_session(store, user)
        await store.sessions.revoke(gone.id, happened())
        first = await open_session(store, user)
        clock.turn(GRACE)
        second = await open_session(store, user)
        clock.turn(1)
        third = await open_session(store, user)

        async def ids() -> list[str]:
            return [session.id for session in await store.sessions.of_user(user.id)]

        assert await ids() == [third.id, second.id, first.id]
        clock.turn(1)
        await refresh(store, first, 0)
        assert await ids() == [first.id, third.id, second.id]
        assert short.id not in await ids()
        await store.users.change(user.id, always(revoke=True, keep_session=second.id), happened())
        assert await ids() == [second.id]
        await store.users.change(user.id, always(values={"disabled_at": 1}), happened())
        assert await ids() == []
        assert await store.sessions.of_user("nobody") == []
