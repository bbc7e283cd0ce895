"""Time and chance."""

from __future__ import annotations

from typing import Protocol


class Clock(Protocol):
    """Time. `offset_ms` is how far it has been turned; stores add it to database time, so tests
    turn both at once.
    """

    @property
    def offset_ms(self) -> int: ...

    def now(self) -> float:
        """Seconds since the epoch."""
        ...

    def monotonic(self) -> float:
        """Seconds from an arbitrary start that never run back."""
        ...


class Chance(Protocol):
    """Randomness fit for secrets."""

    def __call__(self, size: int, /) -> bytes:
        """`size` fresh random bytes."""
        ...
