"""A rate-limit decision in Redis, counted on the wire."""

from __future__ import annotations

from collections.abc import Iterator

from bench import environments, inside
from bench.goals import Figure, at_most
from bench.load import Rates

VARIANTS = ()


def figures(rates: Rates) -> Iterator[Figure]:
    found = inside.run("round_trips", also=environments.packages("redis"))
    yield Figure("rate-limit decision on Redis", found["trips"], at_most(1), "round trips")
