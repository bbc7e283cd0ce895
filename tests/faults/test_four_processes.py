"""Four server processes on one database, all writing at once: nothing locked, nothing lost, no 500.

Twelve seconds on SQLite by default; AUTHWARD_TEST_LOAD_SECONDS=60 for the full minute.
"""

import asyncio
import os
import time
from collections import Counter

import httpx2
import pytest

from tests.fleets import WORKERS, Fleet
from tests.serving import (
    PASSWORD,
    REFRESH,
    Account,
    account_of,
    new_email,
    refresh_cookie,
    refresh_headers,
)

SECONDS = float(os.environ.get("AUTHWARD_TEST_LOAD_SECONDS", "12"))
CLIENTS = 16
GRACE = 10.0


class Visitor:
    """Registers, refreshes, signs out and in again until told to stop; checks each answer."""

    def __init__(self, fleet: Fleet, client: httpx2.AsyncClient, seen: Counter[str]) -> None:
        self._fleet = fleet
        self._client = client
        self._seen = seen
        self.rotations = 0
        self.user_id = ""
        self.times: list[float] = []

    async def live(self, until: float) -> None:
        email = new_email()
        body = {"email": email, "password": PASSWORD, "name": "Ada"}
        account = account_of(await self._post("/api/auth/register", json=body), email)
        self.user_id = account.id
        while True:
            cookie = await self._refresh(account, times=4)
            if time.monotonic() > until:
                return
            await self._post("/api/auth/logout", headers=refresh_headers(account, cookie))
            answer = await self._post(REFRESH, headers=refresh_headers(account, cookie))
            assert answer.status_code == 401, "a session that was signed out of"
            body = {"email": email, "password": PASSWORD}
            account = account_of(await self._post("/api/auth/login", json=body), email)

    async def _refresh(self, account: Account, times: int) -> str:
        cookie = account.cookie
        for _ in range(times):
            # Past the grace each refresh rotates: no update may be lost.
            self._fleet.server.turn(GRACE)
            answer = await self._post(REFRESH, headers=refresh_headers(account, cookie))
            assert answer.status_code == 200, answer.text
            assert refresh_cookie(answer) != cookie
            cookie = refresh_cookie(answer)
            self.rotations += 1
        return cookie

    async def _post(self, path: str, **request: object) -> httpx2.Response:
        began = time.monotonic()
        answer = await self._client.post(path, **request)  # type: ignore[arg-type]
        self.times.append(time.monotonic() - began)
        self._seen[f"{path.rpartition('/')[2]} {answer.status_code}"] += 1
        self._seen[answer.headers["x-test-pid"]] += 1
        return answer


async def generations(fleet: Fleet, visitors: list[Visitor]) -> list[list[int]]:
    """Of each visitor the generations of the sessions that are left."""
    store = fleet.store()
    found = [await store.sessions.of_user(visitor.user_id) for visitor in visitors]
    await store.close()
    return [[session.generation for session in sessions] for sessions in found]


@pytest.mark.load
@pytest.mark.xdist_group("fleet")
@pytest.mark.timeout(300 + 2 * SECONDS)
async def test_four_processes_on_one_database(fleet: Fleet) -> None:
    seconds = SECONDS if fleet.database_url.startswith("sqlite") else SECONDS / 4
    seen: Counter[str] = Counter()
    before = await rotations_told(fleet)
    async with fleet.each():
        pass  # all four are up, also if a test before this one killed some
    async with fleet.server.async_client(connections=CLIENTS) as client:
        visitors = [Visitor(fleet, client, seen) for _ in range(CLIENTS)]
        until = time.monotonic() + seconds
        await asyncio.gather(*(visitor.live(until) for visitor in visitors))
    times = sorted(one for visitor in visitors for one in visitor.times)
    rotations = sum(visitor.rotations for visitor in visitors)
    slowest = f"p99 {times[int(len(times) * 0.99)]:.3f} s, slowest {times[-1]:.3f} s"
    print(f"{len(times)} requests in {seconds:.0f} s, {rotations} rotations, {slowest}: {seen}")

    statuses = {key.partition(" ")[2] for key in seen if " " in key}
    assert statuses == {"200", "201", "401"}
    assert seen["refresh-token 401"] == seen["logout 200"]
    assert len([key for key in seen if " " not in key]) == WORKERS, "each of them had work"
    # What was answered is what is stored: one row for each rotation, four in each last session.
    assert await rotations_told(fleet) - before == rotations
    assert await generations(fleet, visitors) == [[4]] * CLIENTS
    assert "database is locked" not in fleet.server.log


async def rotations_told(fleet: Fleet) -> int:
    store = fleet.store()
    rows = await store.audit.latest(10_000_000)
    await store.close()
    return sum(row.event.kind == "session.refreshed" for row in rows)
