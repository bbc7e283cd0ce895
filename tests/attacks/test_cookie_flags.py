"""The refresh cookie, flag for flag (OWASP ASVS 3.3, RFC 6265bis)."""

import re

import pytest

from tests.here import Here, Serve
from tests.serving import PASSWORD, Account, refresh_headers

FLAGS = "Max-Age={age}; Path=/; HttpOnly; SameSite=Strict"
PRODUCTION = {"env": "production", "public_url": "https://api.example.com"}
TOKEN = r"[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+"


async def cookies_of(here: Here, account: Account) -> dict[str, str]:
    """What each answer that touches the cookie sets, the token itself replaced by <token>."""
    prefix = "__Host-" if here.auth.settings.production else ""
    login = {"email": account.email, "password": PASSWORD}
    here.clock.turn(11)
    headers = refresh_headers(account)
    headers["cookie"] = prefix + headers["cookie"]
    asked = {
        "refresh": await here.send("POST", "/api/auth/refresh-token", headers=headers),
        "login": await here.send("POST", "/api/auth/login", json=login),
        "csrf": await here.send("GET", "/api/auth/csrf-token"),
        "logout": await here.send("POST", "/api/auth/logout", headers=headers),
    }
    for name, answer in asked.items():
        assert answer.status_code == 200, f"{name}: {answer.text}"
        assert answer.headers["cache-control"] == "no-store"
    return {
        name: re.sub(rf"={TOKEN};|=[0-9a-f]{{32}};", "=<token>;", answer.headers["set-cookie"])
        for name, answer in asked.items()
    }


async def test_in_development(here: Here) -> None:
    assert await cookies_of(here, await here.register()) == {
        "refresh": "refreshToken=<token>; " + FLAGS.format(age=604800),
        "login": "refreshToken=<token>; " + FLAGS.format(age=604800),
        "csrf": "x-csrf-token=<token>; " + FLAGS.format(age=86400),
        "logout": "refreshToken=; " + FLAGS.format(age=0),
    }


async def test_in_production(serve_on: Serve, sqlite_database: str) -> None:
    here = await serve_on(sqlite_database, **PRODUCTION)
    secure = FLAGS + "; Secure"
    assert await cookies_of(here, await here.register()) == {
        "refresh": "__Host-refreshToken=<token>; " + secure.format(age=604800),
        "login": "__Host-refreshToken=<token>; " + secure.format(age=604800),
        "csrf": "__Host-x-csrf-token=<token>; " + secure.format(age=86400),
        "logout": "__Host-refreshToken=; " + secure.format(age=0),
    }


async def test_in_production_a_cookie_a_neighbour_could_plant_is_not_read(
    serve_on: Serve, sqlite_database: str
) -> None:
    here = await serve_on(sqlite_database, **PRODUCTION)
    account = await here.register()
    answer = await here.refresh(account)
    assert answer.json()["error"] == "missing_refresh_token"


@pytest.mark.parametrize("path", ["/api/auth/logout", "/api/auth/logout-all"])
async def test_signing_out_clears_caches_but_no_neighbours_cookies(here: Here, path: str) -> None:
    account = await here.register()
    headers = {**refresh_headers(account), **account.bearer}
    answer = await here.send("POST", path, headers=headers)
    assert answer.headers["clear-site-data"] == '"cache"'
