"""Two things at once on two processes: the later decision has the last word. On both databases.

OWASP ASVS 2.3.3; CWE-362.
"""

import asyncio
import random

import httpx2

from tests.fleets import Fleet, eventually
from tests.serving import REFRESH, Account, refresh_cookie, refresh_headers, register, sign_in

ROUNDS = 4


def role_path(account: Account) -> str:
    return f"/api/users/{account.id}/role"


async def admins(client: httpx2.AsyncClient, asking: Account) -> set[str]:
    answer = await client.get("/api/users?role=admin&limit=100", headers=asking.bearer)
    return {user["id"] for user in answer.json()["data"]["users"] if not user["disabled"]}


async def test_two_admins_demote_each_other(fleet: Fleet) -> None:
    one, two = await asyncio.to_thread(fleet.admin), await asyncio.to_thread(fleet.admin)
    async with fleet.each() as workers:
        here, there, *_ = workers.values()
        # Those of other tests would be left over, and nobody be the last.
        for other in await admins(here, one) - {one.id, two.id}:
            await here.put(f"/api/users/{other}/role", headers=one.bearer, json={"role": "user"})
        for _ in range(ROUNDS):
            answers = await asyncio.gather(
                here.put(role_path(two), headers=one.bearer, json={"role": "user"}),
                there.put(role_path(one), headers=two.bearer, json={"role": "user"}),
            )
            assert sorted(answer.status_code for answer in answers)[0] == 200
            lost = {answer.json().get("error") for answer in answers if answer.status_code != 200}
            # The slower one was the last admin, or no admin any more.
            assert lost <= {"last_admin", "token_expired", "forbidden"}
            assert len(lost) == 1
            left, gone = (one, two) if answers[0].status_code == 200 else (two, one)
            left = await asyncio.to_thread(signed_in_again, fleet, left)
            assert await admins(here, left) == {left.id}
            await here.put(role_path(gone), headers=left.bearer, json={"role": "admin"})
            one, two = left, await asyncio.to_thread(signed_in_again, fleet, gone)


def signed_in_again(fleet: Fleet, account: Account) -> Account:
    with fleet.server.client() as client:
        return sign_in(client, account.email)


async def test_refreshes_on_three_processes_against_a_logout_on_the_fourth(fleet: Fleet) -> None:
    async with fleet.each() as workers:
        for _ in range(ROUNDS):
            with fleet.server.client() as client:
                account = register(client)
            fleet.server.turn(10)
            clients = random.sample(list(workers.values()), 4)
            headers = refresh_headers(account)
            logout, *refreshed = await asyncio.gather(
                clients[0].post("/api/auth/logout", headers=headers),
                *(client.post(REFRESH, headers=headers) for client in clients[1:]),
            )
            assert logout.status_code == 200
            assert {answer.status_code for answer in refreshed} <= {200, 401}
            won = [answer for answer in refreshed if answer.status_code == 200]
            for cookie in {account.cookie, *map(refresh_cookie, won)}:
                answer = await clients[0].post(REFRESH, headers=refresh_headers(account, cookie))
                assert answer.status_code == 401
            # A token that a refresh still got is worth nothing, anywhere, within a second.
            for answer in won:
                account.bearer["authorization"] = f"Bearer {answer.json()['data']['accessToken']}"
                async with asyncio.timeout(1):
                    await asyncio.gather(
                        *(eventually(client, account, "token_revoked") for client in clients)
                    )
