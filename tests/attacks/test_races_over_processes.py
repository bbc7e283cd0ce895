"""Two things at once on two processes: the later decision has the last word. On both databases.

OWASP ASVS 2.3.3; CWE-362.
"""

import asyncio
import random

import httpx2
import pytest

from tests.fleets import SEEN_S, Fleet, eventually
from tests.serving import (
    REFRESH,
    Account,
    error_of,
    refresh_cookie,
    refresh_headers,
    register,
    sign_in,
)

ROUNDS = 4


async def admins(client: httpx2.AsyncClient, asking: Account) -> set[str]:
    answer = await client.get("/api/users?role=admin&limit=100", headers=asking.bearer)
    return {user["id"] for user in answer.json()["data"]["users"] if not user["disabled"]}


async def remove(
    client: httpx2.AsyncClient, how: str, actor: Account, target: Account
) -> httpx2.Response:
    path = f"/api/users/{target.id}"
    if how == "demote":
        return await client.put(f"{path}/role", headers=actor.bearer, json={"role": "user"})
    if how == "disable":
        return await client.put(path, headers=actor.bearer, json={"disabled": True})
    return await client.delete(path, headers=actor.bearer)


async def only(fleet: Fleet, client: httpx2.AsyncClient, count: int) -> list[Account]:
    """So many admins, and no others: those of other tests would be left over, and nobody be the
    last.
    """
    found = [await asyncio.to_thread(fleet.admin) for _ in range(count)]
    for other in await admins(client, found[0]) - {one.id for one in found}:
        await client.put(f"/api/users/{other}/role", headers=found[0].bearer, json={"role": "user"})
    return found


@pytest.mark.parametrize(
    ("how", "back"),
    [
        ("demote", "demote"),
        ("disable", "disable"),
        ("delete", "delete"),
        ("demote", "delete"),
        ("delete", "disable"),
    ],
)
async def test_two_admins_remove_each_other(fleet: Fleet, how: str, back: str) -> None:
    async with fleet.each() as workers:
        here, there, *_ = workers.values()
        one, two = await only(fleet, here, 2)
        for _ in range(ROUNDS):
            answers = await asyncio.gather(
                remove(here, how, one, two), remove(there, back, two, one)
            )
            assert sorted(answer.status_code for answer in answers)[0] == 200
            lost = {answer.json().get("error") for answer in answers if answer.status_code != 200}
            # The slower one was the last admin, or no admin any more.
            assert lost <= {"last_admin", "token_expired", "token_revoked", "forbidden"}
            assert len(lost) == 1
            left = one if answers[0].status_code == 200 else two
            left = await asyncio.to_thread(signed_in_again, fleet, left)
            assert await admins(here, left) == {left.id}
            for word in ("demote", "disable", "delete"):
                last = await remove(there, word, left, left)
                assert error_of(last) == (409, "last_admin")
            one, two = left, await asyncio.to_thread(fleet.admin)


async def test_four_admins_in_a_ring_remove_each_other(fleet: Fleet) -> None:
    async with fleet.each() as workers:
        clients = list(workers.values())
        for _ in range(ROUNDS):
            ring = await only(fleet, clients[0], 4)
            ways = random.sample(["demote", "disable", "delete", "demote"], 4)
            targets = [*ring[1:], ring[0]]
            answers = await asyncio.gather(
                *(remove(*each) for each in zip(clients, ways, ring, targets, strict=True))
            )
            gone = {
                target.id
                for target, answer in zip(targets, answers, strict=True)
                if answer.status_code == 200
            }
            left = [one for one in ring if one.id not in gone]
            assert left, [answer.text for answer in answers]
            again = await asyncio.to_thread(signed_in_again, fleet, left[0])
            assert await admins(clients[0], again) == {one.id for one in left}


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
            # A token that a refresh still got is worth nothing, anywhere, soon.
            for answer in won:
                account.bearer["authorization"] = f"Bearer {answer.json()['data']['accessToken']}"
                async with asyncio.timeout(SEEN_S):
                    await asyncio.gather(
                        *(eventually(client, account, "token_revoked") for client in clients)
                    )
