"""One of several processes on one database. Prints as JSON what it did: test_processes.py adds up.

python worker.py URL SECONDS SHARED_USER SHARED_SESSION

It says `ready`, and begins when told to by a line of input.
"""

import asyncio
import itertools
import json
import os
import sys
import time
from collections import Counter

from sqlalchemy import text

from authward.core.audit import Client, Event
from authward.core.chain import AuditKeys
from authward.core.sessions import Session, Verdict
from authward.core.users import User, UserChange
from authward.ports import NewSession
from authward.stores.sql import SqlStore

TASKS = 3
ME = os.getpid()
CLIENT = Client()


class Clock:
    offset_ms = 0

    def now(self) -> float:
        return time.time()

    def monotonic(self) -> float:
        return time.monotonic()


class Lost(Exception):
    """Another process rotated first: leave the session as it is."""


def happened(kind: str) -> Event:
    return Event(kind, Client(request_id=str(ME)))


def not_reused(verdict: Verdict, session: Session) -> None:
    if verdict is not Verdict.ROTATE:
        raise Lost


def count(user: User) -> UserChange:
    return UserChange(values={"name": str(int(user.name) + 1)}, supersede=True)


class Worker:
    def __init__(self, store: SqlStore, end: float, user: str, session: str) -> None:
        self.store = store
        self.end = end
        self.user = user
        self.session = session
        self.did: Counter[str] = Counter()
        self.passed: list[int] = []

    async def told(self, name, work):
        """Do it; and see how many audit rows were written meanwhile, by all."""
        before = await self.newest()
        found = await work
        self.passed.append(await self.newest() - before)
        self.did[name] += 1
        return found

    async def newest(self) -> int:
        [[last]] = await self.store.database.read(text("SELECT max(id) FROM audit_events"))
        return int(last)

    async def own_sessions(self, task: int) -> None:
        """Open, rotate three times, revoke."""
        sessions = self.store.sessions
        for number in itertools.count():
            if time.time() > self.end:
                return
            new = NewSession(f"{ME}-{task}-{number}", self.user, 0, "k", 3_600_000, "", "")
            opened = await self.told("open", sessions.open(new, happened("open"), replaces=None))
            assert opened is not None
            for generation in range(3):
                found = await self.told(
                    "rotate",
                    sessions.refresh(
                        new.id, generation, kid="k", grace=0, client=CLIENT, event=not_reused
                    ),
                )
                assert found is not None
                assert found.session.generation == generation + 1
            assert await self.told("revoke", sessions.revoke(new.id, happened("revoke")))

    async def shared(self) -> None:
        """Rotate the one session of all, and count in the one account of all."""
        generation = 0
        while time.time() <= self.end:
            assert await self.told(
                "count", self.store.users.change(self.user, count, happened("count"))
            )
            live = await self.store.sessions.of_user(self.user)
            [generation] = [one.generation for one in live if one.id == self.session]
            try:
                await self.told(
                    "shared",
                    self.store.sessions.refresh(
                        self.session, generation, kid="k", grace=0, client=CLIENT, event=not_reused
                    ),
                )
            except Lost:
                self.did["lost"] += 1

    async def run(self) -> None:
        await asyncio.gather(*(self.own_sessions(task) for task in range(TASKS)), self.shared())


async def main(url: str, seconds: str, user: str, session: str) -> None:
    store = SqlStore(url, Clock())
    store.audit.use(AuditKeys("kid-of-tests", {"kid-of-tests": bytes(32)}))
    await store.open()
    worker = Worker(store, time.time() + float(seconds), user, session)
    if float(seconds):
        await worker.run()
    await store.close()
    print(json.dumps({"did": worker.did, "passed": worker.passed}))


print("ready", flush=True)
sys.stdin.readline()
asyncio.run(main(*sys.argv[1:]))
