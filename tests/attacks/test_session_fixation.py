"""A session planted before the sign-in, to be shared after it: CWE-384, ASVS 7.2.4."""

import pytest

from tests.here import Here
from tests.serving import PASSWORD, Account, account_of, error_of, refresh_cookie

HOW = ["login", "register"]


async def sign_in_with(here: Here, how: str, cookie: str, email: str) -> Account:
    body = {"email": email, "password": PASSWORD, "name": "Ada"}
    headers = {"cookie": f"refreshToken={cookie}; x-csrf-token=planted".encode()}
    answer = await here.send("POST", f"/api/auth/{how}", json=body, headers=headers)
    return account_of(answer, email)


async def victim(here: Here, how: str) -> str:
    if how == "login":
        return (await here.register("victim@example.com")).email
    return "victim@example.com"


@pytest.mark.parametrize("how", HOW)
async def test_a_planted_session_of_the_thief_is_not_adopted(here: Here, how: str) -> None:
    email = await victim(here, how)
    thief = await here.register("thief@example.com")
    signed_in = await sign_in_with(here, how, thief.cookie, email)
    assert signed_in.cookie != thief.cookie
    mine = (await here.profile(signed_in)).json()["data"]
    assert mine["email"] == email
    # What the thief still holds leads nowhere: neither to the victim nor anywhere else.
    assert error_of(await here.refresh(thief)) == (401, "invalid_refresh_token")
    assert error_of(await here.profile(thief)) == (401, "token_revoked")
    assert error_of(await here.refresh(signed_in)) == (200, "")


@pytest.mark.parametrize("how", HOW)
async def test_a_made_up_cookie_changes_nothing(here: Here, how: str) -> None:
    for number, planted in enumerate(["", "x", "a.b.c", "..", "a" * 5000, "ü", '"quoted"']):
        email = f"victim{number}@example.com"
        if how == "login":
            await here.register(email)
        signed_in = await sign_in_with(here, how, planted, email)
        assert signed_in.cookie != planted
        assert (await here.profile(signed_in)).status_code == 200


async def test_each_sign_in_is_a_session_of_its_own(here: Here) -> None:
    first = await here.register("ada@example.com")
    second = await here.login("ada@example.com")
    third = await sign_in_with(here, "login", second.cookie, "ada@example.com")
    assert len({first.cookie, second.cookie, third.cookie}) == 3
    # The one presented ended, the one of another device did not.
    assert error_of(await here.profile(second)) == (401, "token_revoked")
    assert (await here.profile(first)).status_code == 200
    listed = await here.send("GET", "/api/auth/sessions", headers=third.bearer)
    assert len(listed.json()["data"]["sessions"]) == 2
    assert {
        event.detail.get("replaced") is not None
        for event in await here.told()
        if event.kind == "login.succeeded"
    } == {True, False}


async def test_a_failed_sign_in_ends_nothing(here: Here) -> None:
    """Else anybody who can plant a request signs others out."""
    account = await here.register("ada@example.com")
    body = {"email": "ada@example.com", "password": "wrong horse battery"}
    headers = {"cookie": f"refreshToken={account.cookie}"}
    answer = await here.send("POST", "/api/auth/login", json=body, headers=headers)
    assert error_of(answer) == (401, "invalid_credentials")
    assert "set-cookie" not in answer.headers
    refreshed = await here.refresh(account)
    assert refresh_cookie(refreshed) == account.cookie
