"""What a monitor wants to know of this process, in Prometheus' text format."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import accumulate
from typing import TYPE_CHECKING

from authward.core.events import EVENT_KINDS
from authward.services.counts import OK, PROTECTIONS, SECONDS, Counts
from authward.services.feed import Feed
from authward.services.handlers import Handling
from authward.services.hashing import HashLane
from authward.services.limits import FallbackLimiter

if TYPE_CHECKING:
    from prometheus_client import Metric

_OUTCOMES = {
    "login": ("authward_logins", "Sign-ins, by outcome: ok, or the error."),
    "refresh": ("authward_refreshes", "Refreshes, by outcome: ok, or the error."),
    "registration": ("authward_registrations", "Registrations, by outcome: ok, or the error."),
}


class Metrics:
    """The numbers of one process, with a registry of their own: several Authwards in a process do
    not mix, and nothing of the app's is told. They are read when asked for: what is counted costs
    an increment and nothing else.

    `reported` is what protections that only report would have refused, by their names, as it grows.
    `limiter` is the one that can be degraded, or None where limits have no shared store. `pid`
    tells apart the processes that answer at one address, or is None where there is one.
    """

    def __init__(
        self,
        feed: Feed,
        limiter: FallbackLimiter | None,
        counts: Counts,
        lane: HashLane,
        handling: Handling,
        reported: Mapping[str, int],
        *,
        pid: int | None = None,
    ) -> None:
        self._feed = feed
        self._limiter = limiter
        self._counts = counts
        self._lane = lane
        self._handling = handling
        self._reported = reported
        self._labels = {} if pid is None else {"pid": str(pid)}
        self._write: Callable[[], bytes] | None = None

    def text(self) -> bytes:
        """All of them, as they are now: `text/plain; version=0.0.4`."""
        if self._write is None:
            self._write = self._registered()
        return self._write()

    def collect(self) -> Iterator[Metric]:
        """What the registry asks for."""
        yield from self._gauges()
        yield from self._counters()
        yield self._hashing()

    def _registered(self) -> Callable[[], bytes]:
        # Imported at the first scrape, as most processes start without one in sight.
        from prometheus_client import CollectorRegistry, generate_latest

        registry = CollectorRegistry()
        registry.register(self)
        return lambda: generate_latest(registry)

    def _gauges(self) -> Iterator[Metric]:
        feed, limiter, lane = self._feed, self._limiter, self._lane
        for name, says, value in (
            ("feed_lag_seconds", "Seconds since the change feed was last read.", feed.lag),
            ("feed_healthy", "1 while the change feed is read in time.", feed.healthy),
            (
                "rate_limit_degraded",
                "1 while this process counts limits by itself, as Redis is away.",
                limiter is not None and limiter.degraded,
            ),
            # Named before counters had their suffix.
            (
                "rate_limit_decided_alone",
                "Decisions on limits that this process took by itself, ever.",
                0 if limiter is None else limiter.decided_alone,
            ),
            ("hashing_queue", "Password hashes that wait for a thread.", lane.waiting),
            ("hashing_running", "Password hashes being made.", lane.running),
        ):
            yield self._metric("gauge", f"authward_{name}", says, "", [({}, float(value))])

    def _counters(self) -> Iterator[Metric]:
        counts = self._counts
        for what, (name, says) in _OUTCOMES.items():
            ended = {code: n for (kind, code), n in counts.outcomes.items() if kind == what}
            yield self._counter(name, says, "outcome", {OK: 0, **ended})
        told = {kind: counts.events[kind] for kind in (*EVENT_KINDS, *counts.events)}
        yield self._counter("authward_events", "Audit events that were written.", "kind", told)
        yield self._counter(
            "authward_refresh_reuse_detected",
            "Sessions that ended because an older refresh token came back.",
            None,
            {"": counts.events["session.reuse_detected"]},
        )
        yield self._counter(
            "authward_denials", "Requests refused with 401, 403 or 429.", "error", counts.denied
        )
        yield self._counter(
            "authward_rate_limit_decisions",
            "Requests to credential routes, as their limit decided.",
            "decision",
            {"allowed": counts.limited[True], "refused": counts.limited[False]},
        )
        yield self._counter(
            "authward_reported",
            "Requests that a protection which only reports would have refused.",
            "protection",
            {name: self._reported.get(name, 0) for name in PROTECTIONS},
        )
        yield self._counter(
            "authward_hashing_refused",
            "Password hashes refused, as the queue was full.",
            None,
            {"": counts.hashing_refused},
        )
        yield self._counter(
            "authward_handler_events_dropped",
            "Events a handler of the app was not told, as it was too slow.",
            None,
            {"": self._handling.dropped},
        )

    def _hashing(self) -> Metric:
        times = self._counts.hashing
        bounds = [*map(str, SECONDS), "+Inf"]
        sums = accumulate(times.counts)
        metric = self._metric("histogram", "authward_hashing_seconds", "", "", ())
        metric.documentation = "How long a password hash took, once it had its thread."
        for bound, below in zip(bounds, sums, strict=True):
            labels = {**self._labels, "le": bound}
            metric.add_sample("authward_hashing_seconds_bucket", labels, below)
        metric.add_sample("authward_hashing_seconds_count", self._labels, sum(times.counts))
        metric.add_sample("authward_hashing_seconds_sum", self._labels, times.total)
        return metric

    def _counter(
        self, name: str, says: str, label: str | None, values: Mapping[str, int]
    ) -> Metric:
        samples = [({} if label is None else {label: key}, n) for key, n in values.items()]
        return self._metric("counter", name, says, "_total", samples)

    def _metric(
        self,
        kind: str,
        name: str,
        says: str,
        suffix: str,
        samples: Iterable[tuple[dict[str, str], float]],
    ) -> Metric:
        from prometheus_client import Metric

        metric = Metric(name, says, kind)
        for labels, value in samples:
            metric.add_sample(name + suffix, {**self._labels, **labels}, value)
        return metric
