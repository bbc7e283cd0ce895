"""A session planted before sign-in is never adopted (OWASP ASVS 7.2.4, CWE-384)."""

from tests.here import Here
from tests.serving import PASSWORD, account_of


async def test_sign_in_makes_a_new_session_and_ends_the_presented_one(here: Here) -> None:
    first = await here.register()
    cookie = {"cookie": f"refreshToken={first.cookie}"}
    body = {"email": first.email, "password": PASSWORD}
    answer = await here.send("POST", "/api/auth/login", json=body, headers=cookie)
    second = account_of(answer, first.email)
    assert second.cookie != first.cookie
    assert second.csrf != first.csrf
    assert (await here.profile(second)).status_code == 200
    assert (await here.profile(first)).json()["error"] == "token_revoked"
    assert (await here.refresh(first)).status_code == 401
    assert (await here.refresh(second)).status_code == 200


async def test_a_planted_session_of_the_attacker_is_not_adopted(here: Here) -> None:
    attacker = await here.register()
    victim = await here.register()
    body = {"email": victim.email, "password": PASSWORD}
    planted = {"cookie": f"refreshToken={attacker.cookie}"}
    answer = await here.send("POST", "/api/auth/login", json=body, headers=planted)
    signed_in = account_of(answer, victim.email)
    assert signed_in.id == victim.id
    profile = (await here.profile(signed_in)).json()["data"]
    assert profile["email"] == victim.email
    assert (await here.refresh(attacker)).status_code == 401
    assert (await here.profile(attacker)).status_code == 401


async def test_a_failed_sign_in_ends_nothing(here: Here) -> None:
    account = await here.register()
    body = {"email": account.email, "password": "not the password"}
    cookie = {"cookie": f"refreshToken={account.cookie}"}
    answer = await here.send("POST", "/api/auth/login", json=body, headers=cookie)
    assert answer.status_code == 401
    assert "set-cookie" not in answer.headers
    assert (await here.profile(account)).status_code == 200


async def test_a_made_up_cookie_is_as_good_as_none(here: Here) -> None:
    account = await here.register()
    body = {"email": account.email, "password": PASSWORD}
    cookie = {"cookie": "refreshToken=eyJhbGciOiJub25lIn0.e30."}
    answer = await here.send("POST", "/api/auth/login", json=body, headers=cookie)
    assert answer.status_code == 200
    assert (await here.profile(account)).status_code == 200
