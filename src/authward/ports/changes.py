"""The change feed."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

from authward.core.permissions import Role

ChangeKind = Literal[
    "session.revoked",
    "sessions.revoked",
    "user.revoked",
    "user.superseded",
    "roles.changed",
    "scheme.added",
    "keys.changed",
]


@dataclass(frozen=True, slots=True)
class Change:
    """One row of the feed. `subject` is a session or user id; tokens of a user below `ver` are dead
    (revoked) or stale (superseded); `keep_session` is exempt. Of a scheme it is the prefix of its
    hashes, as `UserStore.schemes` tells it. Of many sessions (`sessions.revoked`) it is a role, or
    "" for all, and those opened before `before` are dead. Of keys it is their ring. `at` is when it
    was written.
    """

    kind: ChangeKind
    subject: str
    ver: int
    keep_session: str | None
    at: int
    before: int | None = None


@dataclass(frozen=True, slots=True)
class Cursor:
    """How far a reader has come: all below `head` is seen, but what the transactions write that
    were `running` then. As many of those as the database has connections.
    """

    head: int = 0
    running: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class ChangeBatch:
    """Changes since a cursor, and the cursor to read on from. Applying one twice is harmless.
    `anew`: another database stands there now, and whatever was read of it before is void.
    """

    changes: Sequence[Change]
    cursor: Cursor
    anew: bool = False


class ChangeFeed(Protocol):
    async def since(self, cursor: Cursor, *, horizon: int) -> ChangeBatch:
        """Every change visible now that a reader at `cursor` has not seen. `Cursor()` reads what
        is younger than `horizon` milliseconds. Never skips a late committer, and tells nothing
        twice, however long a transaction stays open; only a replica may.
        """
        ...

    async def roles(self) -> Mapping[str, Role]:
        """Every role there is, now."""
        ...

    async def announce(self, changes: Sequence[Change]) -> None:
        """Write changes that belong to no other transaction. The database sets `at`."""
        ...


class Wakes(Protocol):
    """Word that the feed has news, pushed from process to process. It may come late, twice or
    never: the feed is read at its interval all the same.
    """

    async def start(self, wake: Callable[[], None]) -> None:
        """From now on call `wake` for each word, in this event loop. Waits for nobody."""
        ...

    def tell(self) -> None:
        """A change was committed here. Waits for nobody, raises nothing."""
        ...

    async def stop(self) -> None: ...
