"""A FastAPI route with everything on, against the same route without."""

from __future__ import annotations

from collections.abc import Iterator

from bench.goals import Figure, at_least
from bench.load import Rates

VARIANTS = ("fastapi-bytes", "fastapi-ours", "fastapi-bytes-ours", "fastapi", "fastapi-stock")

BYTES, NOTHING = at_least(0.92), at_least(0.80)


def figures(rates: Rates) -> Iterator[Figure]:
    same = "FastAPI route with everything on, against one that sends the same bytes"
    nothing = "FastAPI route with everything on, against one with nothing"
    yield Figure(f"{same}, as deployed", rates.ratio("fastapi-ours", "fastapi-bytes"), BYTES)
    yield Figure(f"{nothing}, as deployed", rates.ratio("fastapi-ours", "fastapi"), NOTHING)
    yield Figure(
        f"{same}, both on uvicorn's own protocol",
        rates.ratio("fastapi-stock", "fastapi-bytes"),
        BYTES,
    )
    yield Figure(
        f"{nothing}, both on uvicorn's own protocol",
        rates.ratio("fastapi-stock", "fastapi"),
        NOTHING,
    )
    yield Figure(
        f"{same}, both on our protocol", rates.ratio("fastapi-ours", "fastapi-bytes-ours"), BYTES
    )
