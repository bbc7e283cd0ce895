"""Many clients from one load generator: a limit counts by address, and wrk has one."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from itertools import cycle
from typing import Any

Asgi = Callable[[Any, Any, Any], Awaitable[None]]

CLIENTS = 1024


def from_many(app: Asgi) -> Asgi:
    """`app`, told that its requests come from 1,024 addresses in turn. It stands around every
    Python app that is measured, so it costs all of them the same.
    """
    # The network that is set aside for benchmarks (RFC 2544).
    addresses = cycle([(f"198.18.{n >> 8}.{n & 255}", 50_000) for n in range(CLIENTS)])

    def told(scope: Any, receive: Any, send: Any) -> Awaitable[None]:
        if scope["type"] == "http":
            scope["client"] = next(addresses)
        return app(scope, receive, send)

    return told
