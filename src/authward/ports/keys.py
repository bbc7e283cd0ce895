"""Key rings."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from authward.core.audit import Event
from authward.core.keys import Ring, StoredKey


@dataclass(frozen=True, slots=True)
class KeyChange:
    """What is to become of the keys: rows to be stored whole, under new ids or those they have.
    `rings` are those whose processes must read them anew. If `before`, a whole second, is not 0,
    access tokens of sessions opened before then are dead.
    """

    put: Sequence[StoredKey] = ()
    rings: Sequence[Ring] = ()
    events: Sequence[Event] = ()
    before: int = 0


class KeyStore(Protocol):
    async def add_first(self, keys: Sequence[StoredKey]) -> list[StoredKey]:
        """Store each key whose ring has none, and return all keys there are now. Of several
        processes at once, one wins. Those that sign have done so since now.
        """
        ...

    async def all(self) -> list[StoredKey]:
        """Every key, in the order they were made."""
        ...

    async def change(
        self, decide: Callable[[Sequence[StoredKey], int], KeyChange | None]
    ) -> list[StoredKey]:
        """Lock all keys, let `decide` say what becomes of them as they are now (and when that is),
        store it, announce `keys.changed` of the rings it names, and `sessions.revoked` if sessions
        are meant too. Returns the keys after that. With None nothing happens.

        Of many at once each sees what the one before left.
        """
        ...

    async def live_sessions(self, *, unused: int, grace: int, late: int) -> Mapping[str, int]:
        """How many live sessions hang on each refresh key that has any, by kid; left out are those
        not refreshed for `unused` milliseconds.

        On a verifying key hang also those refreshed within `grace` that were opened no later than
        `late` after it signed: the token before may be of that key, and may come again.
        """
        ...

    async def longest_session(self) -> int:
        """The longest life that a session which is not over was given, in milliseconds; 0 if there
        is none.
        """
        ...
