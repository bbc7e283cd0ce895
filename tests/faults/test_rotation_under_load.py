"""All three rings rotate while twenty clients sign in, refresh and ask four worker processes for
what is protected: not one request fails. And a key that is killed is dead in all of them within a
second.

NIST SP 800-57 part 1, section 8.2.3; RFC 7517 section 5, a set of keys that follow one another.
"""

import asyncio
import os
import time
from collections import Counter
from dataclasses import dataclass, field

import httpx2
import pytest

from tests.fleets import SEEN_S, Fleet
from tests.keys import publish_long_ago_in
from tests.loading import each_worker, everywhere
from tests.serving import (
    PASSWORD,
    REFRESH,
    Account,
    account_of,
    error_of,
    new_email,
    refresh_headers,
    register,
    renew,
)

CLIENTS = 20
SECONDS = float(os.environ.get("AUTHWARD_TEST_LOAD_SECONDS", "8"))
ROTATIONS = 4

pytestmark = [pytest.mark.load, pytest.mark.timeout(300)]


@dataclass
class Seen:
    """What was answered, by what was asked; and the keys that signed."""

    answers: Counter[tuple[str, int, str]] = field(default_factory=Counter)
    signed_by: set[str] = field(default_factory=set)

    def note(self, what: str, answer: httpx2.Response) -> httpx2.Response:
        status, error = answer.status_code, ""
        if status >= 400:
            error = error_of(answer)[1]
        self.answers[what, status, error] += 1
        return answer


async def one_client(fleet: Fleet, seen: Seen, until: asyncio.Event) -> None:
    """Signs in, refreshes, asks: with what it was given a moment ago, and with what is older."""
    email = new_email()
    body = {"email": email, "password": PASSWORD, "name": "Ada"}
    async with fleet.server.async_client() as client:
        first = account_of(
            seen.note("register", await client.post("/api/auth/register", json=body)), email
        )
        while not until.is_set():
            answer = seen.note("login", await client.post("/api/auth/login", json=body))
            account = account_of(answer, email)
            seen.signed_by.add(account.access.partition(".")[0])
            for one in (account, first):
                await protected(client, seen, one)
                renewed = seen.note(
                    "refresh", await client.post(REFRESH, headers=refresh_headers(one))
                )
                renew(one, renewed)
                await protected(client, seen, one)


async def protected(client: httpx2.AsyncClient, seen: Seen, account: Account) -> None:
    for _ in range(3):
        answer = await client.get("/api/profile", headers=account.bearer)
        seen.note("profile", answer)
    answer = await client.get("/api/auth/sessions", headers=account.bearer)
    seen.note("sessions", answer)


async def rotate(fleet: Fleet, admin: Account) -> None:
    await publish_long_ago_in(fleet.database_url)
    async with fleet.server.async_client() as client:
        answer = await client.post("/api/keys/rotate", json={}, headers=admin.bearer)
    assert answer.status_code == 200, answer.text
    # Past the grace, so that refreshes rotate too.
    fleet.server.turn(11)


async def used(seen: Seen, keys: int) -> None:
    """Let them go on for a while, and until so many keys have signed and each client has asked a
    few times more.
    """
    before = sum(seen.answers.values())
    async with asyncio.timeout(60):
        await asyncio.sleep(SECONDS / (ROTATIONS + 1))
        while len(seen.signed_by) < keys or sum(seen.answers.values()) < before + 5 * CLIENTS:  # noqa: ASYNC110
            await asyncio.sleep(0.05)


async def test_not_one_request_fails(fleet: Fleet) -> None:
    admin = await asyncio.to_thread(fleet.admin)
    seen, until = Seen(), asyncio.Event()
    async with asyncio.TaskGroup() as group:
        for _ in range(CLIENTS):
            group.create_task(one_client(fleet, seen, until))
        for done in range(ROTATIONS):
            await used(seen, done + 1)
            await rotate(fleet, admin)
        await used(seen, ROTATIONS + 1)
        until.set()
    total = sum(seen.answers.values())
    print(f"{fleet.database_url[:6]}: {total:,} requests, {ROTATIONS} rotations: {seen.answers}")
    assert {status for _, status, _ in seen.answers} == {200, 201}
    assert len(seen.signed_by) == ROTATIONS + 1, "each key in turn signed"
    assert total > CLIENTS * 20


async def test_a_killed_key_is_dead_everywhere_soon(fleet: Fleet) -> None:
    with fleet.server.client() as client:
        ada = register(client)
    admin = await asyncio.to_thread(fleet.admin)
    async with each_worker(fleet) as workers, fleet.server.async_client() as client:
        await everywhere(workers, "/api/profile", ada, (200, ""))
        keys = (await client.get("/api/keys", headers=admin.bearer)).json()["data"]["keys"]
        [kid] = [key["id"] for key in keys if (key["ring"], key["state"]) == ("access", "signing")]
        path, body = f"/api/keys/{kid}/retire", {"compromised": True}
        answer = await client.post(path, json=body, headers=admin.bearer)
        began = time.monotonic()
        assert answer.status_code == 200, answer.text
        await everywhere(workers, "/api/profile", ada, (401, "invalid_token"))
        took = time.monotonic() - began
        # Its session lives: a refresh, by whichever process.
        for _ in range(8):
            answer = await client.post(REFRESH, headers=refresh_headers(ada))
            assert answer.status_code == 200, answer.text
            renew(ada, answer)
        await everywhere(workers, "/api/profile", ada, (200, ""))
    print(f"{fleet.database_url[:6]}: a killed key was dead after {took:.3f} s")
    assert took < SEEN_S
    store = fleet.store()
    [gone] = [key for key in await store.keys.all() if key.kid == kid]
    await store.close()
    assert gone.sealed == b""
