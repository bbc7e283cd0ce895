"""One refresh token used many times at once, over four worker processes (RFC 9700 section 4.14; Keycloak CVE-2026-1035,
CVE-2026-9802). On SQLite and on PostgreSQL.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import httpx2
import pytest

from tests.serving import Account, Server, refresh_cookie, refresh_headers, register, serving

GRACE = 2.0
REFRESH = "/api/auth/refresh-token"


@pytest.fixture
def server(database_url: str, tmp_path: Path) -> Iterator[Server]:
    with serving(database_url, tmp_path, workers=4, refresh_grace=f"{int(GRACE)}s") as running:
        yield running


def refreshed(server: Server, account: Account, times: int = 50) -> list[httpx2.Response]:
    """The answers to one token sent `times` times at once."""

    async def all_at_once() -> list[httpx2.Response]:
        async with server.async_client(headers=refresh_headers(account)) as client:
            return await asyncio.gather(*(client.post(REFRESH) for _ in range(times)))

    return asyncio.run(all_at_once())


def test_one_successor_then_reuse_ends_the_session(server: Server) -> None:
    """Fifty at once over four workers: one successor, the same bytes to all; the next generation works; the first one,
    after the grace, ends the session.
    """
    with server.client() as client:
        account = register(client)
        first = account.cookie
        time.sleep(GRACE + 0.1)  # the server's clock is the database's: a new session rotates only then

        answers = refreshed(server, account)
        assert Counter(answer.status_code for answer in answers) == {200: 50}
        [second] = {refresh_cookie(answer) for answer in answers}
        assert second != first

        time.sleep(GRACE + 0.1)
        answer = client.post(REFRESH, headers=refresh_headers(account, second))
        assert answer.status_code == 200
        third = refresh_cookie(answer)
        assert third not in (first, second)
        bearer = {"authorization": f"Bearer {answer.json()['data']['accessToken']}"}
        assert client.get("/api/profile", headers=bearer).status_code == 200

        answer = client.post(REFRESH, headers=refresh_headers(account, first))
        assert (answer.status_code, answer.json()["error"]) == (401, "refresh_token_reused")
        # The thief's and the owner's tokens are worth nothing now, on every worker.
        for cookie in (first, second, third):
            for _ in range(4):
                answer = client.post(REFRESH, headers=refresh_headers(account, cookie))
                assert answer.status_code == 401, answer.text
        ended_by = time.monotonic() + 1
        while any(client.get("/api/profile", headers=bearer).status_code != 401 for _ in range(8)):
            assert time.monotonic() < ended_by, "the access token outlived its session"
    assert server.log.count("session.reuse_detected") == 1


def test_parallel_refreshes_within_the_grace_do_not_rotate(server: Server) -> None:
    """A token younger than the grace is answered with itself, so two rotations never fall into one grace."""
    with server.client() as client:
        account = register(client)
    answers = refreshed(server, account, 20)
    assert {answer.status_code for answer in answers} == {200}
    assert {refresh_cookie(answer) for answer in answers} == {account.cookie}
