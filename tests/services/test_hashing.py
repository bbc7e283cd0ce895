"""The hashing lane: off the event loop, bounded, and equally slow about every failure."""

import asyncio
import threading
from collections.abc import AsyncIterator, Iterator

import bcrypt
import pytest

from authward.core.passwords import Verdict, hash_password
from authward.errors import Overloaded
from authward.services import hashing
from authward.services.counts import Counts
from authward.services.hashing import FLOOR_MARGIN, FLOOR_RISES, HashLane
from tests.cheap import cheap_parameters

PARAMETERS = cheap_parameters()
OLD = bcrypt.hashpw(b"correct horse", bcrypt.gensalt(4)).decode()


def chance(size: int) -> bytes:
    return b"\x07" * size


LOOKS = 3
"""How often the clock moves on while the lane times a hash."""


class Clock:
    """Moves on by `step` at each look."""

    offset_ms = 0

    def __init__(self) -> None:
        self.at = 0.0
        self.step = 0.0

    def now(self) -> float:
        raise AssertionError("durations are measured with monotonic()")

    def monotonic(self) -> float:
        self.at += self.step
        return self.at


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
async def lane(clock: Clock) -> AsyncIterator[HashLane]:
    lane = HashLane(PARAMETERS, chance, clock, threads=2, queue=3)
    yield lane
    lane.stop()


class Gate(threading.Event):
    """`held` are those who wait for it."""

    held = 0


@pytest.fixture
def gate(monkeypatch: pytest.MonkeyPatch) -> Iterator[Gate]:
    """Verifying waits until this is set."""
    gate, one_by_one = Gate(), threading.Lock()

    def slow(hashed: str, password: str, parameters: object) -> Verdict:
        with one_by_one:
            gate.held += 1
        assert gate.wait(30)
        return Verdict(True)

    monkeypatch.setattr(hashing, "verify_password", slow)
    yield gate
    gate.set()


