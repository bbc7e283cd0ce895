"""A page of an origin that only looks like an allowed one reads answers of the server.

CWE-942, Litestar CVE-2026-25478 (a dot as a wildcard), "Exploiting CORS misconfigurations"
(PortSwigger, 2016). The policy is walked in test_cors_dot_as_regex.py; here it is asked over HTTP.
"""

from typing import Any

import pytest

from tests.here import Here, Serve

PAGE = "https://app.example.com"
LOCAL = "https://xn--bcher-kva.example:8443"
PRODUCTION: dict[str, Any] = {
    "env": "production",
    "public_url": "https://api.example.com",
    "origins": [PAGE, LOCAL],
}
ALLOWED = [PAGE, "HTTPS://APP.EXAMPLE.COM", "https://app.example.com:443", LOCAL]
FOREIGN = [
    "https://app.example.com.evil.example",
    "https://evilapp.example.com",
    "https://appxexample.com",
    "https://app-example.com",
    "http://app.example.com",
    "https://app.example.com:8443",
    "https://app.example.com/",
    "https://app.example.com.",
    "https://app.example.com\\@evil.example",
    "https://evil.example/https://app.example.com",
    "https://xn--bcher-kva.example",
    f"{PAGE}, {PAGE}",
    f"{PAGE} {PAGE}",
    "null",
    "*",
    "",
]


@pytest.fixture
async def server(serve_on: Serve, sqlite_database: str) -> Here:
    here = await serve_on(sqlite_database, **PRODUCTION)
    here.client.headers["host"] = "api.example.com"
    return here


def cors_of(answer: Any) -> dict[str, str]:
    return {name: it for name, it in answer.headers.items() if name.startswith("access-control-")}


async def test_no_lookalike_is_told_anything(server: Here) -> None:
    for origin in FOREIGN:
        for method, path in [("GET", "/api/public-data"), ("GET", "/nowhere"), ("PUT", "/x")]:
            answer = await server.send(method, path, headers={"origin": origin})
            assert cors_of(answer) == {}, origin
            assert "Origin" in answer.headers["vary"], origin
            if method == "PUT":
                assert answer.json()["error"] == "origin_not_allowed", origin
        asks = {"origin": origin, "access-control-request-method": "PUT"}
        assert cors_of(await server.send("OPTIONS", "/api/profile", headers=asks)) == {}, origin


async def test_an_allowed_one_is_by_every_spelling(server: Here) -> None:
    for origin in ALLOWED:
        answer = await server.send("GET", "/api/profile", headers={"origin": origin})
        assert answer.status_code == 401
        assert answer.headers["access-control-allow-credentials"] == "true", origin
        # What the browser compares with its own spelling.
        assert answer.headers["access-control-allow-origin"] in (PAGE, LOCAL), origin


async def test_two_origins_are_none(server: Here) -> None:
    head = ["GET /api/public-data HTTP/1.1", "Host: api.example.com", f"Origin: {PAGE}"]
    once, twice = await server.raw(*head), await server.raw(*head, f"Origin: {PAGE}")
    assert b"access-control-allow-origin" in once
    assert b"access-control-" not in twice
