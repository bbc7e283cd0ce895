"""The promises of `UserStore`."""

import itertools
import random

import pytest

from authward.core.sessions import Verdict
from authward.core.users import User, UserChange
from authward.errors import Forbidden, LastAdmin, UserExists
from authward.ports import Store, UserQuery
from tests.contracts.making import (
    DELETE,
    DEMOTE,
    DISABLE,
    TurnedClock,
    add_user,
    always,
    at_once,
    audited,
    changes,
    enabled_admins,
    happened,
    new_session,
    new_user,
    open_session,
    unless_last,
    verdict,
)


class TestAdding:
    async def test_an_account_is_stored_as_given(self, store: Store, clock: TurnedClock) -> None:
        clock.turn(86_400_000)
        before = int(clock.now() * 1000)
        new = new_user("Ann@Example.com", name="Ann", role="moderator", email_verified=True)
        user = await store.users.add(new, happened("user.registered", subject=new.id))

        assert user is not None
        assert before - 1000 <= user.created_at <= int(clock.now() * 1000) + 1000
        assert user == User(
            id=new.id,
            email="Ann@Example.com",
            email_canonical="ann@example.com",
            name="Ann",
            role="moderator",
            permissions=(),
            epoch=0,
            ver=0,
            password_hash=new.password_hash,
            email_verified=True,
            created_at=user.created_at,
            disabled_at=None,
        )
        assert await store.users.by_id(new.id) == user
        assert await store.users.by_email("ann@example.com") == user
        [row] = await store.audit.latest(10)
        assert (row.event.kind, row.event.subject) == ("user.registered", new.id)

    async def test_a_taken_address_gives_none_and_changes_nothing(self, store: Store) -> None:
        first = await add_user(store, "ann@example.com")
        assert await store.users.add(new_user("ANN@example.com"), happened("second")) is None
        assert await store.users.by_email("ann@example.com") == first
        assert await audited(store) == ["user.registered"]

    async def test_of_twenty_at_once_nineteen_get_none(self, store: Store, other: Store) -> None:
        wanted = [new_user("ann@example.com") for _ in range(20)]
        both = itertools.cycle([store, other])
        made = await at_once(
            one.users.add(new, happened("user.registered"))
            for one, new in zip(both, wanted, strict=False)
        )
        [winner] = [user for user in made if user is not None]
        assert await store.users.by_email("ann@example.com") == winner
        assert await audited(store) == ["user.registered"]

    async def test_any_text_comes_back_as_it_went_in(self, store: Store) -> None:
        name = "Zoë \\ % _ ' \" ; -- 名前 🙂 \u202e\t"
        user = await add_user(store, "zoë@bücher.example", name=name)
        found = await store.users.by_id(user.id)
        assert found is not None
        assert (found.name, found.email) == (name, "zoë@bücher.example")


class TestFinding:
    async def test_unknown_is_none(self, store: Store) -> None:
        await add_user(store)
        assert await store.users.by_id("nobody-there") is None
        assert await store.users.by_email("nobody@example.com") is None
        assert await store.users.change("nobody-there", always(), happened()) is None
        assert await store.users.upgrade_hash("nobody-there", "a", "b") is False
        assert await audited(store) == ["user.registered"]

    async def test_schemes_are_the_prefixes_of_old_hashes(self, store: Store) -> None:
        assert await store.users.schemes() == []
        for old in ("$2a$10$abc", "$2b$12$abc", "$2b$12$def", "$argon2id$v=19$x"):
            await add_user(store, password_hash=old)
        assert sorted(await store.users.schemes()) == ["$2a$10$", "$2b$12$"]


async def read_all(store: Store, query: UserQuery) -> list[User]:
    """Page through, adding an account behind every page."""
    found: list[User] = []
    while page := await store.users.page(query):
        assert len(page) <= query.limit
        found += page
        query = UserQuery(query.limit, (page[-1].created_at, page[-1].id), query.search, query.role)
    return found


