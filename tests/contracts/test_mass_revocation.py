"""The promises of `SessionStore.count_matching` and `revoke_matching`."""

from ipaddress import ip_network

import pytest

from authward.core.audit import Event
from authward.ports import Matched, SessionMatch, Store
from tests.contracts.making import HORIZON, add_user, audited, changes, happened, open_session


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
    [cut] = (await store.changes.since(0, horizon=HORIZON)).changes
    assert (cut.kind, cut.subject) == ("sessions.revoked", "")
    assert cut.before is not None
    assert cut.before % 1000 == 0
    assert max(one.auth_time for one in opened) < cut.before
    later = await open_session(store, ada)
    assert later.auth_time // 1000 * 1000 >= cut.before
    assert (await audited(store))[-3:] == ["test.began", "test.ended", "login.ok"]


async def test_a_role_is_matched_as_the_role_or_beside_it_by_its_whole_name(store: Store) -> None:
    plain, moderator = await add_user(store), await add_user(store, role="moderator")
    await open_session(store, plain)
    await open_session(store, moderator)
    match = SessionMatch(role="moderator", holding=frozenset({"moderator"}))
    assert await end(store, match) == Matched(1, 1)
    assert await live(store, plain.id, moderator.id) == [1, 0]
    assert [kind[:2] for kind in await changes(store)] == [("sessions.revoked", "moderator")]


@pytest.mark.parametrize(
    ("network", "ended"),
    [("198.51.100.0/24", 1), ("2001:db8::/32", 1), ("203.0.113.9", 1), ("192.0.2.0/24", 0)],
)
async def test_of_a_network_the_accounts_are_superseded(
    store: Store, network: str, ended: int
) -> None:
    ada, bob = await add_user(store), await add_user(store)
    for ip in ("198.51.100.7", "2001:db8::1"):
        await open_session(store, ada, ip=ip)
    await open_session(store, bob)
    match = SessionMatch(network=ip_network(network))
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


async def test_more_than_one_part(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("authward.stores.mass_revocation.BATCH", 2)
    user = await add_user(store)
    for _ in range(5):
        await open_session(store, user)
    assert await end(store, SessionMatch()) == Matched(5, 1)
    assert await live(store, user.id) == [0]
