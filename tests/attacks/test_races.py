"""Two things at once: the later decision has the last word (OWASP ASVS 2.3, 7.4). On SQLite and on
PostgreSQL.
"""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable

import bcrypt
import httpx2
import pytest

from authward.core.passwords import Verdict
from tests.here import OPERATOR, Here
from tests.serving import PASSWORD, Account, refresh_cookie

NEW_PASSWORD = "another long password"
Ending = Callable[[Here, Account], Awaitable[None]]


class Gate:
    """Holds back every password check, once it is done, until it is opened."""

    def __init__(self, here: Here, patch: pytest.MonkeyPatch) -> None:
        hasher = here.services.accounts._hasher
        self._verify = hasher.verify
        self.reached = asyncio.Event()
        self.open = asyncio.Event()
        patch.setattr(hasher, "verify", self._held)

    async def _held(self, hashed: str | None, password: str) -> Verdict:
        verdict: Verdict = await self._verify(hashed, password)
        self.reached.set()
        await self.open.wait()
        return verdict


async def reset(here: Here, account: Account) -> None:
    await here.services.passwords.reset(account.id, NEW_PASSWORD, OPERATOR)


async def disable(here: Here, account: Account) -> None:
    await here.services.users.set_disabled(None, account.id, True, OPERATOR)


async def delete(here: Here, account: Account) -> None:
    await here.services.users.delete(None, account.id, OPERATOR)


async def sign_out_everywhere(here: Here, account: Account) -> None:
    await here.send("POST", "/api/auth/logout-all", headers=account.bearer)


async def change_password(here: Here, account: Account) -> None:
    await here.send(
        "POST",
        "/api/auth/change-password",
        json={"currentPassword": PASSWORD, "newPassword": NEW_PASSWORD},
        headers=account.bearer,
    )


@pytest.mark.parametrize("ending", [reset, disable, delete, sign_out_everywhere])
async def test_a_sign_in_begun_before_is_worth_nothing_after(
    here_on_each: Here, monkeypatch: pytest.MonkeyPatch, ending: Ending
) -> None:
    here = here_on_each
    account = await here.register()
    gate = Gate(here, monkeypatch)
    login = asyncio.create_task(here.try_login(account.email))
    await gate.reached.wait()
    await ending(here, account)
    gate.open.set()
    answer = await login
    assert (answer.status_code, answer.json()["error"]) == (401, "invalid_credentials")
    assert "set-cookie" not in answer.headers
    if ending is reset:
        assert (await here.try_login(account.email)).status_code == 401
        assert (await here.try_login(account.email, NEW_PASSWORD)).status_code == 200