class TestPages:
    async def test_cursors_reach_everyone_once_oldest_first(self, store: Store) -> None:
        users = [user for _ in range(23) for user in [await add_user(store)]]
        users.sort(key=lambda user: (user.created_at, user.id))
        for limit in (1, 7, 23, 100):
            assert await read_all(store, UserQuery(limit)) == users

    async def test_they_stay_stable_while_accounts_come_and_go(self, store: Store) -> None:
        users = [await add_user(store) for _ in range(9)]
        seen: list[User] = []
        after = None
        while page := await store.users.page(UserQuery(2, after)):
            seen += page
            after = (page[-1].created_at, page[-1].id)
            if len(seen) <= 6:
                await add_user(store)
                await store.users.change(page[0].id, DELETE, happened())
        ids = [user.id for user in seen]
        assert len(ids) == len(set(ids)) == 12
        assert {user.id for user in users} <= set(ids)

    async def test_search_takes_wildcards_literally(self, store: Store) -> None:
        for name in ("100% wool", "100 wool", "a_b", "axb", "back\\slash", "backslash", "a/b"):
            await add_user(store, name=name)

        async def names(search: str) -> list[str]:
            return [user.name for user in await store.users.page(UserQuery(10, search=search))]

        assert await names("0%") == ["100% wool"]
        assert await names("a_b") == ["a_b"]
        assert await names("back\\") == ["back\\slash"]
        assert await names("\\") == ["back\\slash"]
        assert await names("a/b") == ["a/b"]
        assert await names("%%") == []
        assert await names("/") == ["a/b"]

    async def test_search_ignores_case_in_any_script(self, store: Store) -> None:
        await add_user(store, "Zoe@Bücher.example", name="ÉMILE Weiß")
        await add_user(store, "other@example.com", name="Other")
        for search in ("émile", "Émile", "WEISS", "weiß", "zOE@", "BÜCHER", "e weiss"):
            found = await store.users.page(UserQuery(10, search=search))
            assert [user.name for user in found] == ["ÉMILE Weiß"], search

    async def test_search_follows_a_change_of_name(self, store: Store) -> None:
        user = await add_user(store, "ann@example.com", name="Before")
        await store.users.change(user.id, always(values={"name": "After"}), happened())
        assert await store.users.page(UserQuery(10, search="before")) == []
        for search in ("AFTER", "ann@"):
            assert len(await store.users.page(UserQuery(10, search=search))) == 1

    async def test_filters_add_up(self, store: Store) -> None:
        await add_user(store, "ann@example.com", role="admin")
        bob = await add_user(store, "bob@example.com", role="moderator")
        await add_user(store, "bob2@example.com")
        assert await store.users.page(UserQuery(10, search="bob", role="moderator")) == [bob]
        assert await store.users.page(UserQuery(10, role="nothing")) == []

    async def test_a_role_that_is_held_beside_another_counts(self, store: Store) -> None:
        bob = await add_user(store, "bob@example.com")
        beside = always(values={"additional_roles": ("moderator",)})
        await store.users.change(bob.id, beside, happened())
        found = await store.users.page(UserQuery(10, role="moderator"))
        assert [user.id for user in found] == [bob.id]
        assert await store.users.page(UserQuery(10, role="mod")) == []


