"""A secret in a URL is in histories, logs and Referer headers; a cached answer is on a shared disk.

CWE-598, CWE-525, RFC 6750 sections 2.3 and 5.3, RFC 9700 section 4.3, ASVS 14.2.1, 14.3.1, 14.3.2.
"""

import re

import pytest

from authward.core.cookies import CookieNames
from authward.http.endpoint import Endpoint
from authward.http.openapi import document
from authward.http.routes import ENDPOINTS
from tests.here import Here
from tests.serving import PASSWORD, REFRESH, Account, refresh_headers

DOCUMENT = document(cookies=CookieNames.of(production=False))
each_route = pytest.mark.parametrize("one", ENDPOINTS, ids=lambda one: f"{one.method} {one.path}")


@each_route
def test_no_route_takes_a_secret_in_its_url(one: Endpoint) -> None:
    stated = DOCUMENT["paths"][one.path][one.method.lower()].get("parameters", [])
    in_url = {found["name"] for found in stated if found["in"] in ("path", "query")}
    of_pages = {"limit", "cursor", "search", "role", "user", "kind", "ip", "since", "until"}
    assert in_url <= {"id", "kid", "name"} | of_pages


@pytest.mark.parametrize("name", ["access_token", "accessToken", "token", "authorization", "jwt"])
async def test_an_access_token_in_a_url_lets_nobody_in(here: Here, name: str) -> None:
    token = (await here.register()).access
    answer = await here.send("GET", f"/api/profile?{name}={token}")
    assert (answer.status_code, answer.json()["error"]) == (401, "missing_token")
    # Nor does the answer repeat what was wrongly put there.
    assert token not in answer.text
    assert not any(token in value for value in answer.headers.values())


async def test_neither_cookie_nor_csrf_token_nor_password_is_read_from_one(here: Here) -> None:
    account = await here.register()
    query = f"?refreshToken={account.cookie}&csrfToken={account.csrf}"
    answer = await here.send("POST", REFRESH + query)
    assert (answer.status_code, answer.json()["error"]) == (401, "missing_refresh_token")
    cookie = {"cookie": f"refreshToken={account.cookie}"}
    for name in ("csrfToken", "X-CSRF-Token", "_csrf"):
        answer = await here.send("POST", f"{REFRESH}?{name}={account.csrf}", headers=cookie)
        assert (answer.status_code, answer.json()["error"]) == (403, "csrf_failed")
    query = f"?email={account.email}&password={PASSWORD.replace(' ', '+')}"
    answer = await here.send("POST", f"/api/auth/login{query}", json={})
    assert answer.status_code == 422
    assert await is_live(here, account)


async def is_live(here: Here, account: Account) -> bool:
    return (await here.profile(account)).status_code == 200


@each_route
@pytest.mark.parametrize("signed_in", [True, False])
async def test_no_cache_keeps_an_answer(here: Here, one: Endpoint, signed_in: bool) -> None:
    admin = await here.register(role="admin")
    headers = {**admin.bearer, **refresh_headers(admin)} if signed_in else {}
    path = re.sub(r"{\w+}", admin.id, one.path)
    answer = await here.send(one.method, path, headers=headers)
    assert answer.headers["cache-control"] == "no-store"
    assert "location" not in answer.headers


@pytest.mark.parametrize("path", ["/api/auth/logout", "/api/auth/logout-all"])
async def test_signing_out_clears_the_cache_and_no_neighbours_cookies(
    here: Here, path: str
) -> None:
    account = await here.register()
    headers = {**account.bearer, **refresh_headers(account)}
    answer = await here.send("POST", path, headers=headers)
    assert answer.status_code == 200, answer.text
    assert answer.headers["clear-site-data"] == '"cache"'
    assert not await is_live(here, account)
