"""Registering and logging in: one answer for every failure, and hashes that grow up."""

import asyncio
import logging
from typing import Any

import bcrypt
import pytest

from authward.core.audit import Event
from authward.core.passwords import Verdict
from authward.core.users import User
from authward.errors import (
    InvalidCredentials,
    InvalidRefreshToken,
    NotFound,
    Overloaded,
    Refusal,
    TokenRevoked,
    Unavailable,
    UserExists,
    ValidationError,
)
from authward.ports import NewUser
from authward.services import Services

from .conftest import HERE, PASSWORD, principal_of, register, told

OLD = bcrypt.hashpw(PASSWORD.encode(), bcrypt.gensalt(4)).decode()


async def login(services: Services, password: str = PASSWORD, **values: Any) -> Any:
    given: dict[str, Any] = {"email": "ada@example.com", "client": HERE, "presented": None}
    given |= values
    return await services.accounts.login(password=password, **given)


async def moved_over(services: Services, hashed: str = OLD) -> User:
    """An account that came with a bcrypt hash."""
    new = NewUser("old-user-1", "ada@example.com", "ada@example.com", "Ada", "user", hashed)
    user = await services.store.users.add(new, Event("user.imported", HERE))
    assert user is not None
    return user


async def hash_of(services: Services) -> str:
    user = await services.store.users.by_email("ada@example.com")
    assert user is not None
    return user.password_hash


# --- registering ----------------------------------------------------------------------------


async def test_a_new_account_is_signed_in(services: Services) -> None:
    signed_in = await register(services, "Ada@Example.com")
    user = signed_in.user
    assert (user.email, user.email_canonical) == ("Ada@Example.com", "ada@example.com")
    assert (user.name, user.role, user.permissions, user.email_verified) == (
        "Ada",
        "user",
        (),
        False,
    )
    assert user.password_hash.startswith("$argon2id$")
    assert principal_of(services, signed_in).id == user.id
    assert [row["actor"] for row in await told(services, "user.registered")] == [user.id]
    rows = await told(services, "login.succeeded")
    assert [(row["subject"], row["session"]) for row in rows] == [(user.id, signed_in.session.id)]


async def test_of_one_address_there_is_one_account(services: Services) -> None:
    await register(services)
    for email in ("ada@example.com", "ADA@EXAMPLE.COM"):
        with pytest.raises(UserExists):
            await register(services, email)
    rows = await told(services, "user.registration_refused")
    # Written down each second: both may be in one row, or in one each.
    assert sum(row["count"] for row in rows) == 2
    assert {row["outcome"] for row in rows} == {"refused"}


async def test_of_many_at_once_one_is_made(services: Services) -> None:
    done = await asyncio.gather(*(register(services) for _ in range(10)), return_exceptions=True)
    assert sorted(type(one).__name__ for one in done) == ["SignedIn"] + ["UserExists"] * 9


@pytest.mark.parametrize("email", ["", "ada", "ada@", "@example.com", "a b@example.com", "a" * 300])
async def test_an_address_that_is_none(services: Services, email: str) -> None:
    with pytest.raises(ValidationError) as caught:
        await register(services, email)
    assert [(one.field, one.code) for one in caught.value.details] == [("email", "invalid_email")]


@pytest.mark.parametrize(("length", "code"), [(7, "too_short"), (257, "too_long")])
async def test_a_password_out_of_bounds_is_never_hashed(
    services: Services, monkeypatch: pytest.MonkeyPatch, length: int, code: str
) -> None:
    monkeypatch.setattr(services.accounts, "_hasher", None)
    with pytest.raises(ValidationError) as caught:
        await register(services, password="é" * length)
    assert [(one.field, one.code) for one in caught.value.details] == [("password", code)]


async def test_an_account_taken_away_while_it_was_made(
    services: Services, monkeypatch: pytest.MonkeyPatch
) -> None:
    add = services.store.users.add

    async def add_and_lose(user: NewUser, event: Event) -> User | None:
        added = await add(user, event)
        await services.users.delete(None, user.id, HERE)
        return added

    monkeypatch.setattr(services.store.users, "add", add_and_lose)
    with pytest.raises(InvalidCredentials):
        await register(services)


async def test_an_operator_makes_accounts_too(services: Services) -> None:
    user = await services.accounts.create(
        "root@example.com", PASSWORD, "Root", HERE, role="admin", by_operator=True
    )
    assert user.role == "admin"
    rows = await told(services, "user.created")
    assert [(row["actor"], row["subject"]) for row in rows] == [(None, user.id)]
    assert await told(services, "user.registered") == []


# --- logging in -----------------------------------------------------------------------------


async def test_a_login_opens_a_new_session_and_ends_the_one_presented(services: Services) -> None:
    first = await register(services)
    second = await login(services, presented=first.session.id)
    assert second.session.id != first.session.id
    assert second.session.generation == 0
    with pytest.raises(TokenRevoked):
        principal_of(services, first)
    with pytest.raises(InvalidRefreshToken):
        await services.sessions.refresh(first.refresh_token, HERE)
    rows = await told(services, "login.succeeded")
    assert [row.get("replaced") for row in rows] == [None, first.session.id]


async def test_a_presented_session_that_is_none_of_ours_changes_nothing(
    services: Services,
) -> None:
    await register(services)
    principal_of(services, await login(services, presented="no-such-session"))


