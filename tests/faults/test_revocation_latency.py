"""A session ended on one of four processes is over on the other three soon after.

OWASP ASVS 7.4; simplejwt CVE-2024-22513 (tokens of disabled users).
"""

import asyncio
import sys
import time
from collections.abc import Awaitable, Callable

import httpx2
import pytest

from tests.fleets import SEEN_S, Fleet, eventually
from tests.serving import (
    PASSWORD,
    Account,
    environment,
    error_of,
    refresh_headers,
    register,
    sign_in,
)

Client = httpx2.AsyncClient
Do = Callable[[Client, Account, Account], Awaitable[httpx2.Response]]


async def logout(client: Client, user: Account, admin: Account) -> httpx2.Response:
    return await client.post("/api/auth/logout", headers=refresh_headers(user))


async def logout_everywhere(client: Client, user: Account, admin: Account) -> httpx2.Response:
    return await client.post("/api/auth/logout-all", headers=user.bearer)


async def end_one(client: Client, user: Account, admin: Account) -> httpx2.Response:
    listed = await client.get("/api/auth/sessions", headers=user.bearer)
    [mine] = [one["id"] for one in listed.json()["data"]["sessions"] if one["current"]]
    return await client.delete(f"/api/auth/sessions/{mine}", headers=user.bearer)


async def disable(client: Client, user: Account, admin: Account) -> httpx2.Response:
    path = f"/api/users/{user.id}"
    return await client.put(path, headers=admin.bearer, json={"disabled": True})


async def delete(client: Client, user: Account, admin: Account) -> httpx2.Response:
    return await client.delete(f"/api/users/{user.id}", headers=admin.bearer)


async def change_role(client: Client, user: Account, admin: Account) -> httpx2.Response:
    path = f"/api/users/{user.id}/role"
    return await client.put(path, headers=admin.bearer, json={"role": "moderator"})


async def grant(client: Client, user: Account, admin: Account) -> httpx2.Response:
    path = f"/api/users/{user.id}/permissions"
    return await client.put(path, headers=admin.bearer, json={"permissions": ["read:reports"]})


async def change_password(client: Client, user: Account, admin: Account) -> httpx2.Response:
    # From another session of the same user, which alone lives on.
    body = {"email": user.email, "password": PASSWORD}
    other = await client.post("/api/auth/login", json=body)
    bearer = {"authorization": f"Bearer {other.json()['data']['accessToken']}"}
    change = {"currentPassword": PASSWORD, "newPassword": "another horse battery"}
    return await client.post("/api/auth/change-password", headers=bearer, json=change)


@pytest.mark.parametrize(
    ("how", "expected"),
    [
        (logout, "token_revoked"),
        (logout_everywhere, "token_revoked"),
        (end_one, "token_revoked"),
        (disable, "token_revoked"),
        (delete, "token_revoked"),
        (change_password, "token_revoked"),
        (change_role, "token_expired"),
        (grant, "token_expired"),
    ],
)
async def test_seen_by_all(fleet: Fleet, how: Do, expected: str) -> None:
    took = []
    admin = await asyncio.to_thread(fleet.admin)
    async with fleet.each() as workers:
        for pid, client in workers.items():
            with fleet.server.client() as any_of_them:
                user = register(any_of_them)
            for other in workers.values():
                answer = await other.get("/api/profile", headers=user.bearer)
                assert answer.status_code == 200, answer.text
            answer = await how(client, user, admin)
            assert answer.status_code == 200, answer.text
            assert answer.headers["x-test-pid"] == pid
            began = time.monotonic()
            # The process that did it knows at once.
            answer = await client.get("/api/profile", headers=user.bearer)
            assert error_of(answer) == (401, expected)
            async with asyncio.timeout(30):
                await asyncio.gather(
                    *(eventually(other, user, expected) for other in workers.values())
                )
            took.append(time.monotonic() - began)
    print(f"{how.__name__}: {[f'{one:.3f}' for one in took]} s")
    assert max(took) < SEEN_S, took


async def test_a_password_that_an_operator_resets(fleet: Fleet) -> None:
    """From a shell beside the workers: none of them has written it."""
    with fleet.server.client() as client:
        user = register(client)
    async with fleet.each() as workers:
        for worker in workers.values():
            assert (await worker.get("/api/profile", headers=user.bearer)).status_code == 200
        reset = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "tests.served", "users", "reset-password"),
            *("--email", user.email, "--password-stdin"),
            # At the fleet's time of day: what is told from an hour ago is past.
            env=environment(fleet.database_url, test_clock=fleet.server.clock_file),
            stdin=asyncio.subprocess.PIPE,
        )
        await reset.communicate(b"another horse battery\n")
        assert reset.returncode == 0
        began = time.monotonic()
        async with asyncio.timeout(30):
            await asyncio.gather(
                *(eventually(worker, user, "token_revoked") for worker in workers.values())
            )
        assert time.monotonic() - began < SEEN_S
        refused = await workers[min(workers)].post(
            "/api/auth/refresh-token", headers=refresh_headers(user)
        )
        assert error_of(refused) == (401, "invalid_refresh_token")


def test_a_new_token_has_the_new_rights(fleet: Fleet) -> None:
    admin = fleet.admin()
    with fleet.server.client() as client:
        user = register(client)
        path = f"/api/users/{user.id}/role"
        client.put(path, headers=admin.bearer, json={"role": "moderator"})
        moderator = sign_in(client, user.email)
        answer = client.get(f"/api/users/{admin.id}", headers=moderator.bearer)
        assert answer.status_code == 200
