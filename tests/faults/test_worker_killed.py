"""A worker killed while its supervisor waits for a sign of life of it is soon replaced."""

import asyncio
import os
import signal
import time

from tests.fleets import WORKERS, Fleet

# Far below what the supervisor grants a slow worker; far above what a start takes.
SOON_S = 50


async def test_a_worker_that_dies_unheard_is_replaced(fleet: Fleet) -> None:
    async with fleet.each() as workers:
        pid, *others = workers
        # Stopped, it does not answer the supervisor, who asks every half second.
        os.kill(int(pid), signal.SIGSTOP)
        await asyncio.sleep(1.5)
        os.kill(int(pid), signal.SIGKILL)
        began = time.monotonic()
        for other in others:
            assert (await workers[other].get("/api/public-data")).status_code == 200
    async with fleet.each() as workers:
        assert time.monotonic() - began < SOON_S
        assert len(workers) == WORKERS
        assert pid not in workers
        assert set(others) < set(workers)
