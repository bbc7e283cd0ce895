"""A token that was right when it was signed, of somebody who is disabled or gone by now.

CVE-2024-22513 (simplejwt: tokens of disabled users stay good until they expire), ASVS 7.4.2.
How soon the other processes know is measured in faults/test_revocation_latency.py.
"""

import pytest

from authward.core.keys import Algorithm
from tests.here import OPERATOR, Here, Serve
from tests.planting import ALGORITHMS, new_key, plant
from tests.serving import PASSWORD, Account, error_of

GONE = (401, "token_revoked")
BAD_COOKIE = (401, "invalid_refresh_token")


async def asks(here: Here, account: Account) -> list[tuple[int, str]]:
    """What the account's access token and its cookie get here."""
    return [error_of(await here.profile(account)), error_of(await here.refresh(account))]


@pytest.mark.parametrize("algorithm", ALGORITHMS)
async def test_it_opens_nothing_on_any_process(
    serve_on: Serve, sqlite_database: str, algorithm: Algorithm
) -> None:
    await plant(sqlite_database, new_key(algorithm))
    one, other = await serve_on(sqlite_database), await serve_on(sqlite_database)
    account = await one.register()
    # Both have verified the token, and remember it.
    assert (await one.profile(account)).status_code == 200
    assert (await other.profile(account)).status_code == 200
    await one.services.users.set_disabled(None, account.id, True, OPERATOR)
    await other.services.feed.poll()
    for here in (one, other):
        assert await asks(here, account) == [GONE, BAD_COOKIE]
        assert (await here.try_login(account.email)).status_code == 401


async def test_nor_does_it_come_back_to_life_with_the_account(here_on_each: Here) -> None:
    here = here_on_each
    account = await here.register()
    for disabled in (True, False):
        await here.services.users.set_disabled(None, account.id, disabled, OPERATOR)
    assert await asks(here, account) == [GONE, BAD_COOKIE]
    again = await here.login(account.email)
    assert (await here.profile(again)).status_code == 200


async def test_nor_does_that_of_an_account_that_is_gone(here_on_each: Here) -> None:
    here = here_on_each
    account, admin = await here.register(), await here.register(role="admin")
    answer = await here.send("DELETE", f"/api/users/{account.id}", headers=admin.bearer)
    assert answer.status_code == 200
    assert await asks(here, account) == [GONE, BAD_COOKIE]
    # The address is free again; its new owner's account is another.
    body = {"email": account.email, "password": PASSWORD, "name": "Eve"}
    answer = await here.send("POST", "/api/auth/register", json=body)
    assert answer.status_code == 201
    assert await asks(here, account) == [GONE, BAD_COOKIE]
