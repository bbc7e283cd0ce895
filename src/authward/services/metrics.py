"""What a monitor wants to know of this process, in Prometheus' text format."""

from __future__ import annotations

from collections.abc import Callable

from authward.services.feed import Feed
from authward.services.limits import FallbackLimiter


class Metrics:
    """The numbers of one process, with a registry of their own: several Authwards in a process do
    not mix, and nothing of the app's is told.

    `limiter` is the one that can be degraded, or None where limits have no shared store.
    """

    def __init__(self, feed: Feed, limiter: FallbackLimiter | None) -> None:
        self._feed = feed
        self._limiter = limiter
        self._write: Callable[[], bytes] | None = None

    def text(self) -> bytes:
        """All of them, as they are now: `text/plain; version=0.0.4`."""
        if self._write is None:
            self._write = self._registered()
        return self._write()

    def _registered(self) -> Callable[[], bytes]:
        # Imported at the first scrape, as most processes start without one in sight.
        from prometheus_client import CollectorRegistry, Gauge, generate_latest

        registry = CollectorRegistry(auto_describe=True)

        def gauge(name: str, says: str, value: Callable[[], float]) -> None:
            Gauge(name, says, registry=registry).set_function(value)

        feed, limiter = self._feed, self._limiter
        gauge(
            "authward_feed_lag_seconds",
            "Seconds since the change feed was last read.",
            lambda: feed.lag,
        )
        gauge(
            "authward_feed_healthy",
            "1 while the change feed is read in time.",
            lambda: float(feed.healthy),
        )
        gauge(
            "authward_rate_limit_degraded",
            "1 while this process counts limits by itself, as Redis is away.",
            lambda: float(limiter is not None and limiter.degraded),
        )
        gauge(
            "authward_rate_limit_decided_alone",
            "Decisions on limits that this process took by itself, ever.",
            lambda: float(0 if limiter is None else limiter.decided_alone),
        )
        return lambda: generate_latest(registry)
