"""One refresh token used many times at once, over four worker processes. On SQLite and PostgreSQL.

RFC 9700 section 4.14; Keycloak CVE-2026-1035 (parallel refresh), CVE-2026-9802 (replay).
"""

import asyncio
from collections import Counter

import httpx2

from tests.fleets import WORKERS, Fleet
from tests.serving import REFRESH, Account, error_of, refresh_cookie, refresh_headers, register

GRACE = 10.0


async def at_once(fleet: Fleet, account: Account, times: int = 50) -> list[httpx2.Response]:
    """The answers to one token sent `times` times at once, on a connection each, to all of the
    processes.
    """
    headers = refresh_headers(account)
    async with fleet.connected(times) as clients:
        return await asyncio.gather(
            *(client.post(REFRESH, headers=headers) for client in clients[:times])
        )


async def test_one_successor_and_the_same_bytes_for_all(fleet: Fleet) -> None:
    with fleet.server.client() as client:
        account = register(client)
        first = account.cookie
        fleet.server.turn(GRACE)
        answers = await at_once(fleet, account)
        assert Counter(answer.status_code for answer in answers) == {200: 50}
        [second] = {refresh_cookie(answer) for answer in answers}
        assert second != first
        assert len({answer.headers["x-test-pid"] for answer in answers}) == WORKERS
        assert len(await fleet.told("session.refreshed", account.id)) == 1

        # The next generation works, whoever of the fifty holds it.
        fleet.server.turn(GRACE)
        answer = client.post(REFRESH, headers=refresh_headers(account, second))
        third = refresh_cookie(answer)
        assert third not in (first, second)
        bearer = {"authorization": f"Bearer {answer.json()['data']['accessToken']}"}
        assert client.get("/api/profile", headers=bearer).status_code == 200

        # An older one ends the session, everywhere, and that is written down.
        answer = client.post(REFRESH, headers=refresh_headers(account, first))
        assert error_of(answer) == (401, "refresh_token_reused")
        for cookie in (first, second, third):
            for _ in range(4):
                answer = client.post(REFRESH, headers=refresh_headers(account, cookie))
                assert error_of(answer) == (401, "invalid_refresh_token")
    [reuse] = await fleet.told("session.reuse_detected", account.id)
    assert (reuse.outcome, reuse.client.ip) == ("refused", "127.0.0.1")


async def test_a_token_one_generation_old_is_a_thiefs_after_the_grace(fleet: Fleet) -> None:
    with fleet.server.client() as client:
        account = register(client)
        fleet.server.turn(GRACE)
        second = refresh_cookie(client.post(REFRESH, headers=refresh_headers(account)))
        again = client.post(REFRESH, headers=refresh_headers(account))
        assert refresh_cookie(again) == second
        fleet.server.turn(GRACE)
        answer = client.post(REFRESH, headers=refresh_headers(account))
        assert error_of(answer) == (401, "refresh_token_reused")


async def test_within_the_grace_nothing_rotates(fleet: Fleet) -> None:
    """So two rotations never fall into one grace, and a late cookie never looks like theft."""
    async with fleet.connected(20) as clients:
        # Last: to find a connection to each may take longer than the grace.
        with fleet.server.client() as client:
            account = register(client)
        headers = refresh_headers(account)
        answers = await asyncio.gather(
            *(client.post(REFRESH, headers=headers) for client in clients[:20])
        )
    assert {answer.status_code for answer in answers} == {200}
    assert {refresh_cookie(answer) for answer in answers} == {account.cookie}
    assert await fleet.told("session.refreshed", account.id) == []


async def test_fifty_thieves_at_once_end_it_once(fleet: Fleet) -> None:
    with fleet.server.client() as client:
        account = register(client)
        fleet.server.turn(GRACE)
        second = refresh_cookie(client.post(REFRESH, headers=refresh_headers(account)))
        fleet.server.turn(GRACE)
        answers = await at_once(fleet, account)
        found = Counter(error_of(answer) for answer in answers)
        assert found == {(401, "refresh_token_reused"): 1, (401, "invalid_refresh_token"): 49}
        assert len(await fleet.told("session.reuse_detected", account.id)) == 1
        answer = client.post(REFRESH, headers=refresh_headers(account, second))
        assert error_of(answer) == (401, "invalid_refresh_token")
