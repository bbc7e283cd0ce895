"""The promises of `RoleStore`, and of `UserStore` about roles."""

import asyncio

import pytest

from authward.core.granting import Present
from authward.core.permissions import DEFAULT_ROLES, Role
from authward.core.users import User, UserChange
from authward.errors import Forbidden, NotFound, RoleInUse, ValidationError
from authward.ports import Cursor, Store
from tests.contracts.making import (
    add_user,
    always,
    at_once,
    audited,
    changes,
    happened,
    new_user,
    open_session,
)

EDITOR = Role(frozenset({"update:posts", "read:*"}))


def told(before: Role | None, after: Role | None):
    return happened("role.changed" if after else "role.deleted")


async def put(store: Store, name: str, role: Role | None, *, actor: str | None = None):
    return await store.roles.change(name, lambda present: role, told, actor=actor)


async def give(store: Store, user: User, *names: str) -> User | ValidationError:
    try:
        changed = await store.users.change(
            user.id, always(values={"additional_roles": names}), happened()
        )
    except ValidationError as refused:
        return refused
    assert changed is not None
    return changed


class TestChanging:
    async def test_a_role_is_made_changed_and_deleted(self, store: Store) -> None:
        cursor = (await store.changes.since(Cursor(), horizon=1)).cursor
        assert await store.roles.all() == DEFAULT_ROLES
        assert await put(store, "editor", EDITOR) == (None, EDITOR)
        wider = Role(frozenset({"read:*", "create:posts"}), frozenset({"user", "moderator"}))
        assert await put(store, "editor", wider) == (EDITOR, wider)
        assert (await store.roles.all())["editor"] == wider
        assert await store.changes.roles() == await store.roles.all()
        assert await put(store, "editor", Role()) == (wider, Role())
        assert await put(store, "editor", None) == (Role(), None)
        assert await store.roles.all() == DEFAULT_ROLES
        assert await changes(store, cursor) == [("roles.changed", "editor", 0, None)] * 4
        assert await audited(store) == ["role.changed"] * 3 + ["role.deleted"]

    async def test_what_changes_nothing_is_recorded_and_not_announced(self, store: Store) -> None:
        await put(store, "user", DEFAULT_ROLES["user"])
        assert await changes(store) == []
        assert await audited(store) == ["role.changed"]

    async def test_no_role_before_and_after_is_nothing(self, store: Store) -> None:
        assert await put(store, "nobody", None) == (None, None)
        assert await changes(store) == []
        assert await audited(store) == []

    async def test_what_decide_raises_rolls_back(self, store: Store) -> None:
        def refuse(present: Present) -> Role:
            assert present.roles == DEFAULT_ROLES
            raise Forbidden("no")

        with pytest.raises(Forbidden):
            await store.roles.change("editor", refuse, told, actor=None)
        assert await store.roles.all() == DEFAULT_ROLES
        assert await audited(store) == []

    async def test_decide_sees_the_account_that_acts(self, store: Store) -> None:
        user = await add_user(store)
        seen: list[User | None] = []

        def look(present: Present) -> Role:
            seen.append(present.actor)
            return EDITOR

        for actor in (user.id, "no-such-user", None):
            await store.roles.change("editor", look, told, actor=actor)
        assert seen == [user, None, None]

    async def test_a_role_that_is_held_or_included_stays(self, store: Store) -> None:
        main = await add_user(store)
        beside = await add_user(store)
        await put(store, "editor", EDITOR)
        await put(store, "edit_r", EDITOR)
        await store.users.change(main.id, always(values={"role": "editor"}), happened())
        with pytest.raises(RoleInUse, match="1"):
            await put(store, "editor", None)
        await store.users.change(main.id, always(values={"role": "user"}), happened())
        await give(store, beside, "moderator", "editor")
        with pytest.raises(RoleInUse):
            await put(store, "editor", None)
        # A name that LIKE would take for the other.
        await put(store, "edit_r", None)
        await give(store, beside)
        await put(store, "editor", None)

    async def test_of_twenty_edits_at_once_none_is_lost(self, store: Store, other: Store) -> None:
        await put(store, "editor", Role())

        async def grant(number: int) -> None:
            def decide(present: Present) -> Role:
                now = present.roles["editor"].permissions
                return Role(now | {f"read:thing{number}"})

            await (store, other)[number % 2].roles.change("editor", decide, told, actor=None)

        await at_once(grant(number) for number in range(20))
        roles = await store.roles.all()
        assert roles["editor"].permissions == {f"read:thing{number}" for number in range(20)}

    async def test_of_twenty_that_make_a_role_one_makes_it(
        self, store: Store, other: Store
    ) -> None:
        made = await at_once(
            put((store, other)[number % 2], "editor", EDITOR) for number in range(20)
        )
        assert [before for before, _ in made].count(None) == 1

    async def test_of_two_that_include_each_other_at_once_the_later_sees_the_earlier(
        self, store: Store, other: Store
    ) -> None:
        await put(store, "a", Role())
        await put(store, "b", Role())

        async def include(one: Store, name: str, included: str) -> bool:
            def decide(present: Present) -> Role:
                if name in present.roles[included].includes:
                    raise Forbidden("a cycle")
                return Role(includes=frozenset({included}))

            try:
                await one.roles.change(name, decide, told, actor=None)
            except Forbidden:
                return False
            return True

        done = await at_once([include(store, "a", "b"), include(other, "b", "a")])
        assert sorted(done) == [False, True]


