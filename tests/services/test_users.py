"""Administration: pages, who may edit whom, and what an edit does to tokens."""

import itertools
from base64 import urlsafe_b64encode
from collections.abc import Awaitable, Sequence
from typing import Any

import pytest

from authward.core.audit import Event
from authward.core.principal import Principal
from authward.core.users import User, UserChange
from authward.errors import (
    Forbidden,
    InvalidCredentials,
    LastAdmin,
    NotFound,
    TokenExpired,
    TokenRevoked,
    UserExists,
    ValidationError,
)
from authward.services import Services
from authward.services.users import UserEdit

from .conftest import HERE, PASSWORD, principal_of, register, told

UNKNOWN = "no-such-user"
_numbers = itertools.count(1)


async def acting(services: Services, role: str) -> Principal:
    """Somebody new who holds a role."""
    user = (await register(services, f"actor{next(_numbers)}@example.com", name="Actor")).user
    return principal(services, await services.users.set_role(None, user.id, role, HERE))


def principal(services: Services, user: User) -> Principal:
    held = services.feed.permissions(user.roles, user.permissions)
    return Principal(
        user.id, "", user.role, held, "session-1", user.ver, roles=frozenset(user.roles)
    )


async def page(services: Services, **values: Any) -> Any:
    given: dict[str, Any] = {"limit": 10, "cursor": None, "search": None, "role": None}
    return await services.users.page(**{**given, **values})


# --- pages ------------------------------------------------------------------------------------


async def test_cursors_lead_through_all_accounts(services: Services) -> None:
    for number in range(5):
        await register(services, f"user{number}@example.com")
    seen: list[str] = []
    cursor = None
    for size in (2, 2, 1):
        found = await page(services, limit=2, cursor=cursor)
        assert len(found.users) == size
        seen += [user.email for user in found.users]
        cursor = found.cursor
    assert cursor is None
    assert seen == [f"user{number}@example.com" for number in range(5)]


async def test_search_and_role(services: Services) -> None:
    ada = (await register(services, "ada@example.com")).user
    await register(services, "eve@example.com", name="Eve")
    await services.users.set_role(None, ada.id, "admin", HERE)
    assert [user.id for user in (await page(services, search="ADA")).users] == [ada.id]
    assert [user.id for user in (await page(services, role="admin")).users] == [ada.id]


def encoded(text: bytes) -> str:
    return urlsafe_b64encode(text).rstrip(b"=").decode()


@pytest.mark.parametrize(
    "cursor",
    [
        "",
        "a",
        "!!!!",
        "ü",
        encoded(b"\xff\xfe"),
        encoded(b"123"),
        encoded(b".user-0001"),
        encoded(b"+1.user-0001"),
        encoded(b"1.short"),
        encoded(b"1.user-0001'; --"),
        encoded(b"9223372036854775808.user-0001"),
        encoded("١.user-0001".encode()),
    ],
)
async def test_a_cursor_that_is_none_of_ours(services: Services, cursor: str) -> None:
    with pytest.raises(ValidationError) as caught:
        await page(services, cursor=cursor)
    assert [(one.field, one.code) for one in caught.value.details] == [("cursor", "invalid_cursor")]


async def test_a_cursor_of_an_account_that_is_gone_still_leads_on(services: Services) -> None:
    for number in range(3):
        await register(services, f"user{number}@example.com")
    found = await page(services, limit=1)
    await services.users.delete(None, found.users[0].id, HERE)
    assert [user.email for user in (await page(services, cursor=found.cursor)).users] == [
        "user1@example.com",
        "user2@example.com",
    ]


# --- one account --------------------------------------------------------------------------------


async def test_one_account(services: Services) -> None:
    user = (await register(services)).user
    assert await services.users.get(user.id) == user


@pytest.mark.parametrize("user_id", [UNKNOWN, "x", "../admin", "a" * 65, ""])
async def test_nobody(services: Services, user_id: str) -> None:
    actor = await acting(services, "admin")
    for work in (
        services.users.get(user_id),
        services.users.edit(actor, user_id, UserEdit(name="x"), HERE),
        services.users.set_disabled(None, user_id, True, HERE),
        services.users.set_role(None, user_id, "user", HERE),
        services.users.permissions_of(user_id),
        services.users.set_permissions(actor, user_id, ["read:x"], HERE),
        services.users.delete(None, user_id, HERE),
    ):
        with pytest.raises(NotFound):
            await work