class TestChanging:
    @pytest.mark.parametrize(
        ("change", "epoch", "ver", "kinds"),
        [
            (UserChange(values={"name": "New"}), 0, 0, []),
            (UserChange(supersede=True), 0, 1, ["user.superseded"]),
            (UserChange(revoke=True), 1, 1, ["user.revoked"]),
            (UserChange(revoke=True, supersede=True), 1, 1, ["user.revoked", "user.superseded"]),
        ],
    )
    async def test_epoch_version_and_feed(
        self, store: Store, change: UserChange, epoch: int, ver: int, kinds: list[str]
    ) -> None:
        user = await add_user(store)
        changed = await store.users.change(user.id, lambda _: change, happened("user.changed"))
        assert changed is not None
        assert (changed.epoch, changed.ver) == (epoch, ver)
        assert changed == await store.users.by_id(user.id)
        assert await changes(store) == [(kind, user.id, ver, None) for kind in kinds]
        assert await audited(store) == ["user.registered", "user.changed"]

    async def test_values_are_stored(self, store: Store) -> None:
        user = await add_user(store, "ann@example.com")
        values = {
            "email": "New@Example.com",
            "email_canonical": "new@example.com",
            "email_verified": True,
            "name": "New",
            "role": "moderator",
            "permissions": ("read:reports",),
            "password_hash": "$argon2id$new",
            "disabled_at": 1_700_000_000_000,
        }
        changed = await store.users.change(user.id, always(values=values), happened())
        assert changed is not None
        assert {name: getattr(changed, name) for name in values} == values
        assert await store.users.by_email("ann@example.com") is None
        assert await store.users.by_email("new@example.com") == changed

    async def test_deleting_takes_the_sessions_along(self, store: Store) -> None:
        user = await add_user(store)
        session = await open_session(store, user)
        assert await store.users.change(user.id, DELETE, happened("user.deleted")) == user
        assert await store.users.by_id(user.id) is None
        assert await store.sessions.of_user(user.id) == []
        assert await store.sessions.revoke(session.id, happened()) is None
        assert await store.sessions.open(new_session(user), happened(), replaces=None) is None
        assert await changes(store) == [("user.revoked", user.id, 1, None)]
        # The address is free again.
        await add_user(store, user.email)

    async def test_a_taken_address_is_refused_and_nothing_changes(self, store: Store) -> None:
        await add_user(store, "ann@example.com")
        bob = await add_user(store, "bob@example.com")
        values = {"email": "ann@example.com", "email_canonical": "ann@example.com"}
        with pytest.raises(UserExists):
            await store.users.change(bob.id, always(values=values, revoke=True), happened())
        assert await store.users.by_id(bob.id) == bob
        assert await changes(store) == []

    async def test_what_no_column_takes_is_an_error_and_not_a_taken_address(
        self, store: Store
    ) -> None:
        user = await add_user(store)
        with pytest.raises(Exception, match="password_hash") as refused:
            await store.users.change(user.id, always(values={"password_hash": None}), happened())
        assert not isinstance(refused.value, UserExists)
        assert await store.users.by_id(user.id) == user

    async def test_a_refusal_of_the_callback_rolls_everything_back(self, store: Store) -> None:
        user = await add_user(store)
        session = await open_session(store, user)

        def refuse(present: User) -> UserChange:
            assert present == user
            raise Forbidden("not you")

        with pytest.raises(Forbidden, match="not you"):
            await store.users.change(user.id, refuse, happened("user.changed"))
        assert await store.users.by_id(user.id) == user
        assert await changes(store) == []
        assert await audited(store) == ["user.registered", "login.ok"]
        assert await verdict(store, session, 0) is Verdict.SAME

    async def test_each_of_many_at_once_sees_what_the_one_before_left(
        self, store: Store, other: Store
    ) -> None:
        user = await add_user(store, name="")

        def append(present: User) -> UserChange:
            return UserChange(values={"name": present.name + "x"}, supersede=True)

        both = itertools.cycle([store, other])
        await at_once(
            one.users.change(user.id, append, happened())
            for one, _ in zip(both, range(24), strict=False)
        )
        found = await store.users.by_id(user.id)
        assert found is not None
        assert (found.name, found.ver) == ("x" * 24, 24)


class TestKeepingASession:
    async def test_its_own_session_moves_along_and_the_others_end(self, store: Store) -> None:
        user = await add_user(store)
        mine, theirs = await open_session(store, user), await open_session(store, user)
        change = always(values={"password_hash": "new"}, revoke=True, keep_session=mine.id)
        changed = await store.users.change(user.id, change, happened())
        assert changed is not None
        assert await changes(store) == [("user.revoked", user.id, 1, mine.id)]
        assert [session.id for session in await store.sessions.of_user(user.id)] == [mine.id]
        assert await verdict(store, mine, 0) is Verdict.SAME
        assert await verdict(store, theirs, 0) is Verdict.ENDED
        await open_session(store, changed)

    @pytest.mark.parametrize("how", ["revoked", "earlier epoch", "somebody else's", "unknown"])
    async def test_what_is_no_live_session_of_theirs_is_not_kept(
        self, store: Store, how: str
    ) -> None:
        user = await add_user(store)
        ver = 1
        owner = await add_user(store) if how == "somebody else's" else user
        session = await open_session(store, owner)
        if how == "revoked":
            await store.sessions.revoke(session.id, happened())
        if how == "earlier epoch":
            await store.users.change(user.id, always(revoke=True), happened())
            ver = 2
        kept = "no-such-session" if how == "unknown" else session.id
        await store.users.change(user.id, always(revoke=True, keep_session=kept), happened())
        assert (await changes(store))[-1] == ("user.revoked", user.id, ver, None)
        left = Verdict.SAME if owner is not user else None
        if how not in ("unknown", "somebody else's"):
            left = Verdict.ENDED
        if left is not None:
            assert await verdict(store, session, 0) is left


