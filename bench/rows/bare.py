"""A bare ASGI app behind the whole shield and a role, against one that sends the same bytes."""

from __future__ import annotations

from collections.abc import Iterator

from bench.goals import Figure, at_least
from bench.load import Rates

VARIANTS = ("bare-bytes", "bare-ours", "bare", "bare-stock", "starlette")


def figures(rates: Rates) -> Iterator[Figure]:
    yield Figure(
        "bare ASGI app behind the shield and a role, against one that sends the same bytes",
        rates.ratio("bare-ours", "bare-bytes"),
        at_least(0.95),
    )
    yield Figure(
        "the same, both on uvicorn's own HTTP protocol",
        rates.ratio("bare-stock", "bare-bytes"),
        at_least(0.95),
    )
