"""A FastAPI route with everything on, against the same route without."""

from __future__ import annotations

from collections.abc import Iterator

from bench.goals import Figure, at_least
from bench.load import Rates

VARIANTS = ("fastapi-bytes", "fastapi-ours", "fastapi", "fastapi-stock")


def figures(rates: Rates) -> Iterator[Figure]:
    yield Figure(
        "FastAPI route with everything on, against one that sends the same bytes",
        rates.ratio("fastapi-ours", "fastapi-bytes"),
        at_least(0.92),
    )
    yield Figure(
        "FastAPI route with everything on, against one with nothing",
        rates.ratio("fastapi-ours", "fastapi"),
        at_least(0.80),
    )
    yield Figure(
        "the first of these, both on uvicorn's own HTTP protocol",
        rates.ratio("fastapi-stock", "fastapi-bytes"),
        at_least(0.92),
    )
    yield Figure(
        "the second of these, both on uvicorn's own HTTP protocol",
        rates.ratio("fastapi-stock", "fastapi"),
        at_least(0.80),
    )
