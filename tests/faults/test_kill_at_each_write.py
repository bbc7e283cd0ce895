"""A process killed by SIGKILL at each write leaves no half state: of register, login and refresh,
of rotating, killing and sealing keys.
"""

import asyncio
import json
import os
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest

from authward.core.keys import MasterSecret, StoredKey
from authward.core.rotation import ROTATING
from authward.core.sessions import Session
from authward.errors import ConfigurationError
from authward.services.rings import Seals
from tests.faults.dying import HERE
from tests.here import Here
from tests.keys import publish_long_ago
from tests.serving import PASSWORD, SECRET, Account, environment, refresh_cookie

# One process that makes the others, for all of them.
pytestmark = pytest.mark.xdist_group("kills")

KILLED = -9
NEVER = 1000
OTHER = "t5GkQz2Wn8Vb0Ld7Xc4Rf1Hj6Ps9My3EaUiOqTwYvZo"


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
    assert point == 11, "two transactions of three writes each, and both ends of their commits"
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
    assert point == 8, "five writes, and both ends of the commit"
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
    assert point == 6, "three writes, and both ends of the commit"
    assert seen == {0, 1}


async def test_reset(here_on_each: Here, zygote: Zygote) -> None:
    """Of a password, by the operator: the new one, the end of all sessions, the word to others and
    the row that tells of it, or nothing of it.
    """
    here = here_on_each
    seen = set()
    for point in range(1, 30):
        account = await here.register()
        before = await counted(here, "password.reset")
        new = f"{PASSWORD} anew {point}"
        killed = await zygote.run("reset", point, user=account.id, password=new)
        done = await counted(here, "password.reset") - before
        assert bool(await sessions_of(here, account.id)) == (not done)
        await here.services.feed.poll()
        error = (await here.profile(account)).json().get("error")
        assert error == ("token_revoked" if done else None)
        for password, good in ((PASSWORD, not done), (new, bool(done))):
            body = {"email": account.email, "password": password}
            answer = await here.send("POST", "/api/auth/login", json=body)
            assert (answer.status_code == 200) == good
        seen.add(done)
        if not killed:
            break
    assert seen == {0, 1}
    assert point > 4


async def retried(here: Here, account: Account, session: Session) -> None:
    """The retry gets the successor that was lost, or makes it now."""
    successor = refresh_cookie(await here.refresh(account))
    assert successor != account.cookie
    if session.generation == 1:
        assert successor == here.services.tokens.refresh(session)[0]
    assert refresh_cookie(await here.refresh(account)) == successor
    assert refresh_cookie(await here.refresh(account, successor)) == successor


async def states(here: Here) -> dict[str, dict[str, int]]:
    """Ring → state → how many keys, but for the retired ones."""
    found: dict[str, Counter[str]] = {ring: Counter() for ring in ROTATING}
    for key in await here.services.store.keys.all():
        if key.ring in found and key.state != "retired":
            found[key.ring][key.state] += 1
    return {ring: dict(counted) for ring, counted in found.items()}


async def test_rotation(here_on_each: Here, zygote: Zygote) -> None:
    here = here_on_each
    account = await here.register()
    rotations = 0
    for point in range(1, 40):
        await publish_long_ago(here.services)
        killed = await zygote.run("rotate", point)
        told = await counted(here, "key.rotated")
        rotations += told > 3 * rotations
        assert told == 3 * rotations, "all three, or none"
        after = await states(here)
        for ring in ROTATING:
            assert after[ring].pop("verifying", 0) == rotations
            assert after[ring] == {"signing": 1, "pending": 1}
        # Whoever is left serves on.
        await here.services.feed.poll()
        assert (await here.profile(account)).status_code == 200
        if not killed:
            break
    assert point == 18, "nine keys, changes in two writes, three events, their chain, both ends"
    assert rotations == 2, "the one that was killed after its commit, and the last"


async def test_killing_every_key(here_on_each: Here, zygote: Zygote) -> None:
    here = here_on_each
    seen = set()
    account, killed = await here.register(), True
    for point in range(1, 60):
        account = await here.register()
        killed = await zygote.run("kill", point)
        await here.services.feed.poll()
        error = (await here.profile(account)).json().get("error")
        gone = error is not None
        seen.add(gone)
        # A token is dead with the keys, all of them, and its session can do nothing any more.
        refreshed = (await here.refresh(account)).status_code
        assert (error, refreshed) == (("invalid_token", 401) if gone else (None, 200))
        assert await states(here) == {ring: {"signing": 1, "pending": 1} for ring in ROTATING}
        # The next start ends what is left.
        assert not gone or not await zygote.run("start", NEVER)
        assert bool(await sessions_of(here, account.id)) == (not gone)
        if not killed:
            break
    assert not killed
    assert seen == {True, False}


async def test_killing_an_old_refresh_key(here_on_each: Here, zygote: Zygote) -> None:
    """Whoever knew it has moved a session to the next key, and holds genuine tokens of that: with
    the transaction that retires it he is out, and with the next start so is the session.
    """
    here = here_on_each
    killed, ended = True, set()
    for point in range(1, 60):
        old = here.services.keys.rings.refresh.signing.kid
        stolen = await here.register()
        await publish_long_ago(here.services)
        await here.services.keys.rotate("refresh", HERE)
        here.clock.turn(11)
        moved = (await here.services.sessions.refresh(stolen.cookie, HERE)).refresh_token
        here.clock.turn(302)
        lively = await here.register()
        killed = await zygote.run("kill", point, kid=old)
        gone = old in {
            key.kid for key in await here.services.store.keys.all() if key.state == "retired"
        }
        await here.services.feed.poll()
        assert (await here.profile(stolen)).status_code == (401 if gone else 200)
        assert not gone or not await zygote.run("start", NEVER)
        here.clock.turn(11)
        assert (await here.refresh(stolen, moved)).status_code == (401 if gone else 200)
        assert (await here.refresh(lively)).status_code == 200
        ended.add((gone, bool(await sessions_of(here, stolen.id))))
        if not killed:
            break
    assert not killed
    assert ended == {(False, True), (True, False)}


async def test_sealing_anew(here_on_each: Here, zygote: Zygote) -> None:
    here = here_on_each
    account = await here.register()
    old, new = Seals(MasterSecret(SECRET), os.urandom), Seals(MasterSecret(OTHER), os.urandom)
    seen = []
    for point in range(1, 40):
        killed = await zygote.run("start", point, secret=OTHER, previous=SECRET)
        assert killed
        keys = await here.services.store.keys.all()
        seen.append(opens(new, keys))
        assert opens(old, keys) != seen[-1], "all under one secret, and none under the other"
        assert await counted(here, "keys.resealed") == seen[-1]
        # It stops nobody who has the keys already.
        assert (await here.profile(account)).status_code == 200
        if seen[-1]:
            break
    assert point >= 10, "seven keys, one row of the log, both ends of the commit"


def opens(seals: Seals, keys: list[StoredKey]) -> bool:
    try:
        seals.open(keys)
    except ConfigurationError:
        return False
    return True
