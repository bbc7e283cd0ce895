"""A Host that is none of ours, and paths a rebuilt URL would read otherwise.

Starlette CVE-2026-48710 (Host); OWASP "Host header attacks".
"""

from typing import Any

import pytest

from tests.here import Here, Serve

PRODUCTION = {"env": "production", "public_url": "https://api.example.com"}


async def ask(here: Here, host: str, path: str = "/api/public-data", **headers: str) -> Any:
    return await here.send("GET", path, headers={"host": host, **headers})


@pytest.mark.parametrize(
    "host",
    [
        "evil.example",
        "localhost.evil.example",
        "127.0.0.1.evil.example",
        "evil.example:80",
        "localhost@evil.example",
        "localhost/evil",
        "localhost:99999999",
        "local host",
        "",
        "[::1",
        "ⅼocalhost",
    ],
)
async def test_a_foreign_host_is_refused(here: Here, host: str) -> None:
    answer = await here.send("GET", "/api/public-data", headers=[(b"host", host.encode())])
    assert answer.status_code == 400
    if "json" in answer.headers.get("content-type", ""):
        assert answer.json()["error"] == "malformed_request"
        assert "evil" not in answer.text


@pytest.mark.parametrize("host", ["localhost", "LOCALHOST:8000", "127.0.0.1:1", "[::1]:8000"])
async def test_loopback_is_served_in_development(here: Here, host: str) -> None:
    assert (await ask(here, host)).status_code == 200


async def test_in_production_the_named_host_alone(serve_on: Serve, sqlite_database: str) -> None:
    here = await serve_on(sqlite_database, **PRODUCTION)
    assert (await ask(here, "api.example.com")).status_code == 200
    for host in ("evil.example", "api.example.com.evil.example", "xapi.example.com"):
        assert (await ask(here, host)).status_code == 400


async def test_two_hosts_are_none(here: Here) -> None:
    twice = ["GET /api/public-data HTTP/1.1", "Host: localhost", "Host: localhost"]
    assert (await here.raw(*twice[:2])).startswith(b"HTTP/1.1 200")
    assert (await here.raw(*twice)).startswith(b"HTTP/1.1 400")
    assert (await here.raw(twice[0])).startswith(b"HTTP/1.1 400")


@pytest.mark.parametrize("header", ["x-forwarded-host", "forwarded", "x-original-url", "x-host"])
async def test_no_other_header_says_where_a_request_goes(here: Here, header: str) -> None:
    """A guard that read a rebuilt URL would take /api/public-data for the path."""
    answer = await here.send(
        "GET", "/api/users", headers={header: "/api/public-data", "x-rewrite-url": "/healthz"}
    )
    assert (answer.status_code, answer.json()["path"]) == (401, "/api/users")


@pytest.mark.parametrize(
    "path",
    [
        "/api/users?/api/public-data",
        "/api/users#/api/public-data",
        "/api/%75sers",
        "//api/users",
        "/api/users/",
        "/api/public-data/../users",
        "/api/users;/api/public-data",
        "/API/USERS",
    ],
)
async def test_no_spelling_of_a_path_gets_past_its_guard(here: Here, path: str) -> None:
    answer = await here.send("GET", path)
    assert answer.status_code in (401, 404)
