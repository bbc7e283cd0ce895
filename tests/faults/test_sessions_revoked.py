"""`authward sessions revoke` beside four serving processes: what it ends is refused by all of them
within a second of its end, what it does not mean lives on, and nobody waits for it.

OWASP ASVS 7.4.
"""

import asyncio
import json
import sqlite3
import sys
import time
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx2
import pytest

from tests.fleets import SEEN_S, Fleet, eventually
from tests.serving import (
    PASSWORD,
    REFRESH,
    Account,
    Server,
    account_of,
    environment,
    error_of,
    refresh_headers,
    register,
    serving,
    sign_in,
)

SESSIONS, ACCOUNTS = 100_000, 20_000
ELSEWHERE = "127.0.0.77"


async def revoke(server: Server, database_url: str, *words: str) -> tuple[dict[str, Any], str]:
    """Run the command beside the server, with the same clock: its answer, and what else it said."""
    command = ["-m", "tests.served", "sessions", "revoke", *words, "--yes", "--json"]
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        *command,
        env=environment(database_url, test_clock=server.clock_file),
        cwd=server.log_file.parent,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    out, err = await process.communicate()
    assert process.returncode == 0, err.decode()
    told: dict[str, Any] = json.loads(out)
    return told, err.decode()


@dataclass
class Made:
    """What a command is told, the sessions it means, and what their access tokens are answered."""

    words: list[str]
    meant: list[Account]
    others: list[Account]
    expected: str = "token_revoked"


def everyone(fleet: Fleet, client: httpx2.Client) -> Made:
    return Made(["--all"], [register(client), fleet.admin()], [])


def a_role(fleet: Fleet, client: httpx2.Client) -> Made:
    return Made(["--role", "admin"], [fleet.admin(), fleet.admin()], [register(client)])


def opened_before(fleet: Fleet, client: httpx2.Client) -> Made:
    early = register(client)
    fleet.server.turn(100)
    late = [register(client), sign_in(client, early.email)]
    return Made(["--issued-before", "60s"], [early], late)


def an_account(fleet: Fleet, client: httpx2.Client) -> Made:
    user = register(client)
    other = sign_in(client, user.email)
    return Made(["--user", user.id], [user, other], [register(client)])


def by_its_address(fleet: Fleet, client: httpx2.Client) -> Made:
    user = register(client)
    return Made(["--user", user.email], [user], [register(client), fleet.admin()])


def a_network(fleet: Fleet, client: httpx2.Client) -> Made:
    user = register(client)
    transport = httpx2.HTTPTransport(local_address=ELSEWHERE)
    with fleet.server.client(transport=transport) as elsewhere:
        theirs = sign_in(elsewhere, user.email)
    return Made(["--ip", "127.0.0.76/30"], [theirs], [user, register(client)], "token_expired")


@pytest.mark.timeout(300)  # a command is a process of its own, and machines may be busy
@pytest.mark.parametrize(
    "make", [everyone, a_role, opened_before, an_account, by_its_address, a_network]
)
async def test_seen_by_all(fleet: Fleet, make: Callable[[Fleet, httpx2.Client], Made]) -> None:
    def prepare() -> Made:
        with fleet.server.client() as client:
            return make(fleet, client)

    made = await asyncio.to_thread(prepare)
    async with fleet.each() as workers:
        for client in workers.values():
            for account in (*made.meant, *made.others):
                answer = await client.get("/api/profile", headers=account.bearer)
                assert answer.status_code == 200, answer.text
        began = time.monotonic()
        told, _ = await revoke(fleet.server, fleet.database_url, *made.words)
        ran = time.monotonic() - began
        assert told["ended"] >= len(made.meant)
        began = time.monotonic()
        async with asyncio.timeout(30):
            await asyncio.gather(
                *(
                    eventually(client, account, made.expected)
                    for client in workers.values()
                    for account in made.meant
                )
            )
        took = time.monotonic() - began
        print(f"{fleet.database_url[:6]} {make.__name__}: ran {ran:.2f} s, then {took:.3f} s")
        assert took < SEEN_S
        for client in workers.values():
            for account in made.meant:
                answer = await client.post(REFRESH, headers=refresh_headers(account))
                assert answer.status_code == 401, answer.text
            await live_on(made, client)
            await sign_in_anew(made, client, list(workers.values()))


