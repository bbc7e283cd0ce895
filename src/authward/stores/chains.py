"""Each connection's chain of audit rows, as it writes it."""

from __future__ import annotations

import os
from collections.abc import MutableMapping
from typing import Any

from sqlalchemy import insert, text
from sqlalchemy.dialects import postgresql, sqlite

from authward.core.audit import Event
from authward.core.chain import SALT_BYTES, AuditKeys, Head, first_head, head_mac, link
from authward.ports import Clock
from authward.stores.schema import audit_events, audit_writers

RECORD = insert(audit_events)
_HEAD = "authward.audit.head"
_MOVES = ("count", "last_id", "hash", "mac", "kid")


def _put_head(kind: Any) -> Any:
    # Whatever somebody made of the row meanwhile: what we know of our own chain stands.
    statement = kind(audit_writers)
    return statement.on_conflict_do_update(
        index_elements=["writer"], set_={name: statement.excluded[name] for name in _MOVES}
    )


# Whoever signs what others may sign as well waits for them first: two that each go by what they
# read before would both sign something that never was. SQLite has one writer anyway. Any constant
# serves, so long as it is ours alone.
LOCK = text("SELECT pg_advisory_xact_lock(4711746108704)")
PUT_HEAD = {"sqlite": _put_head(sqlite.insert), "postgresql": _put_head(postgresql.insert)}


class Chains:
    """Where the chains of one database's connections stand. Nothing is recorded before `keys` are
    there.

    Rows carry the time of this process's clock: they are signed before the database sees them.
    """

    def __init__(self, clock: Clock) -> None:
        self.keys: AuditKeys | None = None
        self.wrote = False
        """Whether a row was committed."""
        self.ends: dict[str, Head] = {}
        """The last that was committed of each chain, until a checkpoint is known to tell of it."""
        self._clock = clock

    @property
    def signing(self) -> AuditKeys:
        """Raises RuntimeError without keys: a row that nobody signed would look like a forgery."""
        if self.keys is None:
            raise RuntimeError("audit rows need their keys first: store.audit.use(keys)")
        return self.keys

    def now(self) -> int:
        """Milliseconds since the epoch, by this process's clock."""
        return int(self._clock.now() * 1000)

    def head(self, info: MutableMapping[Any, Any]) -> Head:
        """Where the chain of the connection with this `info` stands; a new one begins if it has
        none.
        """
        known: Head | None = info.get(_HEAD)
        return known or first_head(self.signing, os.urandom(16).hex())

    def follow(self, head: Head, event: Event) -> dict[str, Any]:
        """The row that follows."""
        return link(self.signing, head, self.now(), event, os.urandom(2 * SALT_BYTES))

    def signed(self, head: Head) -> dict[str, Any]:
        """A head as it is stored."""
        return {
            "writer": head.writer,
            "kid": head.kid,
            "count": head.length,
            "last_id": head.last_id,
            "hash": head.hash,
            "mac": head_mac(self.signing, head),
        }

    def doubt(self, info: MutableMapping[Any, Any]) -> None:
        """A commit begins. Should nobody hear how it ended, another chain begins."""
        info.pop(_HEAD, None)

    def keep(self, info: MutableMapping[Any, Any], head: Head) -> None:
        """It was committed."""
        info[_HEAD] = self.ends[head.writer] = head
        self.wrote = True

    def settle(self, head: Head) -> None:
        """That end is looked after no more, unless its chain went on."""
        if self.ends.get(head.writer) == head:
            del self.ends[head.writer]