async def test_a_reset_outlasts_a_change_of_password_begun_before(
    here_on_each: Here, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A thief who knows the old password must not undo the owner's reset."""
    here = here_on_each
    account = await here.register()
    gate = Gate(here, monkeypatch)
    body = {"currentPassword": PASSWORD, "newPassword": "the thief's password"}
    change = asyncio.create_task(
        here.send("POST", "/api/auth/change-password", json=body, headers=account.bearer)
    )
    await gate.reached.wait()
    await reset(here, account)
    gate.open.set()
    assert (await change).status_code == 401
    assert (await here.try_login(account.email, "the thief's password")).status_code == 401
    assert (await here.try_login(account.email, NEW_PASSWORD)).status_code == 200


async def test_a_hundred_sign_ins_upgrade_one_old_hash(here_on_each: Here) -> None:
    here = here_on_each
    account = await here.register()
    old = bcrypt.hashpw(PASSWORD.encode(), bcrypt.gensalt(4)).decode()
    store = here.services.store.users
    user = await store.by_id(account.id)
    assert await store.upgrade_hash(account.id, user.password_hash, old)

    answers = await asyncio.gather(*(here.try_login(account.email) for _ in range(100)))
    codes = Counter(answer.status_code for answer in answers)
    # The queue for hashing is bounded: who finds no place is told to come again.
    assert set(codes) <= {200, 503}
    assert codes[200] >= 50
    assert (await store.by_id(account.id)).password_hash.startswith("$argon2id$")
    assert (await here.try_login(account.email)).status_code == 200
    assert (await here.profile(account)).status_code == 200, "an upgrade ends no session"


async def test_an_upgrade_does_not_bring_back_a_replaced_password(
    here_on_each: Here, monkeypatch: pytest.MonkeyPatch
) -> None:
    here = here_on_each
    account = await here.register()
    old = bcrypt.hashpw(PASSWORD.encode(), bcrypt.gensalt(4)).decode()
    store = here.services.store.users
    user = await store.by_id(account.id)
    await store.upgrade_hash(account.id, user.password_hash, old)
    gate = Gate(here, monkeypatch)
    login = asyncio.create_task(here.try_login(account.email))
    await gate.reached.wait()
    await reset(here, account)
    gate.open.set()
    assert (await login).status_code == 401
    assert (await here.try_login(account.email)).status_code == 401


@pytest.mark.parametrize("ending", [reset, disable, sign_out_everywhere, change_password])
@pytest.mark.parametrize("first", ["refreshes", "ending"])
async def test_refreshes_against_an_ending(here_on_each: Here, ending: Ending, first: str) -> None:
    """Whatever the order of arrival: after the ending no refresh works, and no token either."""
    here = here_on_each
    account = await here.register()
    other = await here.login(account.email)
    here.clock.turn(11)
    refreshes = [here.refresh(other) for _ in range(8)]
    tasks = (
        [ending(here, account), *refreshes]
        if first == "ending"
        else [*refreshes, ending(here, account)]
    )
    answers = [answer for answer in await asyncio.gather(*tasks) if answer is not None]
    assert {answer.status_code for answer in answers} <= {200, 401}
    cookies = {refresh_cookie(answer) for answer in answers if answer.status_code == 200}
    for cookie in {other.cookie, *cookies}:
        assert (await here.refresh(other, cookie)).status_code == 401
    for answer in answers:
        if answer.status_code == 200:
            bearer = {"authorization": f"Bearer {answer.json()['data']['accessToken']}"}
            assert (await here.send("GET", "/api/profile", headers=bearer)).status_code == 401


async def test_refreshes_against_signing_out(here_on_each: Here) -> None:
    here = here_on_each
    for _ in range(5):
        account = await here.register()
        here.clock.turn(11)
        headers = {"cookie": f"refreshToken={account.cookie}", "x-csrf-token": account.csrf}
        logout = here.send("POST", "/api/auth/logout", headers=headers)
        answers = await asyncio.gather(here.refresh(account), logout, here.refresh(account))
        assert answers[1].status_code == 200
        for answer in (answers[0], answers[2]):
            cookie = refresh_cookie(answer) if answer.status_code == 200 else account.cookie
            assert (await here.refresh(account, cookie)).status_code == 401
        assert (await here.profile(account)).status_code == 401


@pytest.mark.parametrize("how", ["demote", "disable", "delete"])
async def test_two_admins_remove_each_other(here_on_each: Here, how: str) -> None:
    here = here_on_each
    one, two = await here.register(role="admin"), await here.register(role="admin")
    for _ in range(4):
        answers = await asyncio.gather(remove(here, how, one, two), remove(here, how, two, one))
        codes = sorted(answer.status_code for answer in answers)
        # One is removed; the other is the last, or was no admin any more when they tried.
        assert codes[0] == 200
        assert codes[1] in (401, 403, 404, 409)
        page = await here.services.users.page(limit=10, cursor=None, search=None, role="admin")
        enabled = [user for user in page.users if user.disabled_at is None]
        assert len(enabled) == 1
        left = one if enabled[0].id == one.id else two
        last = await remove(here, how, await here.login(left.email), left)
        assert (last.status_code, last.json()["error"]) == (409, "last_admin")
        one, two = await here.login(left.email), await here.register(role="admin")


async def remove(here: Here, how: str, actor: Account, target: Account) -> httpx2.Response:
    path = f"/api/users/{target.id}"
    if how == "demote":
        return await here.send("PUT", f"{path}/role", json={"role": "user"}, headers=actor.bearer)
    if how == "disable":
        return await here.send("PUT", path, json={"disabled": True}, headers=actor.bearer)
    return await here.send("DELETE", path, headers=actor.bearer)