@pytest.fixture
def waits(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The waits that were asked for; none happens."""
    waits: list[float] = []

    async def note(seconds: float) -> None:
        waits.append(seconds)

    monkeypatch.setattr(asyncio, "sleep", note)
    return waits


async def test_a_hash_verifies_and_another_password_does_not(lane: HashLane) -> None:
    hashed = await lane.hash("correct horse")
    assert hashed == hash_password("correct horse", chance(16), PARAMETERS)
    assert await lane.verify(hashed, "correct horse") == Verdict(True)
    assert await lane.verify(hashed, "correct horsf") == Verdict(False)
    assert await lane.verify(OLD, "correct horse") == Verdict(True, outdated=True)


async def test_an_unknown_account_costs_a_hash_and_is_never_right(
    lane: HashLane, monkeypatch: pytest.MonkeyPatch
) -> None:
    await lane.start([])
    seen: list[str] = []

    def count(hashed: str, password: str, parameters: object) -> Verdict:
        seen.append(hashed)
        return Verdict(True)

    monkeypatch.setattr(hashing, "verify_password", count)
    assert await lane.verify(None, "") == Verdict(False)
    assert len(seen) == 1
    assert seen[0].startswith("$argon2id$")


async def test_the_loop_stays_free_while_hashing(lane: HashLane, gate: threading.Event) -> None:
    working = asyncio.create_task(lane.verify("$argon2id$", "x"))
    for _ in range(100):
        await asyncio.sleep(0)
    assert not working.done()
    gate.set()
    assert await working == Verdict(True)


async def test_past_the_queue_it_is_overloaded(lane: HashLane, gate: threading.Event) -> None:
    working = [asyncio.create_task(lane.verify("$argon2id$", "x")) for _ in range(5)]
    await asyncio.sleep(0)
    for _ in range(3):
        with pytest.raises(Overloaded) as caught:
            await lane.verify("$argon2id$", "x")
        assert caught.value.retry_after == 1
    gate.set()
    assert await asyncio.gather(*working) == [Verdict(True)] * 5
    await asyncio.gather(*(lane.verify("$argon2id$", "x") for _ in range(5)))


async def test_who_gave_up_waiting_leaves_the_queue(lane: HashLane, gate: Gate) -> None:
    working = [asyncio.create_task(lane.verify("$argon2id$", "x")) for _ in range(5)]
    while gate.held < 2:  # noqa: ASYNC110
        await asyncio.sleep(0)
    for task in working:
        task.cancel()
    await asyncio.gather(*working, return_exceptions=True)
    # Two are in a thread, which nothing can stop; the places of the three others are free again.
    again = [asyncio.create_task(lane.verify("$argon2id$", "x")) for _ in range(3)]
    await asyncio.sleep(0)
    with pytest.raises(Overloaded):
        await lane.verify("$argon2id$", "x")
    gate.set()
    assert await asyncio.gather(*again) == [Verdict(True)] * 3


async def test_a_stopped_lane_takes_nothing(lane: HashLane) -> None:
    lane.stop()
    for _ in range(20):
        with pytest.raises(Overloaded, match="stopped"):
            await lane.hash("x")


def test_a_hash_that_ends_after_its_loop(monkeypatch: pytest.MonkeyPatch, clock: Clock) -> None:
    gate = threading.Event()

    def slow(*_: object) -> str:
        gate.wait(30)
        return ""

    monkeypatch.setattr(hashing, "hash_password", slow)
    lane = HashLane(PARAMETERS, chance, clock, threads=1, queue=1)

    async def give_up() -> None:
        working = asyncio.create_task(lane.hash("x"))
        while not lane._pool._threads:  # noqa: ASYNC110
            await asyncio.sleep(0)
        working.cancel()

    asyncio.run(give_up())
    gate.set()
    lane._pool.shutdown(wait=True)
    assert lane._pending == 0


async def test_what_it_does_can_be_counted(clock: Clock, gate: threading.Event) -> None:
    counts = Counts()
    lane = HashLane(PARAMETERS, chance, clock, threads=1, queue=1, counts=counts)
    clock.step = 0.5
    tasks = [asyncio.create_task(lane.verify("$argon2id$x", "x")) for _ in range(2)]
    await asyncio.sleep(0)
    with pytest.raises(Overloaded):
        await lane.verify("$argon2id$x", "x")
    assert (lane.running, lane.waiting, counts.hashing_refused) == (1, 1, 1)
    gate.set()
    await asyncio.gather(*tasks)
    await asyncio.sleep(0)
    assert (lane.running, lane.waiting) == (0, 0)
    assert (sum(counts.hashing.counts), counts.hashing.total) == (2, 1.0)
    lane.stop()


# --- the floor of failures ------------------------------------------------------------------


async def test_a_failure_waits_for_the_floor(
    lane: HashLane, clock: Clock, waits: list[float]
) -> None:
    clock.step = 0.02 / LOOKS
    await lane.start([])
    clock.step = 0
    began = clock.monotonic()
    clock.at += 0.01
    await lane.release_failure(began)
    assert waits == [pytest.approx(0.02 * FLOOR_MARGIN - 0.01)]


async def test_the_slowest_scheme_sets_the_floor(
    lane: HashLane, clock: Clock, waits: list[float], monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[bytes] = []

    def slow(password: bytes, salt: bytes) -> bytes:
        asked.append(salt[:7])
        clock.at += 0.2
        return b""

    monkeypatch.setattr(bcrypt, "hashpw", slow)
    await lane.start(["$2b$10$", "$argon2", "$2b$31$", "junk", "$2y$ab$"])
    assert asked == [b"$2b$10$"]
    await lane.release_failure(clock.at)
    assert waits == [pytest.approx(0.2 * FLOOR_MARGIN)]


async def test_a_scheme_met_later_raises_it_once(
    lane: HashLane, clock: Clock, waits: list[float], monkeypatch: pytest.MonkeyPatch
) -> None:
    """As when accounts are imported while the server runs."""
    await lane.start([])
    asked: list[bytes] = []

    def slow(password: bytes, salt: bytes) -> bytes:
        asked.append(salt[:7])
        clock.at += 0.2
        return b""

    monkeypatch.setattr(bcrypt, "hashpw", slow)
    await asyncio.gather(*(lane.verify(OLD, "wrong") for _ in range(4)))
    await lane.verify(OLD, "wrong")
    await lane.verify("junk", "wrong")
    assert asked == [b"$2b$04$"]
    await lane.release_failure(clock.at)
    assert waits == [pytest.approx(0.2 * FLOOR_MARGIN)]


async def test_bcrypt_of_one_cost_is_one_scheme(
    lane: HashLane, monkeypatch: pytest.MonkeyPatch
) -> None:
    await lane.start(["$2a$04$", "$2b$04$", "$2y$04$", "$2b$05$"])
    asked: list[str] = []

    def note(hashed: str, password: str, parameters: object) -> Verdict:
        asked.append(hashed[:7])
        return Verdict(False)

    monkeypatch.setattr(hashing, "verify_password", note)
    for hashed in (None, OLD, OLD.replace("$2b$", "$2a$"), OLD.replace("$2b$", "$2y$"), "junk"):
        asked.clear()
        await lane.verify(hashed, "wrong")
        costs = sorted(one.replace("$2a$", "$2b$").replace("$2y$", "$2b$") for one in asked)
        assert [one for one in costs if one != "junk"] == ["$2b$04$", "$2b$05$", "$argon2"]


async def test_what_only_one_account_should_pay_for(
    lane: HashLane, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A cost past what an import takes: verified, but nobody else's failures wait for it."""

    def never(password: bytes, salt: bytes) -> bytes:
        raise AssertionError(salt)

    monkeypatch.setattr(bcrypt, "hashpw", never)
    await lane.start(["$2b$15$", "$2a$17$"])
    asked: list[str] = []

    def note(hashed: str, password: str, parameters: object) -> Verdict:
        asked.append(hashed[:7])
        return Verdict(False)

    monkeypatch.setattr(hashing, "verify_password", note)
    await lane.verify(OLD.replace("$04$", "$15$"), "wrong")
    assert asked == ["$2b$15$", "$argon2"]
    asked.clear()
    await lane.verify(None, "wrong")
    assert asked == ["$argon2"]


async def test_a_scheme_is_learned_in_the_background_also_past_a_full_queue(
    lane: HashLane, gate: threading.Event, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hashing, "LEARN_AGAIN", 0)
    await lane.start([])
    working = [asyncio.create_task(lane.verify("$argon2id$", "x")) for _ in range(5)]
    await asyncio.sleep(0)
    lane.learn(["$2a$04$", "$2y$04$", "$2b$31$"])
    learning = set(lane._learning)
    for _ in range(10):
        await asyncio.sleep(0)
    assert lane._dummies.keys() == {"$argon2"}
    gate.set()
    await asyncio.gather(*working, *learning)
    assert lane._dummies.keys() == {"$argon2", "$2b$04$"}


async def test_a_stopped_lane_learns_nothing(lane: HashLane) -> None:
    lane.stop()
    lane.learn(["$2b$04$"])
    [task] = lane._learning
    await asyncio.sleep(0)
    assert not task.done()
    lane.stop()
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_a_failure_that_outran_the_floor_raises_it_within_reason(
    lane: HashLane, clock: Clock, waits: list[float]
) -> None:
    clock.step = 0.02 / LOOKS
    await lane.start([])
    clock.step = 0

    async def floor_after(took: float) -> float:
        began = clock.at
        clock.at += took
        await lane.release_failure(began)
        waits.clear()
        await lane.release_failure(clock.at)
        return waits.pop()

    assert await floor_after(0.04) == pytest.approx(0.04 * FLOOR_MARGIN)
    assert await floor_after(0.01) == pytest.approx(0.04 * FLOOR_MARGIN)
    assert await floor_after(60) == pytest.approx(0.02 * FLOOR_RISES)
