"""Who has an account here? Status, body, headers and time of a failed login must not say.

OWASP Authentication Cheat Sheet; Django CVE-2025-13473 (timing of unknown users).
"""

import asyncio
import random
import time
from typing import Any
from urllib.parse import urlsplit

import bcrypt
import pytest

from authward.core.audit import Event
from authward.core.passwords import Verdict, verify_password
from authward.ports import NewUser
from authward.services.hashing import HashLane
from tests.cheap import make_hashing_cheap
from tests.here import OPERATOR, Here, Serve
from tests.serving import PASSWORD

KINDS = ("unknown", "wrong", "disabled", "bcrypt")
SAMPLES = 500
CLIENTS = 24


@pytest.fixture
async def here(serve_on: Serve, sqlite_database: str, monkeypatch: pytest.MonkeyPatch) -> Here:
    # argon2id of half a millisecond and bcrypt of two: far apart, and thousands soon done.
    make_hashing_cheap(monkeypatch, memory_cost=512)
    here = await serve_on(sqlite_database, cheap=False)
    await here.register("wrong@example.com")
    disabled = await here.register("disabled@example.com")
    await here.services.users.set_disabled(None, disabled.id, True, OPERATOR)
    hashed = bcrypt.hashpw(PASSWORD.encode(), bcrypt.gensalt(5)).decode()
    email = "bcrypt@example.com"
    new = NewUser("bcrypt-user-1", email, email, "Bob", "user", hashed)
    await here.services.store.users.add(new, Event("user.imported", OPERATOR))
    return here


def body_of(kind: str) -> dict[str, str]:
    email = "no-address" if kind == "no address" else f"{kind}@example.com"
    # The disabled account is asked with its right password.
    return {"email": email, "password": PASSWORD if kind == "disabled" else PASSWORD + "!"}


async def test_one_answer(here: Here) -> None:
    answers = {}
    for kind in (*KINDS, "no address"):
        answer = await here.send("POST", "/api/auth/login", json=body_of(kind))
        said = answer.json()
        assert said.pop("timestamp")
        own = ("date", "x-request-id")
        headers = {name: value for name, value in answer.headers.items() if name not in own}
        # The length of the body is that of the timestamp, too.
        answers[kind] = (answer.status_code, said, headers)
    assert answers["unknown"][0] == 401
    assert answers["unknown"][1]["error"] == "invalid_credentials"
    assert all(answer == answers["unknown"] for answer in answers.values())


class Stopwatch:
    """Times failed logins over connections that stay open."""

    def __init__(self, here: Here) -> None:
        address = urlsplit(here.url)
        self._there = (address.hostname, address.port)
        self._requests = {
            kind: here.client.build_request("POST", "/api/auth/login", json=body_of(kind))
            for kind in KINDS
        }
        self.took: dict[str, list[float]] = {kind: [] for kind in KINDS}

    async def run(self, samples: int, clients: int = CLIENTS) -> None:
        todo = [kind for kind in KINDS for _ in range(samples)]
        random.shuffle(todo)
        await asyncio.gather(*(self._client(todo) for _ in range(clients)))

    async def _client(self, todo: list[str]) -> None:
        reader, writer = await asyncio.open_connection(*self._there)
        while todo:
            kind = todo.pop()
            request = self._written(self._requests[kind])
            began = time.perf_counter()
            writer.write(request)
            head = await reader.readuntil(b"\r\n\r\n")
            self.took[kind].append(time.perf_counter() - began)
            assert head.startswith(b"HTTP/1.1 401"), head
            [length] = [line for line in head.split(b"\r\n") if line.startswith(b"content-length")]
            await reader.readexactly(int(length.partition(b":")[2]))
        writer.close()
        await writer.wait_closed()

    @staticmethod
    def _written(request: Any) -> bytes:
        head = [f"{request.method} {request.url.path} HTTP/1.1".encode()]
        head += [name + b": " + value for name, value in request.headers.raw]
        return b"\r\n".join([*head, b"", request.content])


def rank_z(one: list[float], two: list[float]) -> float:
    """By how many standard deviations one sample ranks above the other (Mann and Whitney)."""
    together = sorted([(value, 0) for value in one] + [(value, 1) for value in two])
    ranks = sum(rank for rank, (_, which) in enumerate(together, 1) if which == 0)
    m, n = len(one), len(two)
    return (ranks - m * (m + n + 1) / 2) / (m * n * (m + n + 1) / 12) ** 0.5


@pytest.mark.timeout(300)
async def test_one_duration(here: Here) -> None:
    watch = Stopwatch(here)
    # A floor that was set too low rises with the first of them.
    await watch.run(40)
    for took in watch.took.values():
        took.clear()
    await watch.run(SAMPLES)
    found = {kind: round(rank_z(watch.took[kind], watch.took["unknown"]), 1) for kind in KINDS}
    assert all(abs(z) < 4.5 for z in found.values()), found


async def test_without_our_care_the_clock_would_tell(
    here: Here, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The same test sees a difference where there is one."""

    async def at_once(lane: HashLane, began: float) -> None:
        return None

    def own_scheme_alone(lane: HashLane, hashed: str | None, password: str) -> Verdict:
        chosen = lane._dummies["$argon2"] if hashed is None else hashed
        return verify_password(chosen, password, lane._parameters)

    # Of thirty milliseconds: no noise of a busy machine hides it.
    users = here.services.store.users
    bob = await users.by_id("bcrypt-user-1")
    slow = bcrypt.hashpw(PASSWORD.encode(), bcrypt.gensalt(9)).decode()
    assert await users.upgrade_hash(bob.id, bob.password_hash, slow)
    monkeypatch.setattr(HashLane, "release_failure", at_once)
    monkeypatch.setattr(HashLane, "_verify", own_scheme_alone)
    watch = Stopwatch(here)
    await watch.run(80, clients=1)
    assert rank_z(watch.took["bcrypt"], watch.took["unknown"]) > 4.5


async def test_every_failure_costs_the_same_hashes(
    here: Here, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In a crowded lane a cheaper failure would come back sooner, floor or not."""
    lane = here.services.accounts._hasher
    old = bcrypt.hashpw(b"somebody's", bcrypt.gensalt(4)).decode()
    new = await lane.hash("somebody's")
    await lane.verify(old, "wrong")
    asked: list[str] = []

    def noted(hashed: str, password: str, parameters: Any) -> Verdict:
        asked.append(hashed[:7])
        return verify_password(hashed, password, parameters)

    monkeypatch.setattr("authward.services.hashing.verify_password", noted)
    cost: dict[str, list[str]] = {}
    for kind, hashed in {"unknown": None, "argon2": new, "bcrypt": old}.items():
        asked.clear()
        assert not (await lane.verify(hashed, "wrong")).ok
        cost[kind] = sorted(asked)
    assert cost["unknown"] == cost["argon2"] == cost["bcrypt"]
    assert len(cost["unknown"]) == 2