@pytest.mark.parametrize("case", ["unknown", "no address", "wrong", "disabled", "reset meanwhile"])
async def test_every_failure_is_one_answer_at_one_time(
    services: Services, monkeypatch: pytest.MonkeyPatch, case: str
) -> None:
    user = (await register(services)).user
    password = "another horse battery" if case == "wrong" else PASSWORD
    email = {"unknown": "eve@example.com", "no address": "eve"}.get(case, "ada@example.com")
    if case == "disabled":
        await services.users.set_disabled(None, user.id, True, HERE)
    hasher = services.accounts._hasher
    events: list[str] = []
    verify = hasher.verify

    async def counted(hashed: str | None, password: str) -> Verdict:
        events.append("verified")
        verdict = await verify(hashed, password)
        if case == "reset meanwhile":
            await services.passwords.reset(user.id, "yet another horse", HERE)
        return verdict

    async def released(began: float) -> None:
        events.append("waited")

    monkeypatch.setattr(hasher, "verify", counted)
    monkeypatch.setattr(hasher, "release_failure", released)
    with pytest.raises(InvalidCredentials) as caught:
        await login(services, password, email=email)
    assert events == ["verified", "waited"]
    assert caught.value.message == "Invalid email or password"
    assert caught.value.audited
    rows = await told(services, "login.failed")
    why = {
        "unknown": "unknown account",
        "no address": "unknown account",
        "wrong": "wrong password",
        "disabled": "account disabled",
        "reset meanwhile": "account changed meanwhile",
    }
    known = None if case in ("unknown", "no address") else user.id
    assert [(row["subject"], row["reason"], row["count"]) for row in rows] == [
        (known, why[case], 1)
    ]
    assert len(await told(services, "login.succeeded")) == 1


# --- hashes of old ---------------------------------------------------------------------------


async def test_an_old_hash_is_replaced_at_login(services: Services) -> None:
    user = await moved_over(services)
    signed_in = await login(services)
    upgraded = await hash_of(services)
    assert upgraded.startswith("$argon2id$")
    await login(services)
    assert await hash_of(services) == upgraded
    # Nobody is signed out by it.
    assert principal_of(services, signed_in).version == user.ver


async def test_a_wrong_password_upgrades_nothing(services: Services) -> None:
    await moved_over(services)
    with pytest.raises(InvalidCredentials):
        await login(services, "wrong horse battery")
    assert await hash_of(services) == OLD


async def test_a_hundred_logins_at_once_upgrade_once(
    services: Services, monkeypatch: pytest.MonkeyPatch
) -> None:
    await moved_over(services)
    hasher: Any = services.accounts._hasher
    monkeypatch.setattr(hasher, "_most", 1000)
    hashed: list[str] = []
    make = hasher.hash

    async def counted(password: str) -> str:
        hashed.append(password)
        return str(await make(password))

    monkeypatch.setattr(hasher, "hash", counted)
    done = await asyncio.gather(*(login(services) for _ in range(100)))
    assert len({one.session.id for one in done}) == 100
    assert 1 <= len(hashed) < 20
    final = await hash_of(services)
    assert final.startswith("$argon2id$")
    assert await login(services)


@pytest.mark.parametrize("busy", [Overloaded("queue full"), Unavailable("database gone")])
async def test_a_login_stands_though_its_hash_stays_old(
    services: Services,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    busy: Refusal,
) -> None:
    await moved_over(services)

    async def refused(*_: object) -> Any:
        raise busy

    with monkeypatch.context() as patch, caplog.at_level(logging.WARNING):
        if isinstance(busy, Overloaded):
            patch.setattr(services.accounts._hasher, "hash", refused)
        else:
            patch.setattr(services.store.users, "upgrade_hash", refused)
        principal_of(services, await login(services))
    assert busy.reason in caplog.text
    assert await hash_of(services) == OLD
    await login(services)
    assert await hash_of(services) != OLD


async def test_an_upgrade_never_undoes_a_reset(
    services: Services, monkeypatch: pytest.MonkeyPatch
) -> None:
    user = await moved_over(services)
    make = services.accounts._hasher.hash

    async def overtaken(password: str) -> str:
        hashed = await make(password)
        if password == PASSWORD:
            await services.passwords.reset(user.id, "yet another horse", HERE)
        return hashed

    monkeypatch.setattr(services.accounts._hasher, "hash", overtaken)
    first = await login(services)
    with pytest.raises(TokenRevoked):
        principal_of(services, first)
    with pytest.raises(InvalidCredentials):
        await login(services)
    await login(services, "yet another horse")


# --- one's own account -----------------------------------------------------------------------


async def test_a_profile_and_a_name(services: Services) -> None:
    signed_in = await register(services)
    me = principal_of(services, signed_in)
    assert await services.accounts.profile(me.id) == signed_in.user
    renamed = await services.accounts.rename(me, "Ada Lovelace", HERE)
    assert renamed.name == "Ada Lovelace"
    assert renamed.ver == signed_in.user.ver
    assert [row["actor"] for row in await told(services, "user.renamed")] == [me.id]


async def test_an_account_that_is_gone(services: Services) -> None:
    me = principal_of(services, await register(services))
    await services.users.delete(None, me.id, HERE)
    with pytest.raises(NotFound):
        await services.accounts.profile(me.id)
    with pytest.raises(NotFound):
        await services.accounts.rename(me, "Ada", HERE)
