"""Four processes write the audit log, one is killed in the midst of it: the log verifies, and so it
does with what the log of the server told of it. Whoever then takes a row away is found.
"""

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import pytest
from sqlalchemy import text

from authward import Authward
from authward.core.anchors import Anchors
from authward.core.chain_proof import Proof
from authward.stores.sql import SqlStore
from authward.testing import TurnableClock
from tests.serving import ROOT, SECRET

PROCESSES = 4
WRITING_S = 1.5
MANY = 60


@contextmanager
def writing(url: str) -> Iterator["subprocess.Popen[str]"]:
    paths = f"{ROOT}{os.pathsep}{os.environ.get('PYTHONPATH', '')}".rstrip(os.pathsep)
    pipes: dict[str, Any] = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    with subprocess.Popen(
        [sys.executable, "-m", "tests.faults.auditing", url],
        env={**os.environ, "PYTHONPATH": paths},
        text=True,
        **pipes,
    ) as process:
        try:
            yield process
        finally:
            process.kill()


@pytest.mark.load
@pytest.mark.xdist_group("fleet")
async def test_an_honest_log_of_four_of_which_one_is_killed(database: str) -> None:
    with ExitStack() as stack:
        processes = [stack.enter_context(writing(database)) for _ in range(PROCESSES)]
        for process in processes:
            assert process.stdout is not None
            assert await asyncio.to_thread(process.stdout.readline) == "writing\n"
        await asyncio.sleep(WRITING_S)
        await written(database, MANY)
        processes[0].send_signal(signal.SIGKILL)
        await asyncio.sleep(WRITING_S / 3)
        for process in processes:
            code = -signal.SIGKILL if process is processes[0] else 0
            await asyncio.to_thread(process.communicate)
            assert process.returncode == code

    auth = Authward(database_url=database, secret=SECRET)
    await auth.startup()
    try:
        await check(auth)
    finally:
        await auth.shutdown()


async def written(url: str, rows: int) -> None:
    """Wait until the log has so many."""
    store = SqlStore(url, TurnableClock())
    async with asyncio.timeout(60):
        while len(await store.audit.latest(rows)) < rows:  # noqa: ASYNC110
            await asyncio.sleep(0.05)
    await store.close()


async def check(auth: Authward) -> None:
    store: Any = auth.services.store

    async def proof(anchors: Anchors | None = None) -> Proof:
        found: Proof = await store.chains.verify(anchors or {}, lambda done, total: None)
        return found

    honest = await proof()
    assert honest.holds, honest.problems
    assert honest.writers >= PROCESSES
    assert honest.rows >= MANY
    users = await store.database.read(text("SELECT count(*) AS number FROM users"))
    told = await store.database.read(
        text("SELECT count(*) AS number FROM audit_events WHERE kind = 'user.registered'")
    )
    # What happened is told, and what is told has happened: of the one that was killed, too.
    assert users == told
    # What the killed one wrote is covered by the next checkpoint of anybody.
    made = await auth.services.trail.checkpoint()
    last = honest.last if made is None else (made.number, made.hash.hex())
    assert last is not None
    assert (await proof({last[0]: (last[1],)})).holds
    gone = text(
        "DELETE FROM audit_events WHERE id = (SELECT id FROM audit_events"
        " ORDER BY id DESC LIMIT 1 OFFSET 20)"
    )
    assert await store.database.write(lambda tx: tx.run(gone)) == 1
    assert not (await proof({last[0]: (last[1],)})).holds
