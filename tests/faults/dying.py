"""Processes that kill themselves by SIGKILL at the n-th point of a flow that writes.

`python -m tests.faults.dying` reads jobs as JSON, one a line, forks a process for each, and writes
what became of it, one a line: 0 when it came to its end, -9 when it was killed. A point lies after
each statement that writes, before each commit and after it.
"""

import asyncio
import json
import os
import signal
import sys
from collections.abc import Sequence
from typing import Any

from sqlalchemy import Engine, event

from authward import Authward
from authward import process as process_module
from authward.core.audit import Client, Event
from authward.ports import Change
from authward.process import Process
from authward.testing import TurnableClock
from tests.cheap import cheap_parameters

KILLS = "authward-kills"
HERE = Client("203.0.113.9", "a browser")


class Fate:
    """Counts points once `until` is set."""

    def __init__(self) -> None:
        self.until = 0

    def point(self, *_: object, **__: object) -> None:
        if self.until:
            self.until -= 1
            if self.until == 0:
                os.kill(os.getpid(), signal.SIGKILL)

    def wrote(self, connection: object, cursor: object, statement: str, *_: object) -> None:
        if statement.startswith(("INSERT", "UPDATE", "DELETE")):
            self.point()


async def flow(auth: Authward, job: dict[str, Any]) -> None:
    services = auth.services
    if job["flow"] == "register":
        await services.accounts.register(
            job["email"], job["password"], "Ada", HERE, presented=job["presented"]
        )
    elif job["flow"] == "login":
        await services.accounts.login(
            job["email"], job["password"], HERE, presented=job["presented"]
        )
    elif job["flow"] == "reset":
        await services.passwords.reset(job["user"], job["password"], HERE)
    elif job["flow"] == "rotate":
        await services.keys.rotate(None, HERE)
    elif job["flow"] == "kill":
        await services.keys.kill(job.get("kid"), HERE)
    else:
        await services.sessions.refresh(job["token"], HERE)


async def live(job: dict[str, Any], fate: Fate) -> None:
    clock = TurnableClock()
    clock.turn(job["turned"])
    more = {"secret_previous": job["previous"]} if "previous" in job else {}
    auth = Authward(clock=clock, database_url=job["url"], secret=job["secret"], **more)
    at_start = job["flow"] == "start"
    fate.until = job["point"] if at_start else 0
    await auth.startup()
    if at_start:
        # What it does right after, while it serves.
        await asyncio.gather(*(one for one in asyncio.all_tasks() if one.get_name() == KILLS))
    else:
        fate.until = job["point"]
        await flow(auth, job)
    fate.until = 0
    await auth.shutdown()


def listen(fate: Fate) -> None:
    event.listen(Engine, "after_cursor_execute", fate.wrote)
    event.listen(Engine, "commit", fate.point)
    told = Process.committed

    def committed(process: Process, events: Sequence[Event], changes: Sequence[Change]) -> None:
        fate.point()
        told(process, events, changes)

    Process.committed = committed  # type: ignore[assignment,method-assign]


def main() -> None:
    cheap = cheap_parameters()
    vars(process_module)["HashParameters"] = lambda: cheap
    fate = Fate()
    listen(fate)
    for line in sys.stdin:
        child = os.fork()
        if child == 0:
            asyncio.run(live(json.loads(line), fate))
            os._exit(0)
        _, status = os.waitpid(child, 0)
        print(os.waitstatus_to_exitcode(status), flush=True)


if __name__ == "__main__":
    main()
