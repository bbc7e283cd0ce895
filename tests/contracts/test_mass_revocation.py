"""The promises of `SessionStore.count_matching` and `revoke_matching`."""

import asyncio
from ipaddress import IPv4Network, ip_network

import pytest
from sqlalchemy import insert, literal

from authward.core.audit import Event
from authward.core.permissions import Role
from authward.errors import TokenRevoked
from authward.ports import Cursor, Matched, SessionMatch, Store
from authward.services.feed import Feed
from authward.stores import mass_revocation
from authward.stores.database import Database
from authward.stores.expressions import NOW
from authward.stores.schema import sessions
from authward.stores.sql import SqlStore
from authward.stores.transactions import Transaction
from tests.contracts.making import (
    HORIZON,
    TurnedClock,
    add_user,
    always,
    audited,
    changes,
    happened,
    open_session,
)
from tests.contracts.test_roles import put


def told(done: Matched) -> Event:
    return happened("test.ended", detail={"sessions": done.sessions})


async def end(store: Store, match: SessionMatch) -> Matched:
    return await store.sessions.revoke_matching(match, happened("test.began"), told)


async def live(store: Store, *users: str) -> list[int]:
    return [len(await store.sessions.of_user(user)) for user in users]


async def test_all_of_them_are_one_change_and_a_later_sign_in_is_not_meant(store: Store) -> None:
    ada, bob = await add_user(store), await add_user(store)
    opened = [await open_session(store, one) for one in (ada, ada, bob)]
    assert await store.sessions.count_matching(SessionMatch()) == Matched(3, 2)
    assert await end(store, SessionMatch()) == Matched(3, 2)
    assert await live(store, ada.id, bob.id) == [0, 0]
    [cut] = (await store.changes.since(Cursor(), horizon=HORIZON)).changes
    assert (cut.kind, cut.subject) == ("sessions.revoked", "")
    assert cut.before is not None
    assert cut.before % 1000 == 0
    assert max(one.auth_time for one in opened) < cut.before
    later = await open_session(store, ada)
    assert later.auth_time // 1000 * 1000 >= cut.before
    assert (await audited(store))[-3:] == ["test.began", "test.ended", "login.ok"]


async def test_what_was_begun_before_is_told_no_second_time(store: Store) -> None:
    user = await add_user(store)
    await open_session(store, user)
    match = SessionMatch()
    assert await store.sessions.revoke_matching(match, None, told) == Matched(1, 1)
    assert await live(store, user.id) == [0]
    assert (await audited(store))[-2:] == ["login.ok", "test.ended"]
    assert await changes(store) == []


async def test_of_what_several_finish_one_tells(store: Store, other: Store) -> None:
    def ended(done: Matched) -> Event:
        return happened("test.ended", detail={"kid": "one", "sessions": done.sessions})

    await store.audit.record([happened("test.ended", detail={"kid": "one"})])
    await store.audit.record([happened("test.began", detail={"kid": "one"})])
    [began] = await store.audit.latest(1)
    await store.audit.record([happened("test.ended", detail={"kid": "other"})])
    await asyncio.gather(
        *(
            one.sessions.revoke_matching(SessionMatch(), None, ended, once=began.id)
            for one in (store, other, store, other)
        )
    )
    told_of = [row.event.detail["kid"] for row in await store.audit.latest(10)]
    assert told_of == ["one", "other", "one", "one"]


async def test_a_role_is_matched_as_the_role_or_beside_it_by_its_whole_name(store: Store) -> None:
    plain, moderator = await add_user(store), await add_user(store, role="moderator")
    await open_session(store, plain)
    await open_session(store, moderator)
    match = SessionMatch(role="moderator", holding=frozenset({"moderator"}))
    assert await end(store, match) == Matched(1, 1)
    assert await live(store, plain.id, moderator.id) == [1, 0]
    assert [kind[:2] for kind in await changes(store)] == [("sessions.revoked", "moderator")]


