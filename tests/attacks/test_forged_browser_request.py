"""A foreign page lets the browser send our cookie: what we answer, by what the browser tells.

OWASP CSRF Prevention Cheat Sheet; csurf and gorilla CVE-2025-24358 (a trusted origin's http twin).
The decision itself is walked in test_cross_site_request.py; here it is asked for over HTTP.
"""

from typing import Any

import pytest

from tests.here import Here, Serve
from tests.serving import REFRESH, error_of, refresh_cookie

APP = "https://app.example.com"
PRODUCTION: dict[str, Any] = {
    "env": "production",
    "public_url": "https://api.example.com",
    "origins": [APP],
}
PASSES, FORGED, FOREIGN = (200, ""), (403, "csrf_failed"), (403, "origin_not_allowed")
ROUTES = [REFRESH, "/api/auth/logout"]
OWN, OTHERS = object(), object()

# Origin, Sec-Fetch-Site, the token, and the answer with CSRF=standard and with CSRF=strict.
CASES = {
    "our own page": ("https://api.example.com", "same-origin", OWN, PASSES, PASSES),
    "an allowed page": (APP, "same-site", OWN, PASSES, PASSES),
    "an allowed page, without the token": (APP, "same-site", None, PASSES, FORGED),
    "an allowed page on another site": (APP, "cross-site", OWN, PASSES, PASSES),
    "an allowed page, another's token": (APP, "same-site", OTHERS, FORGED, FORGED),
    "an allowed page, an empty token": (APP, "same-site", "", FORGED, FORGED),
    "a foreign page": ("https://evil.example", "cross-site", OWN, FOREIGN, FOREIGN),
    "a foreign page that claims more": (
        "https://evil.example",
        "same-origin",
        OWN,
        FOREIGN,
        FOREIGN,
    ),
    "a neighbour": ("https://x.example.com", "same-site", OWN, FOREIGN, FOREIGN),
    "the http twin": ("http://app.example.com", "same-site", OWN, FOREIGN, FOREIGN),
    "another port": (f"{APP}:8443", "same-site", OWN, FOREIGN, FOREIGN),
    "a sandboxed frame": ("null", None, OWN, FOREIGN, FOREIGN),
    "an old browser": (None, None, OWN, PASSES, PASSES),
    "an old browser, without the token": (None, None, None, FORGED, FORGED),
    "the same origin, untold": (None, "same-origin", OWN, PASSES, PASSES),
    "typed by the user": (None, "none", OWN, PASSES, PASSES),
    "another site, untold": (None, "cross-site", OWN, FOREIGN, FOREIGN),
    "the same site, untold": (None, "same-site", OWN, FOREIGN, FOREIGN),
}


@pytest.mark.parametrize("path", ROUTES)
@pytest.mark.parametrize("mode", ["standard", "strict"])
async def test_the_table(serve_on: Serve, sqlite_database: str, mode: str, path: str) -> None:
    here = await serve_on(sqlite_database, csrf=mode, **PRODUCTION)
    here.client.headers["host"] = "api.example.com"
    other = await here.register()
    for name, (origin, site, token, standard, strict) in CASES.items():
        account = await here.register()
        said = {"cookie": f"__Host-refreshToken={account.cookie}"}
        if origin is not None:
            said["origin"] = str(origin)
        if site is not None:
            said["sec-fetch-site"] = str(site)
        if token is not None:
            said["x-csrf-token"] = {OWN: account.csrf, OTHERS: other.csrf}.get(token, str(token))
        answer = await here.send("POST", path, headers=said)
        expected = standard if mode == "standard" else strict
        assert error_of(answer) == expected, name
        # A refused logout has not signed anybody out.
        after = 401 if path.endswith("logout") and expected == PASSES else 200
        assert (await here.profile(account)).status_code == after, name


async def test_the_token_is_taken_from_its_header_alone(here: Here) -> None:
    account = await here.register()
    cookie = f"refreshToken={account.cookie}; x-csrf-token={account.csrf}; csrfToken={account.csrf}"
    answer = await here.send(
        "POST",
        f"{REFRESH}?csrfToken={account.csrf}&x-csrf-token={account.csrf}",
        headers={"cookie": cookie},
        json={"csrfToken": account.csrf, "_csrf": account.csrf},
    )
    assert error_of(answer) == FORGED


async def test_a_planted_pair_of_cookie_and_header_is_refused(here: Here) -> None:
    """The token of an anonymous id, fetched by the attacker, is none of the session's."""
    answer = await here.send("GET", "/api/auth/csrf-token")
    [planted] = answer.headers.get_list("set-cookie")
    account = await here.register()
    pair = {
        "cookie": f"refreshToken={account.cookie}; {planted.partition(';')[0]}",
        "x-csrf-token": answer.json()["data"]["csrfToken"],
    }
    assert error_of(await here.send("POST", REFRESH, headers=pair)) == FORGED


async def test_a_new_session_has_a_new_token_and_a_refreshed_one_the_same(here: Here) -> None:
    account = await here.register()
    again = await here.login(account.email)
    assert again.csrf != account.csrf
    here.clock.turn(11)
    refreshed = await here.refresh(account)
    assert refreshed.json()["data"]["csrfToken"] == account.csrf
    asked = await here.send(
        "GET",
        "/api/auth/csrf-token",
        headers={"cookie": f"refreshToken={refresh_cookie(refreshed)}"},
    )
    assert asked.json()["data"]["csrfToken"] == account.csrf


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE"])
async def test_no_unsafe_method_is_for_a_foreign_page(here: Here, method: str) -> None:
    """Not on bearer routes either, where there is nothing to steal; nor where there is no route."""
    for path in ("/api/auth/login", "/api/profile", "/nowhere"):
        answer = await here.send(method, path, headers={"origin": "https://evil.example"}, json={})
        assert error_of(answer) == FOREIGN, path
        assert "access-control-allow-origin" not in answer.headers
