"""Four server processes on one SQLite file, all writing: nothing locked, nothing lost, no 500.

Twelve seconds by default; AUTHWARD_TEST_LOAD_SECONDS=60 for the full minute.
"""

import asyncio
import os
import time
from collections import Counter
from pathlib import Path

import httpx2
import pytest

from tests.serving import (
    PASSWORD,
    REFRESH,
    Account,
    Server,
    account_of,
    new_email,
    refresh_cookie,
    refresh_headers,
    serving,
)

SECONDS = float(os.environ.get("AUTHWARD_TEST_LOAD_SECONDS", "12"))
CLIENTS = 16


class Visitor:
    """Registers, refreshes, signs out and in again until told to stop; checks each answer."""

    def __init__(self, client: httpx2.AsyncClient, seen: Counter[tuple[str, int]]) -> None:
        self._client = client
        self._seen = seen
        self.rotations = 0
        self.times: list[float] = []

    async def _post(self, path: str, **request: object) -> httpx2.Response:
        began = time.monotonic()
        answer = await self._client.post(path, **request)  # type: ignore[arg-type]
        self.times.append(time.monotonic() - began)
        self._seen[path.rpartition("/")[2], answer.status_code] += 1
        return answer

    async def live(self, until: float) -> tuple[Account, str]:
        email = new_email()
        body = {"email": email, "password": PASSWORD, "name": "Ada"}
        account = account_of(await self._post("/api/auth/register", json=body), email)
        cookie = account.cookie
        while True:
            for _ in range(4):
                answer = await self._post(REFRESH, headers=refresh_headers(account, cookie))
                assert answer.status_code == 200, answer.text
                # With no grace every refresh rotates: no update may be lost.
                assert refresh_cookie(answer) != cookie
                cookie = refresh_cookie(answer)
                self.rotations += 1
            if time.monotonic() > until:
                return account, cookie
            await self._post("/api/auth/logout", headers=refresh_headers(account, cookie))
            answer = await self._post(REFRESH, headers=refresh_headers(account, cookie))
            assert answer.status_code == 401, "a session that was signed out of"
            answer = await self._post(
                "/api/auth/login", json={"email": email, "password": PASSWORD}
            )
            account = account_of(answer, email)
            cookie = account.cookie


async def crowd(server: Server) -> tuple[Counter[tuple[str, int]], list[Visitor]]:
    seen: Counter[tuple[str, int]] = Counter()
    async with server.async_client(connections=CLIENTS) as client:
        visitors = [Visitor(client, seen) for _ in range(CLIENTS)]
        until = time.monotonic() + SECONDS
        ends = await asyncio.gather(*(visitor.live(until) for visitor in visitors))
        for account, cookie in ends:
            answer = await client.post(REFRESH, headers=refresh_headers(account, cookie))
            assert answer.status_code == 200
    return seen, visitors


@pytest.mark.load
@pytest.mark.timeout(300 + 2 * SECONDS)
def test_four_processes_on_one_file(sqlite_url: str, tmp_path: Path) -> None:
    with serving(sqlite_url, tmp_path, workers=4, refresh_grace="0s") as server:
        seen, visitors = asyncio.run(crowd(server))
        log = server.log
    times = sorted(one for visitor in visitors for one in visitor.times)
    rotations = sum(visitor.rotations for visitor in visitors)
    p99 = times[int(len(times) * 0.99)]
    print(f"{len(times)} requests, {rotations} rotations, p99 {p99:.3f} s: {dict(seen)}")
    assert {status for _, status in seen} <= {200, 201, 401}
    assert seen["refresh-token", 401] == seen["logout", 200]
    assert rotations >= CLIENTS * 4
    for sign in ("database is locked", "Traceback", " 500 "):
        assert sign not in log