async def test_a_name_leaves_tokens_alone(services: Services) -> None:
    signed_in = await register(services)
    admin = await acting(services, "admin")
    edited = await services.users.edit(admin, signed_in.user.id, UserEdit(name="Countess"), HERE)
    assert edited.name == "Countess"
    principal_of(services, signed_in)
    rows = await told(services, "user.edited")
    assert [(row["actor"], row["subject"], row["fields"]) for row in rows] == [
        (admin.id, signed_in.user.id, "name")
    ]
    assert "disabled" not in rows[0]


async def test_an_empty_edit_changes_nothing(services: Services) -> None:
    signed_in = await register(services)
    edited = await services.users.edit(
        await acting(services, "admin"), signed_in.user.id, UserEdit(), HERE
    )
    assert edited == signed_in.user
    assert "fields" not in (await told(services, "user.edited"))[0]


async def test_disabling_ends_sessions_and_enabling_does_not_bring_them_back(
    services: Services,
) -> None:
    signed_in = await register(services)
    admin = await acting(services, "admin")
    disabled = await services.users.edit(admin, signed_in.user.id, UserEdit(disabled=True), HERE)
    assert disabled.disabled_at is not None
    with pytest.raises(TokenRevoked):
        principal_of(services, signed_in)
    enabled = await services.users.edit(admin, signed_in.user.id, UserEdit(disabled=False), HERE)
    assert enabled.disabled_at is None
    with pytest.raises(TokenRevoked):
        principal_of(services, signed_in)
    await services.accounts.login("ada@example.com", PASSWORD, HERE, presented=None)
    assert [row["disabled"] for row in await told(services, "user.edited")] == [1, 0]


async def test_another_address_is_unverified_and_ends_sessions(services: Services) -> None:
    signed_in = await register(services)
    admin = await acting(services, "admin")
    await services.store.users.change(
        signed_in.user.id,
        lambda user: UserChange({"email_verified": True}),
        Event("user.edited", HERE),
    )
    same = await services.users.edit(
        admin, signed_in.user.id, UserEdit(email="Ada@Example.com"), HERE
    )
    assert (same.email, same.email_verified) == ("Ada@Example.com", True)
    principal_of(services, signed_in)
    moved = await services.users.edit(
        admin, signed_in.user.id, UserEdit(name="Ada", email="countess@example.com"), HERE
    )
    assert (moved.email_canonical, moved.email_verified) == ("countess@example.com", False)
    with pytest.raises(TokenRevoked):
        principal_of(services, signed_in)
    rows = await told(services, "user.edited")
    assert rows[-1]["fields"] == "name,email"
    assert "countess" not in str(rows)


async def test_an_address_that_is_taken_or_none(services: Services) -> None:
    user = (await register(services)).user
    await register(services, "eve@example.com")
    admin = await acting(services, "admin")
    with pytest.raises(UserExists):
        await services.users.edit(admin, user.id, UserEdit(email="eve@example.com"), HERE)
    with pytest.raises(ValidationError):
        await services.users.edit(admin, user.id, UserEdit(email="eve"), HERE)


# --- who may edit whom ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("target", "allowed"), [("user", True), ("moderator", True), ("admin", False)]
)
async def test_a_moderator_edits_those_who_may_do_no_more(
    services: Services, target: str, allowed: bool
) -> None:
    user = (await register(services)).user
    await services.users.set_role(None, user.id, target, HERE)
    editing = services.users.edit(
        await acting(services, "moderator"), user.id, UserEdit(name="Edited"), HERE
    )
    if allowed:
        assert (await editing).name == "Edited"
    else:
        with pytest.raises(Forbidden):
            await editing
        assert (await services.users.get(user.id)).name == "Ada"


async def test_a_moderator_disables_another_and_enables_whom_an_admin_disabled(
    services: Services,
) -> None:
    """Said in the protocol: to disable is no lock."""
    fellow = (await register(services)).user
    await services.users.set_role(None, fellow.id, "moderator", HERE)
    moderator = await acting(services, "moderator")
    admin = await acting(services, "admin")
    done = await services.users.edit(moderator, fellow.id, UserEdit(disabled=True), HERE)
    assert done.disabled_at is not None
    await services.users.edit(admin, fellow.id, UserEdit(disabled=True), HERE)
    done = await services.users.edit(moderator, fellow.id, UserEdit(disabled=False), HERE)
    assert done.disabled_at is None
    rows = await told(services, "user.edited")
    assert [row["actor"] for row in rows] == [moderator.id, admin.id, moderator.id]


async def test_a_moderator_changes_no_address(services: Services) -> None:
    user = (await register(services)).user
    with pytest.raises(Forbidden):
        await services.users.edit(
            await acting(services, "moderator"), user.id, UserEdit(email="x@example.com"), HERE
        )


