"""A neighbour that can set cookies plants a pair of its own: cookie and token.

csurf (archived for it) and gorilla/csrf CVE-2025-24358, which also took the http twin of a trusted
origin for the origin itself; OWASP CSRF Prevention Cheat Sheet (naive double submit).
"""

from typing import Any

import pytest
from starlette.types import Receive, Scope, Send

from authward.core.cookies import read_cookie
from authward.errors import ConfigurationError
from authward.middleware.csrf import CSRF, csrf_token
from tests.middleware.driving import Answer, Header, drive, http_scope

SHOP = "https://shop.example.com"
SECRET = bytes(range(32))
FORGED, FOREIGN, TWICE = "csrf_failed", "origin_not_allowed", "malformed_request"


async def shop(scope: Scope, receive: Receive, send: Send) -> None:
    """Tells everybody their token. A POST buys."""
    text = csrf_token(scope) if scope["method"] == "GET" else "bought"
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": text.encode()})


def guarded(**options: Any) -> CSRF:
    given: dict[str, Any] = {
        "secrets": [SECRET],
        "origins": [SHOP],
        "binding": lambda scope: read_cookie(scope["headers"], "sid"),
    }
    return CSRF(shop, **{**given, **options})


async def buy(app: CSRF, cookie: str, token: str = "", **more: str) -> str:
    headers: list[Header] = [(b"cookie", cookie.encode())]
    if token:
        headers.append((b"x-csrf-token", token.encode()))
    headers += [(name.replace("_", "-").encode(), value.encode()) for name, value in more.items()]
    return (await drive(app, http_scope("POST", headers=headers))).error


async def own_pair(app: CSRF, cookie: str = "") -> tuple[str, str]:
    """Cookie and token that anybody gets for the asking."""
    headers = [(b"cookie", cookie.encode())] if cookie else []
    answer: Answer = await drive(app, http_scope(headers=headers))
    [given] = answer.header(b"set-cookie") or [cookie.encode()]
    return given.decode().partition(";")[0], answer.body.decode()


@pytest.mark.parametrize("strict", [False, True])
@pytest.mark.parametrize("secure", [False, True])
async def test_a_planted_pair_is_not_the_sessions(secure: bool, strict: bool):
    app = guarded(secure=secure, strict=strict)
    planted, token = await own_pair(app)
    assert await buy(app, planted, token) == ""
    assert await buy(app, f"sid=victim; {planted}", token) == FORGED
    assert await buy(app, f"{planted}; sid=victim", token, origin=SHOP) == FORGED
    _, right = await own_pair(app, "sid=victim")
    assert await buy(app, f"sid=victim; {planted}", right) == ""


async def test_nor_is_the_pair_of_the_attackers_own_session():
    app = guarded()
    _, token = await own_pair(app, "sid=attacker")
    assert await buy(app, "sid=attacker", token) == ""
    assert await buy(app, "sid=victim", token) == FORGED
    # Both sessions at once: one was planted, and none is chosen.
    assert await buy(app, "sid=attacker; sid=victim", token) == TWICE


async def test_the_victims_session_as_anonymous_id_earns_nothing():
    """Sessions are often no secret to those who see logs or addresses."""
    app = guarded(secure=False)
    victim = "0123456789abcdef0123456789abcdef"
    pair, token = await own_pair(app, f"x-csrf-token={victim}")
    assert pair == f"x-csrf-token={victim}"
    assert await buy(app, f"sid={victim}", token) == FORGED


async def test_a_cookie_beside_the_victims_is_seen():
    app = guarded(binding=None, secure=False)
    own, token = await own_pair(app)
    planted, theirs = await own_pair(app)
    for cookie in (f"{own}; {planted}", f"{planted}; {own}"):
        for sent in (token, theirs, ""):
            assert await buy(app, cookie, sent, origin=SHOP) == TWICE


async def test_over_https_a_neighbour_cannot_plant_the_cookie_at_all():
    """Browsers take `__Host-` from the host itself alone, and never from http."""
    app = guarded(binding=None)
    pair, token = await own_pair(app)
    name, _, value = pair.partition("=")
    assert name == "__Host-x-csrf-token"
    assert await buy(app, pair, token) == ""
    # What a neighbour can plant is the name without the prefix.
    assert await buy(app, f"x-csrf-token={value}", token) == FORGED


@pytest.mark.parametrize("strict", [False, True])
async def test_the_http_twin_of_a_trusted_origin_is_not_trusted(strict: bool):
    """Who sits on the network speaks for http://shop.example.com."""
    app = guarded(strict=strict)
    _, token = await own_pair(app, "sid=victim")
    for origin in (
        "http://shop.example.com",
        "http://shop.example.com:443",
        "https://shop.example.com:80",
        "https://x.shop.example.com",
        "https://shop.example.com.evil.example",
        "https://shop.example.com@evil.example",
        "https://shop.example.com/",
    ):
        for sent in ("", token):
            assert await buy(app, "sid=victim", sent, origin=origin) == FOREIGN, origin
            same = {"origin": origin, "sec_fetch_site": "same-origin", "referer": f"{SHOP}/a"}
            assert await buy(app, "sid=victim", sent, **same) == FOREIGN, origin
    assert await buy(app, "sid=victim", token, origin=SHOP) == ""


def test_and_cannot_be_configured_beside_https():
    with pytest.raises(ConfigurationError, match=r"'http://shop\.example\.com' is not"):
        guarded(origins=[SHOP, "http://shop.example.com"])


async def test_a_neighbour_is_another_site_whatever_it_has_planted():
    app = guarded(secure=False)
    _, token = await own_pair(app, "sid=victim")
    told = {"sec_fetch_site": "same-site"}
    assert await buy(app, "sid=victim", token, **told) == FOREIGN
    assert await buy(app, "sid=victim", token, origin="https://n.example.com", **told) == FOREIGN


async def test_a_token_in_cookie_query_or_referer_counts_for_nothing():
    app = guarded()
    _, token = await own_pair(app, "sid=victim")
    cookie = f"sid=victim; csrf={token}; X-CSRF-Token={token}; _csrf={token}"
    scope = http_scope("POST", headers=[(b"cookie", cookie.encode())])
    scope["query_string"] = f"_csrf={token}&x-csrf-token={token}".encode()
    assert (await drive(app, scope)).error == FORGED
