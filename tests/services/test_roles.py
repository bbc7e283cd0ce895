"""Roles as they are managed: who may, what is told, and when it counts."""

import pytest

from authward.core.permissions import DEFAULT_ROLES, Role
from authward.core.principal import Principal
from authward.errors import Forbidden, NotFound, RoleInUse, ValidationError
from authward.services import Services
from authward.services.roles import RoleEdit

from .conftest import HERE, principal_of, register, told

MANAGER = ("manage:roles", "update:posts", "read:*")


async def manager(services: Services) -> Principal:
    """Somebody who manages roles, and holds little else."""
    await services.roles.put(None, "manager", MANAGER, (), HERE)
    user = (await register(services, "manager@example.com")).user
    user = await services.users.set_role(None, user.id, "manager", HERE)
    return Principal(user.id, "", "manager", frozenset(MANAGER), "session-1", user.ver)


async def test_a_role_is_put_adjusted_and_deleted(services: Services) -> None:
    roles = services.roles
    made = await roles.put(None, "author", ["create:posts"], ["user"], HERE)
    assert made == Role(frozenset({"create:posts"}), frozenset({"user"}))
    edit = RoleEdit(("read:posts",), ("create:posts",), ("moderator",), ("user",))
    before, after = await roles.adjust(None, "author", edit, HERE)
    assert before == made
    assert after == Role(frozenset({"read:posts"}), frozenset({"moderator"}))
    assert (await roles.list())["author"] == after
    await roles.delete(None, "author", HERE)
    assert await roles.list() == DEFAULT_ROLES
    keys = ("role", "granted", "taken", "included", "excluded")
    rows = [*await told(services, "role.changed"), *await told(services, "role.deleted")]
    assert [{key: row[key] for key in keys if key in row} for row in rows] == [
        {"role": "author", "granted": "create:posts", "included": "user"},
        {
            "role": "author",
            "granted": "read:posts",
            "taken": "create:posts",
            "included": "moderator",
            "excluded": "user",
        },
        {"role": "author", "taken": "read:posts", "excluded": "moderator"},
    ]


async def test_a_role_that_is_not_there(services: Services) -> None:
    with pytest.raises(NotFound, match="admin, moderator, user"):
        await services.roles.adjust(None, "author", RoleEdit(("a:b",)), HERE)
    with pytest.raises(NotFound):
        await services.roles.delete(None, "author", HERE)
    before, after = await services.roles.adjust(
        None, "author", RoleEdit(("a:b",)), HERE, create=True
    )
    assert before is None
    assert after.permissions == {"a:b"}


async def test_what_no_role_can_be(services: Services) -> None:
    for work in (
        services.roles.put(None, "Author", [], [], HERE),
        services.roles.adjust(None, "a b", RoleEdit(), HERE, create=True),
        services.roles.put(None, "author", ["all"], [], HERE),
        services.roles.put(None, "author", [], ["nobody"], HERE),
        services.roles.put(None, "admin", ["read:*"], [], HERE),
        services.roles.adjust(None, "admin", RoleEdit(revoke=("*:*",)), HERE),
    ):
        with pytest.raises(ValidationError):
            await work
    assert await services.roles.list() == DEFAULT_ROLES


async def test_what_stays(services: Services) -> None:
    await services.roles.put(None, "author", [], [], HERE)
    await services.roles.put(None, "editor", [], ["author"], HERE)
    user = (await register(services)).user
    await services.users.set_role(None, user.id, "user", HERE, additional=["editor"])
    for name in ("admin", "user", "author", "editor"):
        with pytest.raises(RoleInUse):
            await services.roles.delete(None, name, HERE)
    await services.users.set_role(None, user.id, "user", HERE)
    await services.roles.delete(None, "editor", HERE)
    await services.roles.delete(None, "author", HERE)


async def test_a_manager_of_roles_hands_on_what_they_hold(services: Services) -> None:
    me, roles = await manager(services), services.roles
    await roles.put(me, "editor", ["update:posts", "read:posts"], ["user"], HERE)
    for work in (
        roles.put(me, "editor", ["delete:posts"], [], HERE),
        roles.put(me, "editor", ["update:*"], [], HERE),
        roles.put(me, "editor", [], ["moderator"], HERE),
        roles.put(me, "user", ["delete:posts"], [], HERE),
        # Nor what they hold to everybody.
        roles.put(me, "user", ["read:posts"], [], HERE),
        roles.put(me, "moderator", [], [], HERE),
        roles.adjust(me, "moderator", RoleEdit(grant=("update:posts",)), HERE),
        roles.delete(me, "moderator", HERE),
    ):
        with pytest.raises(Forbidden):
            await work
    await roles.delete(me, "editor", HERE)
    rows = [row for row in await told(services, "role.changed") if row["actor"] == me.id]
    assert [row["role"] for row in rows] == ["editor"]


async def test_a_role_shared_with_those_who_hold_more_is_not_theirs_to_change(
    services: Services,
) -> None:
    me, roles = await manager(services), services.roles
    await roles.put(None, "editor", ["read:posts"], [], HERE)
    await roles.put(me, "editor", ["read:posts", "update:posts"], [], HERE)
    await roles.put(None, "chief", ["delete:posts"], ["editor"], HERE)
    for work in (roles.put(me, "editor", [], [], HERE), roles.delete(me, "editor", HERE)):
        with pytest.raises((Forbidden, RoleInUse)):
            await work
    assert (await roles.list())["editor"].permissions == {"read:posts", "update:posts"}


async def test_admin_is_included_by_none(services: Services) -> None:
    """Whoever holds it is counted: the last one stays."""
    await services.roles.put(None, "boss", [], [], HERE)
    for includes in (["admin"], ["boss", "admin"]):
        with pytest.raises(ValidationError) as refused:
            await services.roles.put(None, "chief", [], includes, HERE)
        assert refused.value.details[0].code == "admin_is_the_role"


async def test_a_changed_role_counts_at_once_without_another_token(services: Services) -> None:
    signed_in = await register(services)
    await services.roles.put(None, "user", ["read:reports"], [], HERE)
    assert principal_of(services, signed_in).permissions == {"read:reports"}
    await services.roles.put(None, "user", [], [], HERE)
    assert principal_of(services, signed_in).permissions == frozenset()
