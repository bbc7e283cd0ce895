"""Administration: pages, who may edit whom, and what an edit does to tokens."""

import dataclasses
from base64 import urlsafe_b64encode
from typing import Any

import pytest

from authward.core.audit import Event
from authward.core.principal import Principal
from authward.core.users import UserChange
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


def acting(services: Services, role: str, *direct: str) -> Principal:
    return Principal("actor-0001", "", role, services.feed.permissions(role, direct), "session-1")


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
        encoded(b"-1.user-0001"),
        encoded(b"1.short"),
        encoded(b"1.user-0001'; --"),
        encoded(b"9" * 16 + b".user-0001"),
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
    actor = acting(services, "admin")
    for work in (
        services.users.get(user_id),
        services.users.edit(actor, user_id, UserEdit(name="x"), HERE),
        services.users.set_disabled(None, user_id, True, HERE),
        services.users.set_role(None, user_id, "user", HERE),
        services.users.delete(None, user_id, HERE),
    ):
        with pytest.raises(NotFound):
            await work


async def test_a_name_leaves_tokens_alone(services: Services) -> None:
    signed_in = await register(services)
    edited = await services.users.edit(
        acting(services, "admin"), signed_in.user.id, UserEdit(name="Countess"), HERE
    )
    assert edited.name == "Countess"
    principal_of(services, signed_in)
    rows = await told(services, "user.edited")
    assert [(row["actor"], row["subject"], row["fields"]) for row in rows] == [
        ("actor-0001", signed_in.user.id, "name")
    ]
    assert "disabled" not in rows[0]


async def test_an_empty_edit_changes_nothing(services: Services) -> None:
    signed_in = await register(services)
    edited = await services.users.edit(
        acting(services, "admin"), signed_in.user.id, UserEdit(), HERE
    )
    assert edited == signed_in.user
    assert "fields" not in (await told(services, "user.edited"))[0]


async def test_disabling_ends_sessions_and_enabling_does_not_bring_them_back(
    services: Services,
) -> None:
    signed_in = await register(services)
    admin = acting(services, "admin")
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
    admin = acting(services, "admin")
    await services.store.users.change(
        signed_in.user.id, lambda user: UserChange({"email_verified": True}), Event("test", HERE)
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
    admin = acting(services, "admin")
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
        acting(services, "moderator"), user.id, UserEdit(name="Edited"), HERE
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
    moderator = acting(services, "moderator")
    admin = dataclasses.replace(acting(services, "admin"), id="actor-0002")
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
            acting(services, "moderator"), user.id, UserEdit(email="x@example.com"), HERE
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
    await services.users.set_role("root", signed_in.user.id, "user", HERE)
    principal_of(services, signed_in)
    changed = await services.users.set_role("root", signed_in.user.id, "admin", HERE)
    assert changed.role == "admin"
    with pytest.raises(TokenExpired):
        principal_of(services, signed_in)
    refreshed = await services.sessions.refresh(signed_in.refresh_token, HERE)
    assert "list:users" in principal_of(services, refreshed).permissions
    rows = await told(services, "user.role_set")
    assert [(row["actor"], row["role"]) for row in rows] == [("root", "user"), ("root", "admin")]


async def test_a_role_that_is_none(services: Services) -> None:
    user = (await register(services)).user
    with pytest.raises(ValidationError) as caught:
        await services.users.set_role(None, user.id, "king", HERE)
    [detail] = caught.value.details
    assert (detail.code, detail.message) == ("unknown_role", "Use one of: admin, moderator, user")


async def test_the_last_admin_stays(services: Services) -> None:
    user = (await register(services)).user
    await services.users.set_role(None, user.id, "admin", HERE)
    for work in (
        services.users.set_role(None, user.id, "user", HERE),
        services.users.set_disabled(None, user.id, True, HERE),
        services.users.delete(None, user.id, HERE),
        services.users.edit(acting(services, "admin"), user.id, UserEdit(disabled=True), HERE),
    ):
        with pytest.raises(LastAdmin):
            await work
    assert (await services.users.get(user.id)).disabled_at is None


async def test_deleting_is_told_and_ends_everything(services: Services) -> None:
    signed_in = await register(services)
    await services.users.delete("root", signed_in.user.id, HERE)
    with pytest.raises(TokenRevoked):
        principal_of(services, signed_in)
    rows = await told(services, "user.deleted")
    assert [(row["actor"], row["subject"]) for row in rows] == [("root", signed_in.user.id)]
    # The address is free again, and old tokens are not the new account's.
    again = await register(services)
    assert again.user.id != signed_in.user.id
