"""Cookies another page, another host or plain http could read or plant: RFC 6265bis, ASVS 3.3."""

import re
from typing import Any

import pytest

from tests.here import Here, Serve
from tests.serving import PASSWORD, REFRESH, account_of

WEEK = 7 * 86400
BODY = {"email": "ada@example.com", "password": PASSWORD, "name": "Ada"}
TOKEN = r"[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+"
PRODUCTION = {
    "env": "production",
    "public_url": "https://api.example.com",
    "origins": ["https://app.example.com"],
}


@pytest.fixture(params=["development", "production"])
async def here(request: pytest.FixtureRequest, serve_on: Serve, sqlite_database: str) -> Here:
    given: dict[str, Any] = PRODUCTION if request.param == "production" else {}
    here = await serve_on(sqlite_database, **given)
    if given:
        here.client.headers["host"] = "api.example.com"
    return here


def shape(here: Here, name: str, value: str, age: int | str) -> str:
    production = here.auth.settings.production
    prefix, secure = ("__Host-", "; Secure") if production else ("", "")
    return f"{prefix}{name}={value}; Max-Age={age}; Path=/; HttpOnly; SameSite=Strict{secure}"


async def test_every_cookie_to_the_letter(here: Here) -> None:
    def set_by(answer: Any) -> str:
        [cookie] = answer.headers.get_list("set-cookie")
        return str(cookie)

    registered = await here.send("POST", "/api/auth/register", json=BODY)
    logged_in = await here.send("POST", "/api/auth/login", json=BODY)
    account = account_of(logged_in, BODY["email"])
    name = "__Host-refreshToken" if here.auth.settings.production else "refreshToken"
    browser = {"cookie": f"{name}={account.cookie}", "x-csrf-token": account.csrf}
    refreshed = await here.send("POST", REFRESH, headers=browser)
    for answer in (registered, logged_in, refreshed):
        # To the second: the token may be a second old when the answer is made.
        found = re.fullmatch(shape(here, "refreshToken", TOKEN, r"(\d+)"), set_by(answer))
        assert found, set_by(answer)
        assert answer.headers["cache-control"] == "no-store"
        assert WEEK - 5 <= int(found[1]) <= WEEK

    cleared = shape(here, "refreshToken", "", 0)
    logged_out = await here.send("POST", "/api/auth/logout", headers=browser)
    assert set_by(logged_out) == cleared
    # Never "cookies": it would clear those of every neighbour, too.
    assert logged_out.headers["clear-site-data"] == '"cache"'
    again = account_of(await here.send("POST", "/api/auth/login", json=BODY), BODY["email"])
    everywhere = await here.send("POST", "/api/auth/logout-all", headers=again.bearer)
    assert set_by(everywhere) == cleared
    anonymous = set_by(await here.send("GET", "/api/auth/csrf-token"))
    assert re.fullmatch(shape(here, "x-csrf-token", "[0-9a-f]{32}", 86400), anonymous)


async def test_no_other_answer_sets_one(here: Here) -> None:
    account = account_of(await here.send("POST", "/api/auth/register", json=BODY), BODY["email"])
    requests: list[tuple[str, str, dict[str, Any]]] = [
        ("GET", "/api/profile", {"headers": account.bearer}),
        ("GET", "/api/auth/sessions", {"headers": account.bearer}),
        ("GET", "/api/public-data", {}),
        ("GET", "/api/users", {}),
        ("POST", REFRESH, {}),
        ("POST", REFRESH, {"headers": {"cookie": "refreshToken=x; __Host-refreshToken=x"}}),
        ("POST", "/api/auth/register", {"json": BODY}),
        ("POST", "/api/auth/login", {"json": {**BODY, "password": "wrong horse battery"}}),
        ("POST", "/api/auth/login", {"json": {}}),
        ("GET", "/nowhere", {}),
    ]
    for method, path, request in requests:
        answer = await here.send(method, path, **request)
        assert "set-cookie" not in answer.headers, (method, path, answer.status_code)


async def test_the_cookie_is_taken_under_its_own_name_only(here: Here) -> None:
    """A neighbour on another host of the domain can plant `refreshToken`, never `__Host-…`."""
    account = account_of(await here.send("POST", "/api/auth/register", json=BODY), BODY["email"])
    mine, other = "refreshToken", "__Host-refreshToken"
    if here.auth.settings.production:
        mine, other = other, mine
    for name, status in ((other, 401), (mine, 200), (mine.upper(), 401), (f"{mine} ", 401)):
        headers = {"cookie": f"{name}={account.cookie}", "x-csrf-token": account.csrf}
        answer = await here.send("POST", REFRESH, headers=headers)
        assert answer.status_code == status, name
