"""Four worker processes find at the same moment that a rotation is due: one does it, and all go by
it (NIST SP 800-57 part 1, section 5.3).
"""

import asyncio
import base64
import json
import os
import signal
from collections import Counter
from pathlib import Path

import httpx2

from authward.core.keys import StoredKey
from authward.core.rotation import ROTATING
from authward.stores.sql import SqlStore
from authward.testing import TurnableClock
from tests.fleets import WORKERS, Fleet
from tests.serving import (
    PASSWORD,
    REFRESH,
    Account,
    account_of,
    refresh_headers,
    register,
    renew,
    serving,
)

ROUNDS = 5
LOOK_S = 0.1
"""How often each process looks; a minute outside of tests."""
Clients = dict[str, httpx2.AsyncClient]


async def test_one_process_rotates_and_all_agree(database_url: str, tmp_path: Path) -> None:
    with serving(
        database_url,
        tmp_path,
        workers=WORKERS,
        algorithm="EdDSA",
        key_rotation="1h",
        test_rotate_every=LOOK_S,
    ) as server:
        fleet = Fleet(server, database_url)
        with server.client() as client:
            ada = register(client)
        async with fleet.each() as workers:
            for done in range(1, ROUNDS + 1):
                await all_look_at_once(fleet, workers)
                await agreed(workers, ada.email, await rotated(fleet, done))
                await nobody_is_signed_out(workers, ada)
        log = server.log
    keys, told = await stored(fleet)
    for ring in ROTATING:
        states = Counter(key.state for key in keys if key.ring == ring)
        assert states["signing"] == states["pending"] == 1
        assert sum(states.values()) == 2 + ROUNDS, "each rotation brought one key"
        assert told[ring] == ROUNDS
    assert "Traceback" not in log, log


async def all_look_at_once(fleet: Fleet, workers: Clients) -> None:
    """Let a rotation become due while nobody can look, and then all at the same moment."""
    try:
        for pid in workers:
            os.kill(int(pid), signal.SIGSTOP)
        fleet.server.turn(3700)
        # By then it is time for each of them.
        await asyncio.sleep(2 * LOOK_S)
    finally:
        for pid in workers:
            os.kill(int(pid), signal.SIGCONT)


async def rotated(fleet: Fleet, times: int) -> str:
    """Wait until the rings have rotated, and see that nobody does it again; the access key that
    signs.
    """
    async with asyncio.timeout(60):
        while (await stored(fleet))[1]["access"] < times:  # noqa: ASYNC110
            await asyncio.sleep(0.02)
    # Whoever looked when it was due has acted by now, too.
    await asyncio.sleep(2 * LOOK_S)
    keys, told = await stored(fleet)
    assert told == dict.fromkeys(ROTATING, times)
    [kid] = [key.kid for key in keys if (key.ring, key.state) == ("access", "signing")]
    return kid


async def stored(fleet: Fleet) -> tuple[list[StoredKey], Counter[object]]:
    """The keys there are, and how many rotations of each ring the audit log tells of."""
    store = SqlStore(fleet.database_url, TurnableClock())
    keys, rows = await store.keys.all(), await store.audit.latest(10_000)
    await store.close()
    return list(keys), Counter(
        row.event.detail["ring"] for row in rows if row.event.kind == "key.rotated"
    )


async def agreed(workers: Clients, email: str, kid: str) -> None:
    """Wait until every process signs with this key, and shows the same public ones."""
    body = {"email": email, "password": PASSWORD}
    async with asyncio.timeout(60):
        for client in workers.values():
            while True:
                account = account_of(await client.post("/api/auth/login", json=body), email)
                if kid_of(account) == kid:
                    break
                await asyncio.sleep(0.02)
    sets = [(await client.get("/.well-known/jwks.json")).json() for client in workers.values()]
    assert all(one == sets[0] for one in sets)
    assert kid in {key["kid"] for key in sets[0]["keys"]}


def kid_of(account: Account) -> str:
    head = account.access.partition(".")[0]
    return str(json.loads(base64.urlsafe_b64decode(head + "=" * (-len(head) % 4)))["kid"])


async def nobody_is_signed_out(workers: Clients, account: Account) -> None:
    """The session from before the first rotation refreshes at one process, and all take what it
    gives.
    """
    for client in workers.values():
        answer = await client.post(REFRESH, headers=refresh_headers(account))
        assert answer.status_code == 200, answer.text
        renew(account, answer)
        for other in workers.values():
            seen = await other.get("/api/profile", headers=account.bearer)
            assert seen.status_code == 200, seen.text
