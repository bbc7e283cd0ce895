"""A limiter that goes on alone: what it does with a primary that comes and goes."""

import asyncio

import pytest

from authward.core.limits import Decision, Limit
from authward.errors import Unavailable
from authward.services.limits import FallbackLimiter
from tests.contracts.making import TurnedClock

FIVE = Limit(5, 86_400)
PAUSE = 1_000_000  # milliseconds; real time runs too, and must not end a pause
LET_IN = Decision(True, FIVE, 4, 86_400)


class Primary:
    """Answers as told, when told: each request waits for its own answer."""

    def __init__(self) -> None:
        self.waiting: list[asyncio.Future[Decision]] = []

    async def take(self, key: str, limit: Limit, cost: int = 1) -> Decision:
        answer: asyncio.Future[Decision] = asyncio.get_running_loop().create_future()
        self.waiting.append(answer)
        return await answer


@pytest.fixture
def clock() -> TurnedClock:
    return TurnedClock()


@pytest.fixture
def primary() -> Primary:
    return Primary()


@pytest.fixture
def limiter(primary: Primary, clock: TurnedClock) -> FallbackLimiter:
    return FallbackLimiter(primary, clock, pause=PAUSE / 1000)


async def asking(
    limiter: FallbackLimiter, primary: Primary, requests: int = 1
) -> list[asyncio.Task[Decision]]:
    """Requests that have got as far as they can."""
    tasks = [asyncio.create_task(limiter.take("a", FIVE)) for _ in range(requests)]
    await asyncio.sleep(0)
    return tasks


async def lose(limiter: FallbackLimiter, primary: Primary) -> None:
    [task] = await asking(limiter, primary)
    primary.waiting.pop().set_exception(Unavailable("gone"))
    assert (await task).allowed
    assert limiter.degraded


async def test_what_the_primary_says_is_passed_on(
    limiter: FallbackLimiter, primary: Primary
) -> None:
    [task] = await asking(limiter, primary)
    primary.waiting.pop().set_result(LET_IN)
    assert await task is LET_IN
    assert (limiter.degraded, limiter.decided_alone) == (False, 0)


async def test_each_request_that_meets_it_away_is_decided_here(
    limiter: FallbackLimiter, primary: Primary, caplog: pytest.LogCaptureFixture
) -> None:
    tasks = await asking(limiter, primary, 8)
    for answer in primary.waiting:
        answer.set_exception(Unavailable("gone"))
    assert [(await task).allowed for task in tasks] == [True] * 5 + [False] * 3
    assert limiter.decided_alone == 8
    assert [one.message for one in caplog.records] == [
        "rate limits: this process counts by itself: gone"
    ]


async def test_an_answer_that_was_under_way_when_it_went_does_not_bring_it_back(
    limiter: FallbackLimiter, primary: Primary
) -> None:
    first, second = await asking(limiter, primary, 2)
    primary.waiting[0].set_exception(Unavailable("gone"))
    await first
    primary.waiting[1].set_result(LET_IN)
    assert await second is LET_IN
    assert limiter.degraded


async def test_one_request_asks_after_a_pause_and_no_other_waits_for_it(
    limiter: FallbackLimiter, primary: Primary, clock: TurnedClock
) -> None:
    await lose(limiter, primary)
    [task] = await asking(limiter, primary)
    assert (task.done(), primary.waiting) == (True, [])

    clock.turn(PAUSE)
    probe, *others = await asking(limiter, primary, 4)
    assert not probe.done()
    assert [task.result().allowed for task in others] == [True] * 3
    primary.waiting.pop().set_exception(Unavailable("still gone"))
    assert not (await probe).allowed, "five were let in here"
    assert limiter.degraded

    clock.turn(PAUSE)
    [probe] = await asking(limiter, primary)
    primary.waiting.pop().set_result(LET_IN)
    assert await probe is LET_IN
    assert not limiter.degraded
    assert not (await asking(limiter, primary))[0].done()
    primary.waiting.pop().set_result(LET_IN)


async def test_a_probe_whose_caller_went_is_followed_by_another(
    limiter: FallbackLimiter, primary: Primary, clock: TurnedClock
) -> None:
    await lose(limiter, primary)
    clock.turn(PAUSE)
    [probe] = await asking(limiter, primary)
    probe.cancel()
    await asyncio.gather(probe, return_exceptions=True)
    clock.turn(PAUSE)
    [probe] = await asking(limiter, primary)
    primary.waiting.pop().set_result(LET_IN)
    await probe
    assert not limiter.degraded


async def test_what_was_counted_here_is_kept_while_it_counts(
    limiter: FallbackLimiter, primary: Primary, clock: TurnedClock
) -> None:
    await lose(limiter, primary)
    assert sum([(await limiter.take("a", FIVE)).allowed for _ in range(9)]) == 4
    short = Limit(1, 1)
    assert (await limiter.take("a", short)).allowed, "each limit has its own"
    clock.turn(PAUSE)
    [task] = await asking(limiter, primary)
    primary.waiting.pop().set_result(LET_IN)
    await task
    [task] = await asking(limiter, primary)
    primary.waiting.pop().set_exception(Unavailable("gone again"))
    # A window later the places are free, and not before.
    assert (await task).allowed is (FIVE.window <= PAUSE / 1000)


async def test_a_wrong_cost_is_no_outage(limiter: FallbackLimiter, primary: Primary) -> None:
    [task] = await asking(limiter, primary)
    primary.waiting.pop().set_exception(ValueError("a cost of 9"))
    with pytest.raises(ValueError, match="a cost of 9"):
        await task
    assert not limiter.degraded
