"""How long a session that one process ended is still let in by another."""

from __future__ import annotations

from collections.abc import Iterator

from bench import environments, inside
from bench.goals import Figure, at_most
from bench.load import Rates

VARIANTS = ()
# What is pushed arrives sooner than what is polled for.
GOALS = {
    "SQLite": at_most(1000),
    "SQLite, Redis": at_most(100),
    "PostgreSQL": at_most(100),
}


def figures(rates: Rates) -> Iterator[Figure]:
    found = inside.run("revocations", also=environments.packages("redis"))
    for name, goal in GOALS.items():
        if name in found:
            for part in ("p50", "p99"):
                what = f"revoked session refused on every process, {name}, {part}"
                yield Figure(what, found[name][part], goal, "ms")
