"""The audit log."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol

from authward.core.anchors import Anchor, Anchors, Kept
from authward.core.audit import Event
from authward.core.chain import AuditKeys, Checkpoint
from authward.core.chain_proof import HeldUp, Proof, Pruned


@dataclass(frozen=True, slots=True)
class AuditRow:
    """An audit event as stored. `at` in milliseconds, UTC, by the clock of the process that wrote
    it.
    """

    id: int
    at: int
    event: Event


@dataclass(frozen=True, slots=True)
class AuditQuery:
    """Which rows: all that satisfy each condition given. `user` is the actor or the subject;
    `since` is within, `until` is not.
    """

    user: str | None = None
    kind: str | None = None
    ip: str | None = None
    since: int | None = None
    until: int | None = None


class Erased(NamedTuple):
    """How many rows were erased, and the ids of those that could not be."""

    rows: int
    left: tuple[int, ...]


class AuditLog(Protocol):
    def use(self, keys: AuditKeys) -> None:
        """Sign with these keys from now on. Nothing can be recorded before."""
        ...

    async def record(self, events: Sequence[Event]) -> None:
        """Write events that belong to no other transaction."""
        ...

    async def latest(self, limit: int) -> list[AuditRow]:
        """The newest rows, newest first."""
        ...

    async def page(
        self, query: AuditQuery, limit: int, *, before: tuple[int, int] | None
    ) -> list[AuditRow]:
        """Up to `limit` rows, the latest first. `before` is the (at, id) of the last one seen."""
        ...

    async def after(self, query: AuditQuery, limit: int, *, last: int | None) -> list[AuditRow]:
        """Up to `limit` rows of a higher id than `last`, the first ones if it is None, in the order
        of ids. On PostgreSQL a row of a lower id may still appear later.
        """
        ...

    async def erase(self, user_id: str, told: Callable[[int], Event] | None = None) -> Erased:
        """Erase what the rows tell of an account: as actor, and as subject. Kinds, times and
        outcomes stay, and so do the chains. What cannot be read is left, and what was edited,
        as we would sign for that; and a row whose chain has no head of ours: nobody could tell
        later that we erased it. Not one transaction: each records what `told` gives of the number
        of rows it erased.
        """
        ...


class AuditChains(Protocol):
    """The proof that audit rows are as they were written."""

    @property
    def wrote(self) -> bool:
        """Whether this process has recorded anything."""
        ...

    async def begun(self) -> bool:
        """Whether there is any checkpoint, readable or not."""
        ...

    async def latest(self) -> Checkpoint | None:
        """The last checkpoint that we signed; None if there is none yet."""
        ...

    async def checkpoint(self, *, every: int = 0) -> Checkpoint | None:
        """Sign where every chain is, at one moment after the call. Whoever writes need not wait for
        it, however many chains there are. None if none has moved since the last one, or if that is
        younger than `every` milliseconds. The first is to be written before any row is.
        """
        ...

    def anchor(self, made: Checkpoint) -> Anchor:
        """What is kept elsewhere of a checkpoint, signed."""
        ...

    def anchors(self, told: Iterable[Anchor]) -> Kept:
        """Those that we signed, by number, and how many we did not."""
        ...

    async def verify(self, anchors: Anchors, on_rows: Callable[[int, int], None]) -> Proof:
        """Hold the log as it is now against its chains. `on_rows` is told how many rows are done,
        of how many. Raises Unavailable if the database is away.
        """
        ...

    async def count_older(self, before: int) -> int:
        """How many rows are older than `before`: as many as `prune` would delete, or more."""
        ...

    async def time(self) -> int:
        """The time of the database, in milliseconds."""
        ...

    async def held_up(self, before: int) -> HeldUp | None:
        """What is older than `before` and is not pruned, as chains are from their beginning."""
        ...

    async def prune(self, before: int, on_rows: Callable[[int], None]) -> Pruned:
        """Delete the rows at the beginnings of chains that are older than `before`, in segments
        that verify, each in one transaction with the checkpoint that stands for it. It ends with
        the first row that does not verify. `on_rows` is told how many are deleted so far.
        """
        ...
