"""How long what one process ended is still let in by another, of four under load."""

from __future__ import annotations

from collections.abc import Iterator

from bench.goals import Figure, at_most
from bench.load import Rates
from bench.machine import Missing

try:
    from bench import revoking
except ImportError as error:
    raise Missing(f"{error.name} is missing; it comes with: make setup") from error

VARIANTS = ()
# What is pushed arrives sooner than what is polled for.
GOALS = {
    "SQLite": at_most(1000),
    "SQLite, Redis": at_most(100),
    "PostgreSQL": at_most(100),
}


def figures(rates: Rates) -> Iterator[Figure]:
    for name, found in revoking.all_found():
        for what, took in (
            ("revoked session", found.sessions),
            ("demoted admin or changed role", found.rights),
        ):
            for part in (50, 99):
                told = f"{what} refused by four workers, {name}, p{part}"
                yield Figure(told, sorted(took)[len(took) * part // 100], GOALS[name], "ms")
        yield Figure(f"protected requests meanwhile, {name}", found.rate, None, "/s")
        yield Figure(f"of which p99 took, {name}", found.waited, None, "ms")
