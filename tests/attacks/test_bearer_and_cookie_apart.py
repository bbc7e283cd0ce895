"""Bearer routes never read the cookie; on cookie routes somebody else's bearer is refused, and junk
exempts nothing (OWASP ASVS 7.2, csurf's cookie tossing).
"""

import pytest

from tests.here import Here
from tests.serving import REFRESH, refresh_headers


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/api/profile"),
        ("GET", "/api/auth/sessions"),
        ("POST", "/api/auth/logout-all"),
        ("GET", "/api/users"),
    ],
)
async def test_the_cookie_opens_no_bearer_route(here: Here, method: str, path: str) -> None:
    account = await here.register(role="admin")
    answer = await here.send(method, path, headers=refresh_headers(account))
    assert (answer.status_code, answer.json()["error"]) == (401, "missing_token")
    # Nor does the refresh token itself, as a bearer.
    answer = await here.send(method, path, headers={"authorization": f"Bearer {account.cookie}"})
    assert (answer.status_code, answer.json()["error"]) == (401, "invalid_token")


@pytest.mark.parametrize("path", [REFRESH, "/api/auth/logout"])
@pytest.mark.parametrize("expired", [False, True])
async def test_two_tabs_of_two_users(here_on_each: Here, path: str, expired: bool) -> None:
    """The tab of one user must not act with the cookie another tab's user left behind."""
    here = here_on_each
    one, other = await here.register(), await here.register()
    if expired:
        here.clock.turn(1000)
    headers = {**refresh_headers(one), **other.bearer}
    answer = await here.send("POST", path, headers=headers)
    assert (answer.status_code, answer.json()["error"]) == (401, "invalid_token")
    assert "set-cookie" not in answer.headers
    # Nobody's session was touched, and the right bearer goes through.
    answer = await here.send("POST", path, headers={**refresh_headers(one), **one.bearer})
    assert answer.status_code == 200, answer.text
    assert (await here.refresh(other)).status_code == 200


@pytest.mark.parametrize("junk", ["junk", "e30.e30.e30", "a.b.c", "x" * 20_000])
async def test_a_junk_bearer_beside_the_cookie_exempts_nothing(here: Here, junk: str) -> None:
    account = await here.register()
    headers = {"cookie": f"refreshToken={account.cookie}", "authorization": f"Bearer {junk}"}
    answer = await here.send("POST", REFRESH, headers=headers)
    assert (answer.status_code, answer.json()["error"]) == (403, "csrf_failed")
    answer = await here.send("POST", "/api/auth/logout", headers=headers)
    assert (answer.status_code, answer.json()["error"]) == (403, "csrf_failed")
    assert (await here.profile(account)).status_code == 200
