"""More guesses than the limit, at once, over all worker processes.

Better Auth CVE-2026-110861 (a burst against its PostgreSQL limiter); ASVS 5.0 6.3.1. A count that
is read, judged and written in steps lets through what comes between.
"""

import asyncio
from collections.abc import Iterator

import pytest

from authward.http.routes import ENDPOINTS
from tests.fleets import WORKERS, Fleet
from tests.postgres import drop_database, fresh_database
from tests.serving import PASSWORD, error_of, new_email, register, serving, sign_in

WINDOW_S = 900
CREDENTIAL = [(one.method, one.path) for one in ENDPOINTS if one.credential]
FREE = [
    ("POST", "/api/auth/refresh-token"),
    ("POST", "/api/auth/logout"),
    ("GET", "/api/auth/csrf-token"),
    ("GET", "/api/auth/sessions"),
]
LIMITED = (429, "rate_limited")
WRONG = (401, "invalid_credentials")


@pytest.fixture(
    scope="module",
    params=[
        pytest.param("sqlite", marks=pytest.mark.xdist_group("fleet")),
        pytest.param("postgresql", marks=[pytest.mark.xdist_group("fleet"), pytest.mark.postgres]),
    ],
)
def limited(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Fleet]:
    """Four worker processes with the default credential limit."""
    folder = tmp_path_factory.mktemp("burst")
    sqlite = request.param == "sqlite"
    url = f"sqlite:///{folder / 'test.db'}" if sqlite else fresh_database()
    with serving(url, folder, workers=WORKERS, auth_rate_limit="5/15m") as server:
        yield Fleet(server, url)
        log = server.log
    if not sqlite:
        drop_database(url)
    assert "Traceback" not in log, log


@pytest.fixture(autouse=True)
def rested(limited: Fleet) -> None:
    """All tests are one client: what those before have used up is free again."""
    limited.server.turn(WINDOW_S)


async def test_fifty_at_once_are_five_guesses(limited: Fleet) -> None:
    with limited.server.client() as client:
        account = register(client)
    login = {"email": account.email, "password": "wrong " + PASSWORD}
    async with limited.connected(50) as clients:
        for _ in range(2):
            answers = await asyncio.gather(
                *(one.post("/api/auth/login", json=login) for one in clients[:50])
            )
            told = [error_of(answer) for answer in answers]
            assert sorted(told) == [WRONG] * 5 + [LIMITED] * 45
            for answer in answers:
                assert answer.headers["ratelimit-policy"] == "5;w=900"
                if answer.status_code == 429:
                    assert 1 <= int(answer.headers["retry-after"]) <= WINDOW_S
            places = sorted(
                int(one.headers["ratelimit-remaining"]) for one in answers if one.status_code == 401
            )
            assert places == [0, 1, 2, 3, 4]
            assert error_of(await clients[0].post("/api/auth/login", json=login)) == LIMITED
            limited.server.turn(WINDOW_S + 1)


@pytest.mark.parametrize(("method", "path"), CREDENTIAL)
async def test_each_route_has_a_limit_of_its_own(limited: Fleet, method: str, path: str) -> None:
    async with limited.connected() as clients:
        statuses = [
            (await clients[n % WORKERS].request(method, path, json={})).status_code
            for n in range(7)
        ]
        assert 429 not in statuses[:5]
        assert statuses[5:] == [429, 429]
        for other_method, other in CREDENTIAL:
            if other != path:
                answer = await clients[0].request(other_method, other, json={})
                assert answer.status_code != 429, other
                assert answer.headers["ratelimit-remaining"] == "4"


def test_routes_that_take_no_guess_are_never_limited(limited: Fleet) -> None:
    with limited.server.client() as client:
        account = register(client)
        for _ in range(6):
            client.post("/api/auth/login", json={"email": new_email(), "password": PASSWORD})
        signed_in = {
            "cookie": f"refreshToken={account.cookie}",
            "x-csrf-token": account.csrf,
            **account.bearer,
        }
        for method, path in FREE:
            for _ in range(8):
                answer = client.request(method, path, headers=signed_in)
                assert answer.status_code != 429, path
                assert "ratelimit-limit" not in answer.headers
        # And the right password does not help who is over the limit.
        refused = client.post(
            "/api/auth/login", json={"email": account.email, "password": PASSWORD}
        )
        assert error_of(refused) == LIMITED
        limited.server.turn(WINDOW_S + 1)
        sign_in(client, account.email)
