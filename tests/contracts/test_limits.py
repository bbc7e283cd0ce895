"""The promises of `RateLimiter`, over each database and Redis."""

import asyncio
import itertools
import random
import secrets
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest

from authward.core.limits import Limit, SlidingWindows
from authward.ports import RateLimiter
from authward.stores.redis import RedisLimiter
from tests.contracts.fixtures import Stores
from tests.contracts.limiting import let_in
from tests.contracts.making import TurnedClock

ROOT = Path(__file__).parents[2]
FIVE = Limit(5, 900)
PROCESSES = 4
BUSY = 10.0  # seconds of patience, where many tests share the machine
_numbers = itertools.count()

Limiters = Callable[[], Awaitable[RateLimiter]]


@pytest.fixture(
    params=["sqlite", pytest.param("postgresql", marks=pytest.mark.postgres), "redis"],
)
def place(request: pytest.FixtureRequest) -> str:
    """Where limits are kept."""
    names = {"sqlite": "sqlite_database", "postgresql": "postgres_database"}
    url: str = request.getfixturevalue(names.get(request.param, "redis_url"))
    return url


@pytest.fixture
async def limiters(place: str, stores: Stores, clock: TurnedClock) -> AsyncIterator[Limiters]:
    """Makes limiters on one place, each with connections of its own, like another process."""
    async with AsyncExitStack() as stack:

        async def make() -> RateLimiter:
            if not place.startswith("redis"):
                return (await stores(place)).limits
            limiter = RedisLimiter(place, clock, patience=BUSY)
            stack.push_async_callback(limiter.close)
            return limiter

        yield make


@pytest.fixture
async def limiter(limiters: Limiters) -> RateLimiter:
    return await limiters()


@pytest.fixture
def key() -> str:
    return f"login {next(_numbers)} {secrets.token_hex(8)}"


async def run(number: int, *arguments: str) -> list[int]:
    """How many each of `number` processes let in that begin at the same moment."""
    pipes: Any = dict.fromkeys(("stdin", "stdout", "stderr"), asyncio.subprocess.PIPE)
    command = [sys.executable, "-m", "tests.contracts.limiting", *arguments]
    processes = [
        await asyncio.create_subprocess_exec(*command, cwd=ROOT, **pipes) for _ in range(number)
    ]
    for process in processes:
        assert process.stdout is not None
        await process.stdout.readline()
    outputs = await asyncio.gather(*(process.communicate(b"go\n") for process in processes))
    for process, (_, errors) in zip(processes, outputs, strict=True):
        assert (process.returncode, errors.decode()) == (0, "")
    return [int(answer) for answer, _ in outputs]


class TestManyAtOnce:
    async def test_of_fifty_on_five_connections_exactly_five_are_let_in(
        self, limiters: Limiters, key: str
    ) -> None:
        several = [await limiters() for _ in range(5)]
        each = await asyncio.gather(*(let_in(one, key, FIVE, 10) for one in several))
        assert sum(each) == 5

    async def test_what_they_took_is_one_row_of_places(self, limiters: Limiters, key: str) -> None:
        limit = Limit(50, 900)
        several = [await limiters() for _ in range(5)]
        taken = await asyncio.gather(*(one.take(key, limit) for one in several * 10))
        assert sorted(decision.remaining for decision in taken) == list(range(50))
        assert not (await several[0].take(key, limit)).allowed

    async def test_over_four_processes(self, place: str, key: str) -> None:
        each = await run(PROCESSES, place, key, "7", "20")
        assert sum(each) == 7

    async def test_of_different_costs(self, limiters: Limiters, key: str) -> None:
        several = [await limiters() for _ in range(4)]
        limit = Limit(20, 900)
        costs = [1, 2, 3, 7] * 5
        taken = await asyncio.gather(
            *(several[at % 4].take(key, limit, cost) for at, cost in enumerate(costs))
        )
        left = 20 - sum(cost for cost, one in zip(costs, taken, strict=True) if one.allowed)
        # Whoever was turned away was turned away for want of room.
        assert (
            0 <= left < min(cost for cost, one in zip(costs, taken, strict=True) if not one.allowed)
        )

    async def test_many_keys_at_once(self, limiters: Limiters, key: str) -> None:
        one, two = await limiters(), await limiters()
        limit = Limit(2, 900)
        each = await asyncio.gather(
            *(let_in(at, f"{key} {number}", limit, 2) for number in range(10) for at in (one, two))
        )
        assert sum(each) == 20