class TestGiving:
    async def test_only_roles_that_exist_are_given(self, store: Store) -> None:
        user = await add_user(store)
        for values, field in (
            ({"role": "king"}, "role"),
            ({"additional_roles": ("moderator", "king")}, "additionalRoles"),
        ):
            with pytest.raises(ValidationError) as refused:
                await store.users.change(user.id, always(values=values), happened())
            [detail] = refused.value.details
            assert detail.field == field
            assert detail.message == "Use one of: admin, moderator, user"
        with pytest.raises(ValidationError):
            await store.users.add(new_user(role="king"), happened())
        assert await store.users.by_id(user.id) == user

    async def test_what_changes_rights_supersedes_and_nothing_else_does(self, store: Store) -> None:
        user = await add_user(store)
        await put(store, "editor", EDITOR)
        cursor = (await store.changes.since(Cursor(), horizon=1)).cursor
        for ver, values in enumerate(
            (
                {"role": "moderator"},
                {"additional_roles": ("editor",)},
                {"permissions": ("read:x",)},
            ),
            1,
        ):
            for _ in range(2):
                changed = await store.users.change(user.id, always(values=values), happened())
                assert changed is not None
                assert changed.ver == ver
        await store.users.change(user.id, always(values={"name": "Other"}), happened())
        found = [one for one in await changes(store, cursor) if one[0] != "roles.changed"]
        assert found == [("user.superseded", user.id, ver, None) for ver in (1, 2, 3)]

    async def test_administering_sees_who_acts_and_what_roles_are(self, store: Store) -> None:
        actor, user = await add_user(store, role="admin"), await add_user(store)
        await open_session(store, user)
        seen: list[Present] = []

        def decide(present_user: User, present: Present) -> UserChange:
            assert present_user == user
            seen.append(present)
            return UserChange({"permissions": ("read:x",)})

        changed = await store.users.administer(
            user.id,
            decide,
            lambda before, after: happened(
                "test", detail={"was": len(before.permissions), "is": len(after.permissions)}
            ),
            actor=actor.id,
        )
        assert changed is not None
        assert changed.permissions == ("read:x",)
        assert seen == [Present(DEFAULT_ROLES, actor)]
        [row] = await store.audit.latest(1)
        assert row.event.detail == {"was": 0, "is": 1}
        assert (
            await store.users.administer(
                "no-such-user", decide, lambda before, after: happened(), actor=None
            )
            is None
        )

    async def test_of_two_who_strip_each_other_at_once_one_still_may(
        self, store: Store, other: Store
    ) -> None:
        """Each must hold `x:y` to take it from the other."""
        for _ in range(5):
            users = [await add_user(store) for _ in range(2)]
            for user in users:
                await store.users.change(
                    user.id, always(values={"permissions": ("x:y",)}), happened()
                )

            async def strip(one: Store, actor: User, target: User) -> bool:
                def decide(user: User, present: Present) -> UserChange:
                    assert present.actor is not None
                    if "x:y" not in present.actor.permissions:
                        raise Forbidden("lost it")
                    return UserChange({"permissions": ()})

                try:
                    await one.users.administer(
                        target.id, decide, lambda before, after: happened(), actor=actor.id
                    )
                except Forbidden:
                    return False
                return True

            done = await at_once(
                [strip(store, users[0], users[1]), strip(other, users[1], users[0])]
            )
            assert sorted(done) == [False, True]

    async def test_of_giving_and_deleting_a_role_at_once_one_loses(
        self, store: Store, other: Store
    ) -> None:
        users = [await add_user(store) for _ in range(4)]
        for round_ in range(8):
            await put(store, "editor", EDITOR)

            async def remove(late: bool) -> bool:
                if late:
                    await asyncio.sleep(0)
                try:
                    await put(other, "editor", None)
                except RoleInUse:
                    return False
                return True

            removed, *given = await asyncio.gather(
                remove(round_ % 2 == 0), *(give(store, user, "editor") for user in users)
            )
            there = "editor" in await store.roles.all()
            holders = [
                user.id
                for user in [await store.users.by_id(one.id) for one in users]
                if user is not None and user.additional_roles
            ]
            assert there is not removed
            assert not (removed and holders), "nobody holds a role that is gone"
            assert len(holders) == sum(isinstance(one, User) for one in given)
            assert removed or holders, "it was in nobody's use, and stayed"
            for user in users:
                await give(store, user)
            if there:
                await put(store, "editor", None)

    async def test_an_account_is_not_made_with_a_role_that_goes(
        self, store: Store, other: Store
    ) -> None:
        for _ in range(5):
            await put(store, "editor", EDITOR)

            async def add() -> User | None:
                try:
                    return await store.users.add(new_user(role="editor"), happened())
                except ValidationError:
                    return None

            async def remove() -> bool:
                try:
                    await put(other, "editor", None)
                except (RoleInUse, NotFound):
                    return False
                return True

            made, removed = await asyncio.gather(add(), remove())
            assert (made is None) is removed
            if made is not None:
                await store.users.change(made.id, always(delete=True), happened())
