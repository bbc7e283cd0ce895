"""A process killed by SIGKILL at each write of register, login and refresh leaves no half state."""

import asyncio
import json
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest

from authward.core.sessions import Session
from tests.here import Here
from tests.serving import PASSWORD, SECRET, Account, environment, refresh_cookie

# One process that makes the others, for all of them.
pytestmark = pytest.mark.xdist_group("kills")

KILLED = -9


class Zygote:
    """Makes processes that die at a point of our choice."""

    def __init__(self, here: Here, process: "subprocess.Popen[str]") -> None:
        self._here = here
        self._process = process

    async def run(self, flow: str, point: int, **facts: Any) -> bool:
        """Whether it was killed; else there was no such point any more."""
        turned = self._here.clock.offset_ms / 1000
        url = self._here.auth.settings.database_url
        job = {"url": url, "secret": SECRET, "turned": turned, "flow": flow, "point": point}
        job |= {"password": PASSWORD, **facts}
        outcome = await asyncio.to_thread(self._ask, json.dumps(job))
        assert outcome in (0, KILLED)
        return outcome == KILLED

    def _ask(self, line: str) -> int:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(line + "\n")
        self._process.stdin.flush()
        return int(self._process.stdout.readline())


@pytest.fixture(scope="module")
def process() -> "Iterator[subprocess.Popen[str]]":
    with subprocess.Popen(
        [sys.executable, "-m", "tests.faults.dying"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env=environment("sqlite:///none.db"),
    ) as process:
        yield process
        assert process.stdin is not None
        process.stdin.close()
        assert process.wait(30) == 0


@pytest.fixture
def zygote(here_on_each: Here, process: "subprocess.Popen[str]") -> Zygote:
    return Zygote(here_on_each, process)


async def counted(here: Here, kind: str) -> int:
    return sum(event.kind == kind for event in await here.told())


async def sessions_of(here: Here, user_id: str) -> list[Session]:
    found: list[Session] = await here.services.sessions.list(user_id)
    return found


async def test_register(here_on_each: Here, zygote: Zygote) -> None:
    here = here_on_each
    seen = set()
    for point in range(1, 30):
        email = f"user{point}@example.com"
        before = await counted(here, "user.registered"), await counted(here, "login.succeeded")
        killed = await zygote.run("register", point, email=email, presented=None)
        after = await counted(here, "user.registered"), await counted(here, "login.succeeded")
        user = await here.services.store.users.by_email(email)
        sessions = [] if user is None else await sessions_of(here, user.id)
        # Account and session are there each with the row that tells of it, or not at all.
        assert after == (before[0] + (user is not None), before[1] + len(sessions))
        seen.add((user is not None, len(sessions)))
        # Whoever tries again is let in, one way or the other.
        body = {"email": email, "password": PASSWORD, "name": "Ada"}
        answer = await here.send("POST", "/api/auth/register", json=body)
        assert answer.status_code == (201 if user is None else 409)
        assert (await here.profile(await here.login(email))).status_code == 200
        if not killed:
            break
    assert point == 9, "two transactions of two writes each, and both ends of their commits"
    assert seen == {(False, 0), (True, 0), (True, 1)}


async def test_login(here_on_each: Here, zygote: Zygote) -> None:
    here = here_on_each
    account = await here.register()
    seen = set()
    for point in range(1, 30):
        presented = await here.login(account.email)
        [before, *others] = await sessions_of(here, account.id)
        killed = await zygote.run("login", point, email=account.email, presented=before.id)
        there = {session.id for session in await sessions_of(here, account.id)}
        new = there - {before.id} - {session.id for session in others}
        # The new session and the end of the one presented: both, or neither.
        assert len(new) == (before.id not in there)
        await here.services.feed.poll()
        error = (await here.profile(presented)).json().get("error")
        assert error == ("token_revoked" if new else None)
        logins = [event for event in await here.told() if event.kind == "login.succeeded"]
        assert (logins[-1].session in new) == bool(new)
        seen.add(len(new))
        if not killed:
            break
    assert point == 7, "four writes, and both ends of the commit"
    assert seen == {0, 1}
    assert (await here.profile(await here.login(account.email))).status_code == 200


async def test_refresh(here_on_each: Here, zygote: Zygote) -> None:
    here = here_on_each
    seen = set()
    for point in range(1, 30):
        account = await here.register()
        here.clock.turn(11)
        before = await counted(here, "session.refreshed")
        killed = await zygote.run("refresh", point, token=account.cookie)
        [session] = await sessions_of(here, account.id)
        assert await counted(here, "session.refreshed") == before + session.generation
        seen.add(session.generation)
        await retried(here, account, session)
        if not killed:
            break
    assert point == 5, "two writes, and both ends of the commit"
    assert seen == {0, 1}


async def retried(here: Here, account: Account, session: Session) -> None:
    """The retry gets the successor that was lost, or makes it now."""
    successor = refresh_cookie(await here.refresh(account))
    assert successor != account.cookie
    if session.generation == 1:
        assert successor == here.services.tokens.refresh(session)[0]
    assert refresh_cookie(await here.refresh(account)) == successor
    assert refresh_cookie(await here.refresh(account, successor)) == successor