# --- operators ------------------------------------------------------------------------------


async def test_operators_disable_and_enable(services: Services) -> None:
    signed_in = await register(services)
    await services.users.set_disabled(None, signed_in.user.id, True, HERE)
    with pytest.raises(TokenRevoked):
        principal_of(services, signed_in)
    with pytest.raises(InvalidCredentials):
        await services.accounts.login("ada@example.com", PASSWORD, HERE, presented=None)
    await services.users.set_disabled(None, signed_in.user.id, False, HERE)
    await services.accounts.login("ada@example.com", PASSWORD, HERE, presented=None)
    assert len(await told(services, "user.disabled")) == 1
    assert len(await told(services, "user.enabled")) == 1


async def test_a_role_counts_from_the_next_token_on(services: Services) -> None:
    signed_in = await register(services)
    root = await acting(services, "admin")
    await services.users.set_role(root, signed_in.user.id, "user", HERE)
    principal_of(services, signed_in)
    changed = await services.users.set_role(root, signed_in.user.id, "admin", HERE)
    assert changed.role == "admin"
    with pytest.raises(TokenExpired):
        principal_of(services, signed_in)
    refreshed = await services.sessions.refresh(signed_in.refresh_token, HERE)
    assert principal_of(services, refreshed).can("list:users")
    rows = [row for row in await told(services, "user.role_set") if row["actor"] == root.id]
    assert [(row["role"], row["was"]) for row in rows] == [("user", "user"), ("admin", "user")]


async def test_a_role_that_is_asked_for_beforehand(services: Services) -> None:
    services.users.require_role("moderator")
    with pytest.raises(ValidationError) as caught:
        services.users.require_role("king")
    assert caught.value.details[0].message == "Use one of: admin, moderator, user"


async def test_a_role_that_is_none(services: Services) -> None:
    user = (await register(services)).user
    with pytest.raises(ValidationError) as caught:
        await services.users.set_role(None, user.id, "king", HERE)
    [detail] = caught.value.details
    assert (detail.code, detail.message) == ("unknown_role", "Use one of: admin, moderator, user")


async def test_the_last_admin_stays(services: Services) -> None:
    user = (await register(services)).user
    me = principal(services, await services.users.set_role(None, user.id, "admin", HERE))
    for work in (
        services.users.set_role(None, user.id, "user", HERE),
        services.users.set_disabled(None, user.id, True, HERE),
        services.users.delete(None, user.id, HERE),
        services.users.edit(me, user.id, UserEdit(disabled=True), HERE),
        services.users.set_role(me, user.id, "user", HERE),
        services.users.delete(me, user.id, HERE),
    ):
        with pytest.raises(LastAdmin):
            await work
    assert (await services.users.get(user.id)).disabled_at is None


async def test_deleting_is_told_and_ends_everything(services: Services) -> None:
    signed_in = await register(services)
    root = await acting(services, "admin")
    await services.users.delete(root, signed_in.user.id, HERE)
    with pytest.raises(TokenRevoked):
        principal_of(services, signed_in)
    rows = await told(services, "user.deleted")
    assert [(row["actor"], row["subject"]) for row in rows] == [(root.id, signed_in.user.id)]
    # The address is free again, and old tokens are not the new account's.
    again = await register(services)
    assert again.user.id != signed_in.user.id


# --- rights -----------------------------------------------------------------------------------


async def make_role(
    services: Services, name: str, *permissions: str, includes: Sequence[str] = ()
) -> None:
    await services.roles.put(None, name, permissions, includes, HERE)
    await services.feed.poll()


async def test_what_an_account_holds(services: Services) -> None:
    await make_role(services, "editor", "update:posts")
    user = (await register(services)).user
    await services.users.set_role(
        None, user.id, "moderator", HERE, additional=["editor", "moderator", "editor"]
    )
    rights = await services.users.set_permissions(None, user.id, ["read:b", "read:a"], HERE)
    assert rights.user.additional_roles == ("editor",)
    assert rights.user.permissions == ("read:a", "read:b")
    assert rights.effective == {"read:a", "read:b", "update:posts", "read:users", "update:users"}
    assert await services.users.permissions_of(user.id) == rights
    # Roles are set together: whoever is given `user` alone is a user and no more.
    left = await services.users.set_role(None, user.id, "user", HERE)
    assert left.additional_roles == ()


