"""How long a client may owe what it has begun, or never began."""

from __future__ import annotations

import asyncio
from typing import Any, Protocol
from weakref import WeakKeyDictionary

from uvicorn.server import ServerState

OWED_S = 30.0
"""Seconds a client has from when it is first seen to owe; it is looked every `LOOK_S`."""
LOOK_S = 5.0


class Debtor(Protocol):
    """A connection, as far as it is watched."""

    cycle: Any
    transport: asyncio.Transport
    owed: tuple[Any, float] | None

    def owes(self) -> bool:
        """Whether nothing happens here before the client sends more of what it has begun."""


class Watch:
    """Closes the connections of one server whose clients owe for too long: one timer for all of
    them, none of a request. It runs while there are connections.
    """

    def __init__(self) -> None:
        self._looking = False

    def begin(self, connections: set[Any], loop: asyncio.AbstractEventLoop) -> None:
        """Look after `connections`, which come and go."""
        if not self._looking:
            self._looking = True
            loop.call_later(LOOK_S, self._look, connections, loop)

    def _look(self, connections: set[Any], loop: asyncio.AbstractEventLoop) -> None:
        now = loop.time()
        for one in tuple(connections):
            # Those that became WebSockets are among them.
            if hasattr(one, "owed"):
                _look_at(one, now)
        self._looking = False
        if connections:
            self.begin(connections, loop)


def _look_at(one: Debtor, now: float) -> None:
    if not one.owes():
        one.owed = None
    # Who owes stops only by ending a head, and that makes a new cycle.
    elif one.owed is None or one.owed[0] is not one.cycle:
        one.owed = (one.cycle, now)
    elif now - one.owed[1] >= OWED_S:
        one.transport.close()


watch_of: WeakKeyDictionary[ServerState, Watch] = WeakKeyDictionary()