async def live_on(made: Made, client: httpx2.AsyncClient) -> None:
    ended = {account.id for account in made.meant}
    for account in made.others:
        answer = await client.get("/api/profile", headers=account.bearer)
        if made.expected == "token_expired" and account.id in ended:
            # Of a cut by address the account's other sessions fetch a new token.
            assert error_of(answer) == (401, "token_expired")
            answer = await client.post(REFRESH, headers=refresh_headers(account))
            fresh = {"authorization": f"Bearer {answer.json()['data']['accessToken']}"}
            answer = await client.get("/api/profile", headers=fresh)
        assert answer.status_code == 200, answer.text
        answer = await client.post(REFRESH, headers=refresh_headers(account))
        assert answer.status_code == 200, answer.text


async def sign_in_anew(
    made: Made, client: httpx2.AsyncClient, everywhere: list[httpx2.AsyncClient]
) -> None:
    email = made.meant[0].email
    answer = await client.post("/api/auth/login", json={"email": email, "password": PASSWORD})
    account = account_of(answer, email)
    for other in everywhere:
        answer = await other.get("/api/profile", headers=account.bearer)
        assert answer.status_code == 200, answer.text
    answer = await client.post(REFRESH, headers=refresh_headers(account))
    assert answer.status_code == 200, answer.text


# --- many ---------------------------------------------------------------------------------

USERS_MADE = """
WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < ?)
INSERT INTO users SELECT {columns} FROM n, (SELECT * FROM users LIMIT 1) AS one
"""
SESSIONS_MADE = """
WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < ?)
INSERT INTO sessions SELECT {columns} FROM n, (SELECT * FROM sessions LIMIT 1) AS one
"""


def fill(path: Path) -> None:
    """Many sessions like the first one there is, of many accounts, each from an own address."""
    with closing(sqlite3.connect(path, timeout=30)) as file:
        for statement, table, count, own in (
            (
                USERS_MADE,
                "users",
                ACCOUNTS,
                {"id": "'u-' || i", "email_canonical": "i || '@x.example'"},
            ),
            (
                SESSIONS_MADE,
                "sessions",
                SESSIONS,
                {
                    "id": "'s-' || i",
                    "user_id": f"'u-' || (i % {ACCOUNTS} + 1)",
                    "epoch": "0",
                    "ip": "'10.' || (i >> 16) || '.' || ((i >> 8) & 255) || '.' || (i & 255)",
                },
            ),
        ):
            names = [row[1] for row in file.execute(f"PRAGMA table_info({table})")]
            columns = ", ".join(own.get(name, f"one.{name}") for name in names)
            file.execute(statement.format(columns=columns), [count])
        file.commit()


async def write_on(server: Server, email: str, took: list[float]) -> None:
    """Sign in again and again, which writes."""
    async with server.async_client(connections=1, keep=1) as client:
        while True:
            began = time.monotonic()
            body = {"email": email, "password": PASSWORD}
            answer = await client.post("/api/auth/login", json=body)
            took.append(time.monotonic() - began)
            assert answer.status_code == 200, answer.text


def opened_meanwhile(path: Path) -> int:
    """How many sessions were opened after the first of the many was ended, and before the last."""
    with closing(sqlite3.connect(path)) as file:
        [(count,)] = file.execute(
            "SELECT count(*) FROM sessions, (SELECT min(revoked_at) AS first,"
            " max(revoked_at) AS last FROM sessions WHERE id LIKE 's-%')"
            " WHERE created_at > first AND created_at < last"
        )
    return int(count)


@pytest.mark.slow
@pytest.mark.timeout(300)
@pytest.mark.parametrize(
    ("words", "sessions", "accounts"),
    [("--all", SESSIONS, ACCOUNTS), ("--ip 10.0.0.0/18", 2**14 - 1, 2**14 - 1)],
)
async def test_of_a_hundred_thousand_nobody_waits_long(
    tmp_path: Path, words: str, sessions: int, accounts: int
) -> None:
    database_url = f"sqlite:///{tmp_path / 'test.db'}"
    with serving(database_url, tmp_path) as server:
        with server.client() as client:
            user = register(client)
        fill(tmp_path / "test.db")
        took: list[float] = []
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(write_on(server, user.email, took)) for _ in range(2)]
            await asyncio.sleep(0.3)
            before, began = len(took), time.monotonic()
            told, said = await revoke(server, database_url, *words.split())
            ran = time.monotonic() - began
            during = sorted(took[before:])
            for task in tasks:
                task.cancel()
        with server.client() as client:
            sign_in(client, user.email)
        assert "database is locked" not in server.log + said
        assert "Traceback" not in server.log + said
    print(
        f"{words}: {told} in {ran:.1f} s; beside it {len(during)} sign-ins, "
        f"p50 {during[len(during) // 2]:.3f} s, slowest {during[-1]:.3f} s"
    )
    assert told["ended"] >= sessions
    assert told["accounts"] >= accounts
    # None of them had to wait for all of it.
    assert opened_meanwhile(tmp_path / "test.db") >= 2
