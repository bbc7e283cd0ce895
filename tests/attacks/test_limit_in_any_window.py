"""Twice the limit around the edge of a window, and bursts at once.

Fixed windows (express-rate-limit's memory store) let 2 N - 1 through within a moment; counters that
weigh the last window are right on average only. Here: never N + 1 in any window.
"""

import asyncio
import math

import pytest
from starlette.types import Receive, Scope, Send

from authward.middleware.policies import Policy
from authward.middleware.ratelimit import RateLimit
from authward.testing import TurnableClock
from tests.middleware.driving import drive, http_scope
from tests.middleware.listening import listening, request

MOST, WINDOW = 5, 60.0


class Clock(TurnableClock):
    """Stands still until it is turned."""

    def monotonic(self) -> float:
        return self._turned


async def page(scope: Scope, receive: Receive, send: Send) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b"page"})


async def let_through(steps: list[float], **options: int) -> list[float]:
    """When requests were let through, of one after each of `steps` seconds."""
    clock = Clock()
    app = RateLimit(page, Policy(f"{MOST}/1m"), clock=clock, **options)  # type: ignore[arg-type]
    passed = []
    for step in steps:
        clock.turn(step)
        if (await drive(app, http_scope(client=("192.0.2.1", 1)))).status == 200:
            passed.append(clock.monotonic())
    return passed


def most_in_any_window(times: list[float]) -> int:
    return max(sum(start <= one < start + WINDOW for one in times) for start in times)


async def test_a_burst_on_each_side_of_the_edge():
    passed = await let_through([0.0, 59.0, *[0.1] * 8, 0.5, *[0.1] * 8])
    assert passed[:1] == [0.0]
    assert most_in_any_window(passed) == MOST
    assert [one for one in passed if one > 59.9] == [pytest.approx(60.3)]


@pytest.mark.parametrize("step", [0.5, 1.0, 7.0, 11.875, 12.0, 12.125, 30.0, 59.875])
@pytest.mark.parametrize("options", [{}, {"most_keys": 2}])
async def test_a_steady_rate(step: float, options: dict[str, int]):
    passed = await let_through([step] * 300, **options)
    assert most_in_any_window(passed) <= MOST
    # And none is lost: the first five of each window pass.
    asked_in_a_window = math.ceil(WINDOW / step)
    windows, rest = divmod(300, asked_in_a_window)
    assert len(passed) == windows * min(MOST, asked_in_a_window) + min(MOST, rest)


async def test_refused_requests_do_not_put_off_the_next_place():
    passed = await let_through([0.0] * 5 + [0.25] * 240)
    assert passed == [0.0] * 5 + [60.0]


async def test_time_that_is_turned_back_opens_nothing():
    passed = await let_through([1000.0] * 1 + [0.0] * 6 + [-500.0] + [1.0] * 400)
    assert len(passed) == MOST


async def test_fifty_connections_at_once():
    async with listening(RateLimit(page, Policy(f"{MOST}/1m"))) as port:
        answers = await asyncio.gather(*(request(port) for _ in range(50)))
    assert sorted(status for status, _ in answers) == [200] * MOST + [429] * 45