async def test_each_role_that_is_meant_is_announced_by_its_own_name(store: Store) -> None:
    match = SessionMatch(role="moderator", holding=frozenset({"moderator", "chief"}))
    await end(store, match)
    assert [kind[:2] for kind in await changes(store)] == [
        ("sessions.revoked", "chief"),
        ("sessions.revoked", "moderator"),
    ]


@pytest.mark.parametrize(
    ("holding", "ended"),
    [
        ({"editor"}, {"beside"}),
        ({"editor-in-chief"}, {"chief", "both"}),
        ({"chief"}, {"both"}),
        ({"editor", "editor-in-chief"}, {"beside", "chief", "both"}),
        ({"moderator"}, {"role"}),
        ({"moderator", "chief"}, {"role", "both"}),
        ({"in", "edito", "_ditor", "%", "user-"}, set()),
    ],
)
async def test_roles_held_beside_the_role_count_by_their_whole_names(
    store: Store, holding: set[str], ended: set[str]
) -> None:
    names = {"editor", "editor-in-chief", "chief", "in", "edito", "_ditor", "%", "user-"}
    for name in names - {"%"}:
        await put(store, name, Role())
    held = {
        "none": ("user", ()),
        "role": ("moderator", ()),
        "beside": ("user", ("editor",)),
        "chief": ("user", ("editor-in-chief",)),
        "both": ("user", ("chief", "editor-in-chief")),
    }
    people = {}
    for who, (role, additional) in held.items():
        people[who] = user = await add_user(store, role=role)
        await store.users.change(
            user.id, always(values={"additional_roles": additional}), happened()
        )
        await open_session(store, user)
    match = SessionMatch(role="named", holding=frozenset(holding))
    assert await store.sessions.count_matching(match) == Matched(len(ended), len(ended))
    assert await end(store, match) == Matched(len(ended), len(ended))
    assert {who for who, user in people.items() if await live(store, user.id) == [0]} == ended


@pytest.mark.parametrize(
    ("network", "ended"),
    [
        ("198.51.100.0/24", 1),
        ("2001:db8::/32", 1),
        ("203.0.113.9", 1),
        ("192.0.2.0/24", 0),
        ("0.0.0.0/0", 2),
        ("::/0", 1),
    ],
)
async def test_of_a_network_the_accounts_are_superseded(
    store: Store, network: str, ended: int
) -> None:
    ada, bob = await add_user(store), await add_user(store)
    for ip in ("198.51.100.7", "2001:db8::1"):
        await open_session(store, ada, ip=ip)
    await open_session(store, bob)
    match = SessionMatch(network=ip_network(network))
    await open_session(store, await add_user(store), ip="")  # no address is known of it
    assert await store.sessions.count_matching(match) == Matched(ended, ended)
    assert await end(store, match) == Matched(ended, ended)
    assert sum(await live(store, ada.id, bob.id)) == 3 - ended
    assert [kind[0] for kind in await changes(store)] == ["user.superseded"] * ended


async def test_those_opened_since_are_left(store: Store) -> None:
    user = await add_user(store)
    session = await open_session(store, user)
    before = session.auth_time // 1000 * 1000
    assert await end(store, SessionMatch(before=before)) == Matched(0, 0)
    assert await end(store, SessionMatch(before=before + 1000)) == Matched(1, 1)


async def test_one_from_the_future_was_opened_before_the_clock_was_put_right(
    store: Store, clock: TurnedClock
) -> None:
    """Tokens cannot tell that it is meant: they show a time after the cut."""
    ada, bob = await add_user(store), await add_user(store)
    await open_session(store, bob)
    clock.turn(3_600_000)
    await open_session(store, ada)
    clock.turn(-3_600_000)
    for match in (SessionMatch(), SessionMatch(before=1000)):
        meant = Matched(2, 2) if match.before is None else Matched(1, 1)
        assert await store.sessions.count_matching(match) == meant
    assert await end(store, SessionMatch()) == Matched(2, 2)
    assert await live(store, ada.id, bob.id) == [0, 0]
    assert [kind[:2] for kind in await changes(store)] == [
        ("sessions.revoked", ""),
        ("user.superseded", ada.id),
    ]


