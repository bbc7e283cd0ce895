"""A client written for the Express guide, unchanged: its endpoints, its envelopes, its seven steps
of refreshing. It knows no CSRF token and no claim beyond the guide's.
"""

import base64
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any

import httpx2
import pytest

from tests.contracts.fixtures import migrated_sqlite, sqlite_database  # noqa: F401
from tests.here import OPERATOR, Here, Serve, clock, serve_on  # noqa: F401
from tests.serving import PASSWORD

PAGE = "https://app.example.com"


@dataclass
class SeedClient:
    """What the guide's page does: a bearer token in memory, cookies kept by the browser, one
    refresh and one retry when it reads `token_expired`.
    """

    http: httpx2.AsyncClient
    access_token: str = ""
    asked: list[str] = field(default_factory=list)

    async def post(self, path: str, body: Any = None) -> httpx2.Response:
        self.asked.append(path)
        return await self.http.post(path, json=body, headers={"Origin": PAGE})

    async def sign_in(self, how: str, **body: str) -> Any:
        answer = await self.post(f"/api/auth/{how}", body)
        assert answer.status_code in (200, 201), answer.text
        self.access_token = answer.json()["data"]["accessToken"]
        return answer

    async def call(self, method: str, path: str, **request: Any) -> httpx2.Response:
        """Steps 1 and 2, and if the token has expired 3 to 7."""
        answer = await self._bearing(method, path, **request)
        if answer.status_code != 401 or answer.json()["error"] != "token_expired":
            return answer
        refreshed = await self.post("/api/auth/refresh-token")
        if refreshed.status_code != 200:
            return refreshed
        self.access_token = refreshed.json()["data"]["accessToken"]
        return await self._bearing(method, path, **request)

    async def _bearing(self, method: str, path: str, **request: Any) -> httpx2.Response:
        self.asked.append(path)
        headers = {"Authorization": f"Bearer {self.access_token}", "Origin": PAGE}
        return await self.http.request(method, path, headers=headers, **request)

    @property
    def claims(self) -> dict[str, Any]:
        payload = self.access_token.split(".")[1]
        found: dict[str, Any] = json.loads(base64.urlsafe_b64decode(payload + "=="))
        return found


@pytest.fixture
async def here(serve_on: Serve, sqlite_database: str) -> Here:  # noqa: F811
    return await serve_on(sqlite_database, origins=[PAGE])


@pytest.fixture
async def seed(here: Here) -> AsyncIterator[SeedClient]:
    # With a cookie jar, as a browser has.
    async with httpx2.AsyncClient(base_url=here.url, timeout=60, verify=False) as http:
        yield SeedClient(http)


async def test_registering_and_signing_in(seed: SeedClient) -> None:
    who = {"email": "ada@example.com", "password": PASSWORD, "name": "Ada"}
    registered = await seed.sign_in("register", **who)
    assert registered.status_code == 201
    said = registered.json()
    assert said["statusCode"] == 201
    assert said["message"] == "User registered successfully"
    user = said["data"]["user"]
    assert user == {**user, "email": "ada@example.com", "name": "Ada", "role": "user"}
    assert "password" not in registered.text.lower().replace("csrf", "")
    # The guide's services read these claims.
    assert seed.claims["id"] == user["id"]
    assert (seed.claims["email"], seed.claims["role"]) == ("ada@example.com", "user")
    assert 0 < seed.claims["exp"] - seed.claims["iat"] <= 15 * 60
    assert "refreshToken" in seed.http.cookies

    again = await seed.post("/api/auth/register", who)
    assert (again.status_code, again.json()["message"]) == (409, "User already exists")
    assert again.json()["path"] == "/api/auth/register"
    assert again.json()["timestamp"].endswith("Z")

    logged_in = await seed.sign_in("login", email="ada@example.com", password=PASSWORD)
    assert logged_in.json()["data"]["user"] == user


async def test_the_seven_steps_of_refreshing(here: Here, seed: SeedClient) -> None:
    await seed.sign_in("register", email="ada@example.com", password=PASSWORD, name="Ada")
    assert (await seed.call("GET", "/api/profile")).status_code == 200
    before, cookie = seed.access_token, seed.http.cookies["refreshToken"]

    here.clock.turn(15 * 60 + 1)
    expired = await seed._bearing("GET", "/api/profile")
    said = expired.json()
    assert (expired.status_code, said["statusCode"]) == (401, 401)
    assert (said["message"], said["error"]) == ("Token has expired", "token_expired")
    assert said["path"] == "/api/profile"

    seed.asked.clear()
    answer = await seed.call("GET", "/api/profile")
    assert (answer.status_code, answer.json()["data"]["email"]) == (200, "ada@example.com")
    assert seed.asked == ["/api/profile", "/api/auth/refresh-token", "/api/profile"]
    assert seed.access_token != before
    assert seed.http.cookies["refreshToken"] != cookie
    # And so on, as long as the session lives.
    for _ in range(4):
        here.clock.turn(6 * 86400)
        assert (await seed.call("GET", "/api/profile")).status_code == 200
    here.clock.turn(30 * 86400)
    ended = await seed.call("GET", "/api/profile")
    assert (ended.status_code, ended.json()["error"]) == (401, "refresh_token_expired")


async def test_the_errors_it_tells_apart(here: Here, seed: SeedClient) -> None:
    answer = await seed.http.get("/api/profile")
    said = answer.json()
    assert (said["message"], said["error"]) == ("Authentication required", "missing_token")
    seed.access_token = "no.such.token"
    said = (await seed.call("GET", "/api/profile")).json()
    assert (said["message"], said["error"]) == ("Invalid token", "invalid_token")
    assert seed.asked == ["/api/profile"]
    nobody = {"email": "nobody@example.com", "password": PASSWORD}
    answer = await seed.post("/api/auth/login", nobody)
    assert (answer.status_code, answer.json()["statusCode"]) == (401, 401)
    answer = await seed.post("/api/auth/refresh-token")
    assert (answer.status_code, answer.json()["error"]) == (401, "missing_refresh_token")


async def test_roles(here: Here, seed: SeedClient) -> None:
    target = await here.register("target@example.com")
    answer = await seed.sign_in("register", email="ada@example.com", password=PASSWORD, name="Ada")
    my_id = answer.json()["data"]["user"]["id"]
    asked = [
        ("GET", "/api/users", None),
        ("PUT", f"/api/users/{target.id}", {"name": "Renamed"}),
        ("DELETE", f"/api/users/{target.id}", None),
    ]
    allowed = {"user": [403, 403, 403], "moderator": [403, 200, 403], "admin": [200, 200, 200]}
    for role, expected in allowed.items():
        # A change of role makes the token stale: the client refreshes, and has the new rights.
        await here.services.users.set_role(None, my_id, role, OPERATOR)
        statuses = []
        for method, path, body in asked:
            answer = await seed.call(method, path, json=body)
            statuses.append(answer.status_code)
            if answer.status_code == 403:
                said = answer.json()
                assert (said["statusCode"], said["error"]) == (403, "forbidden")
                assert said["message"] == "Forbidden: insufficient permissions"
        assert statuses == expected, role
    assert (await seed.http.get("/api/public-data")).status_code == 200