class TestLastAdmin:
    @pytest.mark.parametrize("taking", [DEMOTE, DISABLE, DELETE])
    async def test_the_last_one_stays(self, store: Store, taking) -> None:
        admin = await add_user(store, role="admin")
        disabled = await add_user(store, role="admin")
        await store.users.change(disabled.id, DISABLE, happened())
        rows, feed = await audited(store), await changes(store)
        with pytest.raises(LastAdmin):
            await store.users.change(admin.id, taking, happened())
        assert await store.users.by_id(admin.id) == admin
        assert (await audited(store), await changes(store)) == (rows, feed)

    @pytest.mark.parametrize("taking", [DEMOTE, DISABLE, DELETE])
    async def test_one_of_two_may_go(self, store: Store, taking) -> None:
        one, two = [await add_user(store, role="admin") for _ in range(2)]
        assert await store.users.change(one.id, taking, happened())
        assert await enabled_admins(store) == [two]

    async def test_the_last_one_may_change_otherwise(self, store: Store) -> None:
        admin = await add_user(store, role="admin")
        change = always(values={"name": "New", "role": "admin"}, revoke=True)
        changed = await store.users.change(admin.id, change, happened())
        assert changed is not None
        assert (changed.name, changed.epoch) == ("New", 1)

    async def test_a_disabled_admin_may_go(self, store: Store) -> None:
        _, two = [await add_user(store, role="admin") for _ in range(2)]
        await store.users.change(two.id, DISABLE, happened())
        assert await store.users.change(two.id, DELETE, happened())

    async def test_of_two_that_take_each_other_away_one_stays(
        self, store: Store, other: Store
    ) -> None:
        ways = itertools.product((DEMOTE, DISABLE, DELETE), repeat=2)
        left = await add_user(store, role="admin")
        for first, second in itertools.islice(itertools.cycle(ways), 20):
            new = await add_user(store, role="admin")
            outcomes = await at_once(
                [
                    unless_last(store.users.change(left.id, first, happened())),
                    unless_last(other.users.change(new.id, second, happened())),
                ]
            )
            assert [isinstance(one, LastAdmin) for one in outcomes].count(True) == 1
            [left] = await enabled_admins(store)

    async def test_a_storm_of_changes_leaves_one(self, store: Store, other: Store) -> None:
        chance = random.Random(7)
        admins = [await add_user(store, role="admin") for _ in range(6)]
        promote = always(values={"role": "admin", "disabled_at": None}, supersede=True)
        works = [
            unless_last(
                chance.choice((store, other)).users.change(
                    chance.choice(admins).id,
                    chance.choice((DEMOTE, DEMOTE, DISABLE, DISABLE, promote)),
                    happened(),
                )
            )
            for _ in range(60)
        ]
        await at_once(works)
        assert len(await enabled_admins(store)) >= 1


class TestUpgradingAHash:
    async def test_only_the_hash_moves(self, store: Store) -> None:
        user = await add_user(store, password_hash="$2b$12$old")
        assert await store.users.upgrade_hash(user.id, "$2b$12$old", "$argon2id$new") is True
        found = await store.users.by_id(user.id)
        assert found is not None
        assert found.password_hash == "$argon2id$new"
        assert (found.epoch, found.ver) == (0, 0)
        assert await changes(store) == []

    async def test_a_hash_that_changed_meanwhile_is_left_alone(self, store: Store) -> None:
        user = await add_user(store, password_hash="$2b$12$old")
        await store.users.change(user.id, always(values={"password_hash": "reset"}), happened())
        assert await store.users.upgrade_hash(user.id, "$2b$12$old", "upgraded") is False
        found = await store.users.by_id(user.id)
        assert found is not None
        assert found.password_hash == "reset"

    async def test_of_a_hundred_at_once_one_upgrades(self, store: Store, other: Store) -> None:
        user = await add_user(store, password_hash="$2b$12$old")
        both = itertools.cycle([store, other])
        done = await at_once(
            one.users.upgrade_hash(user.id, "$2b$12$old", f"$argon2id${number}")
            for one, number in zip(both, range(100), strict=False)
        )
        assert done.count(True) == 1
        found = await store.users.by_id(user.id)
        assert found is not None
        assert found.password_hash == f"$argon2id${done.index(True)}"

    async def test_it_never_overwrites_a_reset(self, store: Store, other: Store) -> None:
        for _ in range(20):
            user = await add_user(store, password_hash="$2b$12$old")
            reset = always(values={"password_hash": "reset"}, revoke=True)
            await at_once(
                [
                    other.users.upgrade_hash(user.id, "$2b$12$old", "upgraded"),
                    store.users.change(user.id, reset, happened()),
                ]
            )
            found = await store.users.by_id(user.id)
            assert found is not None
            assert found.password_hash == "reset"
