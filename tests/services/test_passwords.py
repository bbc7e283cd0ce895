"""Changing and resetting passwords."""

from typing import Any

import pytest

from authward.errors import (
    InvalidCredentials,
    InvalidRefreshToken,
    NotFound,
    TokenRevoked,
    ValidationError,
)
from authward.services import Services

from .conftest import HERE, PASSWORD, principal_of, register, told

NEW = "yet another horse"


async def login(services: Services, password: str) -> Any:
    return await services.accounts.login("ada@example.com", password, HERE, presented=None)


async def test_a_change_keeps_its_own_session_and_ends_the_others(services: Services) -> None:
    mine, other = await register(services), await login(services, PASSWORD)
    me = principal_of(services, mine)
    await services.passwords.change(me, PASSWORD, NEW, HERE)
    assert principal_of(services, mine).id == me.id
    await services.sessions.refresh(mine.refresh_token, HERE)
    with pytest.raises(TokenRevoked):
        principal_of(services, other)
    with pytest.raises(InvalidRefreshToken):
        await services.sessions.refresh(other.refresh_token, HERE)
    with pytest.raises(InvalidCredentials):
        await login(services, PASSWORD)
    await login(services, NEW)
    rows = await told(services, "password.changed")
    assert [(row["actor"], row["subject"]) for row in rows] == [(me.id, me.id)]


async def test_it_needs_the_present_one(
    services: Services, monkeypatch: pytest.MonkeyPatch
) -> None:
    me = principal_of(services, await register(services))
    waited: list[float] = []

    async def released(began: float) -> None:
        waited.append(began)

    monkeypatch.setattr(services.passwords._hasher, "release_failure", released)
    with pytest.raises(InvalidCredentials) as caught:
        await services.passwords.change(me, "wrong horse battery", NEW, HERE)
    assert caught.value.audited
    assert len(waited) == 1
    await login(services, PASSWORD)
    rows = await told(services, "password.change_refused")
    assert [(row["subject"], row["reason"]) for row in rows] == [(me.id, "wrong password")]


@pytest.mark.parametrize("how", ["deleted", "disabled"])
async def test_it_needs_an_account_in_good_standing(services: Services, how: str) -> None:
    me = principal_of(services, await register(services))
    if how == "deleted":
        await services.users.delete(None, me.id, HERE)
    else:
        await services.users.set_disabled(None, me.id, True, HERE)
    with pytest.raises(InvalidCredentials):
        await services.passwords.change(me, PASSWORD, NEW, HERE)


@pytest.mark.parametrize("change", ["change", "reset"])
async def test_a_password_that_may_not_be_set(services: Services, change: str) -> None:
    me = principal_of(services, await register(services))
    setting = {
        "change": services.passwords.change(me, PASSWORD, "short", HERE),
        "reset": services.passwords.reset(me.id, "short", HERE),
    }
    chosen = setting.pop(change)
    for other in setting.values():
        other.close()
    with pytest.raises(ValidationError) as caught:
        await chosen
    field = "newPassword" if change == "change" else "password"
    assert [(one.field, one.code) for one in caught.value.details] == [(field, "too_short")]


@pytest.mark.parametrize("how", ["reset", "deleted"])
async def test_what_happens_while_it_hashes_has_the_last_word(
    services: Services, monkeypatch: pytest.MonkeyPatch, how: str
) -> None:
    me = principal_of(services, await register(services))
    make = services.passwords._hasher.hash
    overtaken: list[bool] = []

    async def slow(password: str) -> str:
        hashed = await make(password)
        if not overtaken:
            overtaken.append(True)
            if how == "reset":
                await services.passwords.reset(me.id, "set by the owner", HERE)
            else:
                await services.users.delete(None, me.id, HERE)
        return hashed

    monkeypatch.setattr(services.passwords._hasher, "hash", slow)
    with pytest.raises(InvalidCredentials if how == "reset" else NotFound):
        await services.passwords.change(me, PASSWORD, "set by the thief", HERE)
    assert await told(services, "password.changed") == []
    if how == "reset":
        await login(services, "set by the owner")


async def test_a_reset_ends_every_session(services: Services) -> None:
    mine = await register(services)
    await services.passwords.reset(mine.user.id, NEW, HERE, actor="operator")
    with pytest.raises(TokenRevoked):
        principal_of(services, mine)
    with pytest.raises(InvalidCredentials):
        await login(services, PASSWORD)
    await login(services, NEW)
    rows = await told(services, "password.reset")
    assert [(row["actor"], row["subject"]) for row in rows] == [("operator", mine.user.id)]


async def test_a_reset_of_nobody(services: Services) -> None:
    with pytest.raises(NotFound):
        await services.passwords.reset("no-such-user", NEW, HERE)