@pytest.mark.parametrize("network", [None, ip_network("203.0.113.0/24")])
async def test_more_than_one_part(
    store: Store, network: IPv4Network | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mass_revocation, "BATCH", 2)
    ada, bob = await add_user(store), await add_user(store)
    for user in (ada, bob, ada, bob, ada):
        await open_session(store, user)
        await open_session(store, user, ip="198.51.100.7")
    ended = 10 if network is None else 5
    match = SessionMatch(network=network)
    assert await store.sessions.count_matching(match) == Matched(ended, 2)
    assert await end(store, match) == Matched(ended, 2)
    assert sum(await live(store, ada.id, bob.id)) == 10 - ended
    told_of = {subject: ver for _, subject, ver, _ in await changes(store)}
    if network is None:
        assert told_of == {"": 0}
    else:
        found = [await store.users.by_id(user.id) for user in (ada, bob)]
        assert told_of == {user.id: user.ver for user in found if user is not None}
        assert min(told_of.values()) > 0


async def test_a_reader_that_comes_after_the_command_knows_the_cut(store: Store) -> None:
    user = await add_user(store)
    session = await open_session(store, user)
    await end(store, SessionMatch(role="user", holding=frozenset({"user"})))
    batch = await store.changes.since(Cursor(), horizon=HORIZON)
    known = Feed(
        store.changes,
        TurnedClock(),
        interval=1,
        max_lag=60,
        horizon=60,
        on_scheme=lambda kind: None,
    )
    known.apply(batch.changes)
    opened = session.auth_time // 1000
    with pytest.raises(TokenRevoked):
        known.revocations.check(user.id, session.id, user.ver, opened, ("user",))
    known.revocations.check(user.id, session.id, user.ver, opened, ("moderator",))
    later = await open_session(store, user)
    known.revocations.check(user.id, later.id, user.ver, later.auth_time // 1000, ("user",))


@pytest.mark.parametrize("network", [None, "203.0.113.0/24"])
async def test_a_sign_in_under_way_when_the_cut_falls_is_ended(
    store: SqlStore, other: SqlStore, network: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its row carries a time before the cut, and cannot be seen until it is committed."""
    user = await add_user(store)
    inserted, look_away = asyncio.Event(), asyncio.Event()

    async def sign_in(tx: Transaction) -> None:
        await tx.run(
            insert(sessions).values(
                id="late",
                user_id=user.id,
                epoch=user.epoch,
                generation=0,
                rotated_at=NOW,
                kid="kid-0001",
                created_at=NOW,
                expires_at=NOW + HORIZON,
                auth_time=NOW,
                last_used_at=NOW,
                ip="203.0.113.9",
                user_agent="",
            )
        )
        inserted.set()
        await look_away.wait()

    waited, ended_all = mass_revocation._wait_until, mass_revocation._end_all
    running: list[asyncio.Task[None]] = []

    async def wait_until(database: Database, cut: int) -> None:
        running.append(asyncio.create_task(other.database.write(sign_in)))
        await inserted.wait()
        await waited(database, cut)

    async def end_all(database: Database, match: SessionMatch, cut: int) -> list[str]:
        owners = await ended_all(database, match, cut)
        asyncio.get_running_loop().call_later(0.2, look_away.set)
        return owners

    monkeypatch.setattr(mass_revocation, "_wait_until", wait_until)
    monkeypatch.setattr(mass_revocation, "_end_all", end_all)
    match = SessionMatch(network=None if network is None else ip_network(network))
    assert await end(store, match) == Matched(1, 1)
    assert await live(store, user.id) == [0]
    await asyncio.gather(*running)


async def test_a_transaction_that_does_not_end_holds_up_nobody_for_ever(
    store: SqlStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mass_revocation, "PATIENCE_S", 0.1)
    monkeypatch.setattr(mass_revocation, "FEED_HEAD", literal(-1))
    await open_session(store, await add_user(store))
    assert await end(store, SessionMatch()) == Matched(1, 1)