class TestWindow:
    async def test_counts_down_and_tells_when_a_place_is_free(
        self, limiter: RateLimiter, clock: TurnedClock, key: str
    ) -> None:
        limit = Limit(3, 60)
        first = await limiter.take(key, limit)
        assert (first.allowed, first.limit, first.remaining) == (True, limit, 2)
        assert first.reset == 60
        clock.turn(20_000)
        second = await limiter.take(key, limit)
        assert (second.allowed, second.remaining) == (True, 1)
        assert 25 < second.reset <= 40
        clock.turn(20_000)
        assert (await limiter.take(key, limit)).remaining == 0
        refused = await limiter.take(key, limit)
        assert (refused.allowed, refused.remaining) == (False, 0)
        assert 5 < refused.reset <= 20

    async def test_slides(self, limiters: Limiters, clock: TurnedClock, key: str) -> None:
        one, two = await limiters(), await limiters()
        limit = Limit(2, 60)
        assert (await one.take(key, limit)).allowed
        clock.turn(40_000)
        assert (await two.take(key, limit)).allowed
        # A fixed window would begin anew here, and let two in.
        clock.turn(5000)
        assert not (await one.take(key, limit)).allowed
        clock.turn(15_001)
        assert (await one.take(key, limit)).allowed
        assert not (await two.take(key, limit)).allowed
        clock.turn(40_000)
        assert (await two.take(key, limit)).allowed

    async def test_a_place_counts_until_the_end_of_its_window(
        self, limiter: RateLimiter, clock: TurnedClock, key: str
    ) -> None:
        """Time runs on between two statements: far less than the minute left here."""
        limit = Limit(1, 3600)
        assert (await limiter.take(key, limit)).allowed
        clock.turn(3_540_000)
        refused = await limiter.take(key, limit)
        assert not refused.allowed
        assert 0 < refused.reset <= 60
        clock.turn(60_000)
        assert (await limiter.take(key, limit)).allowed

    async def test_time_that_runs_backwards_frees_nothing_and_locks_nobody_out(
        self, limiter: RateLimiter, clock: TurnedClock, key: str
    ) -> None:
        limit = Limit(2, 60)
        assert (await limiter.take(key, limit)).allowed
        clock.turn(-30_000)
        second = await limiter.take(key, limit)
        assert (second.allowed, second.remaining, second.reset) == (True, 0, 60)
        refused = await limiter.take(key, limit)
        assert (refused.allowed, refused.reset) == (False, 60)
        clock.turn(30_000 + 60_001)
        assert (await limiter.take(key, limit)).remaining == 1

    async def test_is_that_of_memory_whatever_comes(
        self, limiters: Limiters, clock: TurnedClock, key: str
    ) -> None:
        """Against `SlidingWindows`, step by step, in turns of a minute."""
        several = [await limiters(), await limiters()]
        chance = random.Random(7)
        limit = Limit(40, 1800)
        model = SlidingWindows(limit)
        seen = set()
        for step in range(80):
            clock.turn(60_000 * chance.choice((0, 0, 1, 2, 3, 7, 25)))
            cost = chance.choice((1, 1, 2, 3, 9, 21, 40))
            found = await several[step % 2].take(key, limit, cost)
            meant = model.take(key, clock.offset_ms / 1000, cost)
            assert (found.allowed, found.remaining) == (meant.allowed, meant.remaining), step
            assert meant.reset - 50 < found.reset <= meant.reset, step
            seen.add(found.allowed)
        assert seen == {True, False}


class TestCost:
    async def test_takes_all_or_nothing(
        self, limiter: RateLimiter, clock: TurnedClock, key: str
    ) -> None:
        limit = Limit(10, 60)
        assert (await limiter.take(key, limit, 4)).remaining == 6
        clock.turn(30_000)
        assert (await limiter.take(key, limit, 4)).remaining == 2
        refused = await limiter.take(key, limit, 3)
        assert (refused.allowed, refused.remaining) == (False, 2)
        assert 15 < refused.reset <= 30
        later = await limiter.take(key, limit, 7)
        assert (later.allowed, later.remaining) == (False, 2)
        assert 45 < later.reset <= 60
        assert (await limiter.take(key, limit, 2)).remaining == 0

    async def test_a_smaller_one_is_not_refused_for_a_larger_one(
        self, limiter: RateLimiter, key: str
    ) -> None:
        limit = Limit(4, 60)
        assert (await limiter.take(key, limit, 3)).allowed
        assert not (await limiter.take(key, limit, 2)).allowed
        assert (await limiter.take(key, limit, 1)).allowed

    @pytest.mark.parametrize("cost", [0, -1, 6])
    async def test_that_can_never_fit(self, limiter: RateLimiter, key: str, cost: int) -> None:
        with pytest.raises(ValueError, match=f"a cost of {cost} under a limit of 5"):
            await limiter.take(key, FIVE, cost)


