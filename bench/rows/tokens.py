"""An access token that was never seen before."""

from __future__ import annotations

from collections.abc import Iterator

from bench import inside
from bench.goals import Figure, at_most
from bench.load import Rates

VARIANTS = ()


def figures(rates: Rates) -> Iterator[Figure]:
    times = inside.run("tokens")
    yield Figure(
        "time for a new HS256 token, against joserfc's decode and claims check",
        times["HS256"]["ours"] / times["HS256"]["theirs"],
        at_most(1.3),
    )
    yield Figure(
        "time for a new EdDSA token, against its bare signature check",
        times["EdDSA"]["ours"] / times["EdDSA"]["theirs"],
        at_most(1.5),
    )
