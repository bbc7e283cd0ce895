"""A rate-limit decision in memory, against two packages."""

from __future__ import annotations

from collections.abc import Iterator

from bench import environments, inside
from bench.goals import Figure, at_least
from bench.load import Rates

VARIANTS = ()
_WORKLOADS = {"allowed": "of a request let through", "refused": "of one refused"}


def figures(rates: Rates) -> Iterator[Figure]:
    times = inside.run("decisions", also=environments.packages("limiters"))
    for name, what in _WORKLOADS.items():
        for package in ("limits", "throttled-py"):
            yield Figure(
                f"rate-limit decision in memory {what}: times as fast as {package}",
                times[name][package] / times[name]["ours"],
                at_least(4),
            )
        # A bare yes or no, without what the headers of an answer have to say.
        alone = times[name]["limits, hit alone"] / times[name]["ours"]
        yield Figure(f"the same {what}: times as fast as the yes or no of limits", alone, None)