async def test_every_change_of_rights_supersedes_tokens_and_is_told(services: Services) -> None:
    await make_role(services, "editor", "update:posts")
    signed_in = await register(services)
    user_id = signed_in.user.id
    works = [
        lambda: services.users.set_role(None, user_id, "user", HERE, additional=["editor"]),
        lambda: services.users.set_permissions(None, user_id, ["read:x"], HERE),
        lambda: services.users.adjust_permissions(
            None, user_id, HERE, grant=["read:y"], take=["read:x"]
        ),
        lambda: services.users.set_role(None, user_id, "user", HERE),
    ]
    for work in works:
        principal_of(services, signed_in)
        await work()
        with pytest.raises(TokenExpired):
            principal_of(services, signed_in)
        signed_in = await services.sessions.refresh(signed_in.refresh_token, HERE)
    assert principal_of(services, signed_in).permissions == {"read:y"}
    await services.users.set_permissions(None, user_id, ["read:y"], HERE)
    principal_of(services, signed_in)
    words = ("role", "was", "granted", "taken")
    told_of = [
        {word: row[word] for word in words if word in row}
        for row in [
            *await told(services, "user.role_set"),
            *await told(services, "user.permissions_set"),
        ]
    ]
    assert told_of == [
        {"role": "user", "was": "user", "granted": "editor"},
        {"role": "user", "was": "user", "taken": "editor"},
        {"granted": "read:x"},
        {"granted": "read:y", "taken": "read:x"},
        {},
    ]


async def test_a_manager_hands_on_what_they_hold_and_no_more(services: Services) -> None:
    held = ["assign:roles", "assign:permissions", "update:posts"]
    await make_role(services, "editor", "update:posts")
    await make_role(services, "manager", *held, includes=["editor"])
    await make_role(services, "billing")
    await make_role(services, "publisher", "update:posts", "publish:posts")
    manager, user = await acting(services, "manager"), (await register(services)).user
    users = services.users
    await users.set_role(manager, user.id, "editor", HERE)
    await users.set_permissions(manager, user.id, ["update:posts"], HERE)
    work: Awaitable[object]
    for work in (
        users.set_role(manager, user.id, "publisher", HERE),
        users.set_role(manager, user.id, "billing", HERE),
        users.set_role(manager, user.id, "user", HERE, additional=["publisher"]),
        users.set_role(manager, user.id, "user", HERE, additional=["billing"]),
        users.set_permissions(manager, user.id, ["publish:posts"], HERE),
        users.set_permissions(manager, user.id, ["update:*"], HERE),
    ):
        with pytest.raises(Forbidden):
            await work
    await users.set_role(None, user.id, "publisher", HERE)
    for work in (
        users.set_role(manager, user.id, "user", HERE),
        users.set_permissions(manager, user.id, [], HERE),
        users.set_disabled(manager, user.id, True, HERE),
        users.edit(manager, user.id, UserEdit(name="x"), HERE),
        users.delete(manager, user.id, HERE),
    ):
        with pytest.raises(Forbidden):
            await work
    assert (await users.get(user.id)).role == "publisher"


async def test_whoever_lost_rights_since_their_token_does_not_use_them(services: Services) -> None:
    user = (await register(services)).user
    admin, other = await acting(services, "admin"), await acting(services, "admin")
    await services.users.set_role(None, other.id, "moderator", HERE)
    with pytest.raises(TokenExpired):
        await services.users.set_role(other, user.id, "moderator", HERE)
    await services.users.set_disabled(admin, other.id, True, HERE)
    with pytest.raises(TokenRevoked):
        await services.users.edit(other, user.id, UserEdit(name="x"), HERE)
    await services.users.delete(admin, other.id, HERE)
    with pytest.raises(TokenRevoked):
        await services.users.delete(other, user.id, HERE)
    assert (await services.users.get(user.id)) == user


async def test_what_cannot_be_given(services: Services) -> None:
    user = (await register(services)).user
    users = services.users
    for work, field, code in (
        (users.set_role(None, user.id, "king", HERE), "role", "unknown_role"),
        (
            users.set_role(None, user.id, "user", HERE, additional=["king"]),
            "additionalRoles",
            "unknown_role",
        ),
        (
            users.set_role(None, user.id, "user", HERE, additional=["admin"]),
            "additionalRoles",
            "admin_is_the_role",
        ),
        (users.set_permissions(None, user.id, ["all"], HERE), "permissions", "invalid_permission"),
    ):
        with pytest.raises(ValidationError) as caught:
            await work
        [detail] = caught.value.details
        assert (detail.field, detail.code) == (field, code)
    assert await users.get(user.id) == user
