"""A bare ASGI app behind the whole shield and a role, against one that sends the same bytes."""

from __future__ import annotations

from collections.abc import Iterator

from bench.goals import Figure, at_least
from bench.load import Rates

VARIANTS = ("bare-bytes", "bare-ours", "bare-bytes-ours", "bare", "bare-stock", "starlette")

GOAL = at_least(0.95)


def figures(rates: Rates) -> Iterator[Figure]:
    what = "bare ASGI app behind the shield and a role, against one that sends the same bytes"
    yield Figure(f"{what}, as deployed", rates.ratio("bare-ours", "bare-bytes"), GOAL)
    yield Figure(
        f"{what}, both on uvicorn's own protocol", rates.ratio("bare-stock", "bare-bytes"), GOAL
    )
    yield Figure(f"{what}, both on our protocol", rates.ratio("bare-ours", "bare-bytes-ours"), GOAL)
