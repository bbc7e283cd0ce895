"""The limiter's memory."""

from __future__ import annotations

from collections.abc import Iterator

from bench import inside
from bench.goals import Figure, at_most
from bench.load import Rates
from bench.serving import Broken

VARIANTS = ()


def figures(rates: Rates) -> Iterator[Figure]:
    found = inside.run("memory")
    if found["clients"] != 1_000_000:
        raise Broken(f"limiter_memory: {found['clients']:,} of a million clients have an entry")
    yield Figure(
        "limiter's memory at a million clients of one request: each",
        found["bytes"],
        at_most(250),
        "bytes",
    )
    yield Figure(
        "limiter's entries after two million more, against its setting",
        found["kept"] / found["setting"],
        at_most(1),
    )