class TestRefused:
    async def test_takes_no_place(self, limiters: Limiters, clock: TurnedClock, key: str) -> None:
        one, two = await limiters(), await limiters()
        limit = Limit(1, 60)
        assert (await one.take(key, limit)).allowed
        clock.turn(30_000)
        for _ in range(5):
            assert not (await one.take(key, limit)).allowed
            assert not (await two.take(key, limit)).allowed
        clock.turn(30_001)
        assert (await two.take(key, limit)).allowed

    async def test_is_told_the_time_that_is_left(
        self, limiters: Limiters, clock: TurnedClock, key: str
    ) -> None:
        one, two = await limiters(), await limiters()
        limit = Limit(1, 600)
        assert (await one.take(key, limit)).allowed
        first = await two.take(key, limit)
        again = await two.take(key, limit)
        assert 540 < again.reset <= first.reset <= 600


class TestLimits:
    async def test_of_one_key_are_apart(
        self, limiters: Limiters, clock: TurnedClock, key: str
    ) -> None:
        """A limit that was changed begins anew."""
        one, two = await limiters(), await limiters()
        limits = [Limit(2, 60), Limit(4, 60), Limit(2, 61), Limit(2, 61.5), Limit(2, 62)]
        for limit in limits:
            taken = [await one.take(key, limit) for _ in range(limit.most)]
            assert [decision.remaining for decision in taken] == [*range(limit.most)][::-1]
        assert not any([(await two.take(key, limit)).allowed for limit in limits])

    async def test_a_shorter_window_frees_no_place_of_a_longer_one(
        self, limiters: Limiters, clock: TurnedClock, key: str
    ) -> None:
        one, two = await limiters(), await limiters()
        allowed = 0
        for _ in range(20):
            assert (await one.take(key, Limit(50, 1))).allowed
            allowed += (await two.take(key, FIVE)).allowed
            clock.turn(1001)
        assert allowed == 5

    async def test_a_refusal_is_of_its_own_limit(self, limiter: RateLimiter, key: str) -> None:
        """Refusals are remembered."""
        assert await let_in(limiter, key, Limit(1, 60), 3) == 1
        assert await let_in(limiter, key, Limit(2, 60), 3) == 2


class TestKeys:
    async def test_are_apart(self, limiter: RateLimiter, key: str) -> None:
        limit = Limit(1, 900)
        strange = [
            "",
            " ",
            "A",
            "a",
            "ä",
            "\0",
            "a\0",
            "\ud800",
            "{a}",
            "{a}b",
            "%",
            "_",
            "'",
            "a:*",
        ]
        long = ["x" * 200, "x" * 201, "x" * 201 + "y", "é" * 500]
        names = [f"{key}{one}" for one in (*strange, *long)]
        taken = [await limiter.take(name, limit) for name in names]
        assert [one.allowed for one in taken] == [True] * len(names)
        again = [await limiter.take(name, limit) for name in names]
        assert [one.allowed for one in again] == [False] * len(names)

    async def test_that_is_the_hash_of_another_is_not_that_other(
        self, limiter: RateLimiter, key: str
    ) -> None:
        from authward.stores.counting import stored_key

        limit = Limit(1, 900)
        long = key + "x" * 300
        assert (await limiter.take(long, limit)).allowed
        assert (await limiter.take(stored_key(long, limit), limit)).allowed


async def test_what_was_counted_outlives_the_process(
    stores: Stores, database: str, key: str
) -> None:
    first = await stores(database)
    assert await let_in(first.limits, key, FIVE, 4) == 4
    await first.close()
    second = await stores(database)
    assert await let_in(second.limits, key, FIVE, 4) == 1
