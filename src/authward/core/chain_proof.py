"""Whether an audit log is as it was written: checkpoints, heads, then every row in the order of
ids. Memory is bounded by the number of chains, not of rows.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple

from authward.core.anchors import Anchors
from authward.core.audit_rows import StoredRow, bare, foreign, says_what_it_said
from authward.core.chain import (
    AuditKeys,
    Body,
    Checkpoint,
    Head,
    digest_of,
    is_checkpoint,
    ours,
    read_body,
    row_hash,
    same,
    signed_by_us,
)
from authward.core.text import printable

MOST_TOLD = 100
MOST_NAMED = 4  # hashes of one number
_LAST = 2**63


@dataclass(frozen=True, slots=True)
class Problem:
    """What is wrong, and with which row, if it is one that is there."""

    row: int | None
    why: str


@dataclass(slots=True)
class _Chain:
    """How far one chain was followed; where it must end, and what a checkpoint saw."""

    secret: bytes
    end: Head
    seq: int = 0
    id: int = 0
    hash: bytes = b""
    marked: Head | None = None


@dataclass(frozen=True, slots=True)
class Proof:
    """What verifying came to. `first` is the first problem: of the rows, the one with the lowest
    id; `bad` counts all problems, of which `problems` holds a hundred at most.
    """

    rows: int
    writers: int
    checkpoints: int
    unchained: int
    last: tuple[int, str] | None
    bad: int
    problems: tuple[Problem, ...]

    @property
    def holds(self) -> bool:
        return self.bad == 0

    @property
    def first(self) -> Problem | None:
        named = [one for one in self.problems if one.row is not None]
        return (
            min(named, key=lambda one: one.row or 0) if named else next(iter(self.problems), None)
        )


class Pruned(NamedTuple):
    """How many rows were deleted, and what ended it before its time."""

    rows: int
    problem: Problem | None


class HeldUp(NamedTuple):
    """How many rows are old enough to go and stay, as one that comes before them in its chain is
    dated later; and one such row.
    """

    rows: int
    behind: int


@dataclass(slots=True)
class Prover:
    """Told all checkpoints by number, then all heads, then all rows by id; `finish` says what is
    wrong. `anchors` are checkpoints somebody kept elsewhere.
    """

    keys: AuditKeys
    anchors: Anchors = field(default_factory=dict)
    rows: int = 0
    total: int | None = None
    """How many rows there are, if somebody counted: whoever may take the key off the table may add
    rows without an id, or with one that is taken, which nobody reads by id.
    """
    _bad: int = 0
    _problems: list[Problem] = field(default_factory=list)
    _checkpoint: Checkpoint | None = None
    _checkpoints: int = 0
    _last: tuple[int, str] | None = None
    _seen: dict[str, Head] = field(default_factory=dict)
    _pruned: dict[str, Head] = field(default_factory=dict)
    _all: str = ""
    _old: tuple[int, int] | None = None
    _unchained: int = 0
    _found: set[int] = field(default_factory=set)
    _chains: dict[str, _Chain] = field(default_factory=dict)

    def again(self, keys: AuditKeys) -> Prover:
        """Another that was told the same checkpoints one by one, and neither heads nor rows."""
        return Prover(keys, _seen=dict(self._seen), _pruned=dict(self._pruned), _old=self._old)

    # --- checkpoints ---------------------------------------------------------------------

    def checkpoint(self, one: Checkpoint) -> None:
        """The next checkpoint."""
        self._checkpoints += 1
        if not is_checkpoint(one):
            return self._say(None, f"checkpoint {printable(str(one.number), 20)} was edited")
        before = self._checkpoint
        number, previous = (before.number, before.hash) if before else (0, b"")
        if one.number != number + 1:
            self._say(None, f"checkpoint {number + 1} is missing")
        elif one.previous != previous:
            self._say(None, f"checkpoint {one.number} does not follow the one before it")
        self._checkpoint = one
        body = self.statement(one)
        if body is None:
            return None
        if one.number == 1 and body.heads:
            # Ours is written before the first row is.
            self._say(None, "checkpoint 1 follows on rows: those before it are gone")
        self._last = one.number, one.hash.hex()
        self._found.add(one.number)
        if one.hash.hex() not in self.anchors.get(one.number, (one.hash.hex(),)):
            self._say(None, f"checkpoint {one.number} is not the one of the anchor")
        return None

    def statement(self, one: Checkpoint) -> Body | None:
        """What a checkpoint says by itself, whatever came before it; None if it was edited."""
        if not ours(self.keys, one):
            self._say(None, f"checkpoint {printable(str(one.number), 20)} was edited")
            return None
        body = read_body(one.body)
        for head in body.heads:
            self._see(one.number, head)
        self._pruned |= {head.writer: head for head in body.pruned}
        self._all = body.all or self._all
        self._old = body.unchained or self._old
        return body

    def _see(self, number: int, head: Head) -> None:
        """A chain as a checkpoint saw it. No chain gets shorter: whoever cut its tail off and put
        its true end from before back would have the next checkpoint sign that.
        """
        before = self._seen.get(head.writer)
        self._seen[head.writer] = head
        if before is not None and head.length < before.length:
            saw = "1 row" if head.length == 1 else f"{head.length} rows"
            self._say(
                None,
                f"checkpoint {number} saw {saw} of chain {_shown(head.writer)}, of which one "
                f"before it saw {before.length}",
            )

    # --- heads ---------------------------------------------------------------------------

    def head(self, head: Head, mac: bytes) -> None:
        """One chain that there is."""
        if not signed_by_us(self.keys, head, mac):
            self._say(None, f"the head of chain {_shown(head.writer)} is not signed by us")
            return
        chain = _Chain(self.keys.secrets[head.kid], head, marked=self._seen.get(head.writer))
        pruned = self._pruned.get(head.writer)
        if pruned is not None:
            chain.seq, chain.id, chain.hash = pruned.length, pruned.last_id, pruned.hash
            if chain.marked is not None and chain.marked.length <= pruned.length:
                chain.marked = None
        self._chains[head.writer] = chain

    # --- rows ----------------------------------------------------------------------------

    def unreadable(self, row_id: int | None, what: str = "") -> None:
        """A row that the database itself cannot read, or all of something else."""
        if row_id is not None:
            self.rows += 1
        self._say(row_id, f"{what} cannot be read".strip())

    @property
    def problem(self) -> Problem | None:
        """The first thing that is wrong so far."""
        return self._problems[0] if self._problems else None

    @property
    def older(self) -> tuple[int, int] | None:
        """How many rows are older than the chains, and the highest id of theirs."""
        return self._old

    def row(self, row: StoredRow) -> None:
        """The next row."""
        self.rows += 1
        if type(row.id) is not int:
            # As a table has them whose key somebody took away: no order is of such, and no sum.
            return self._say(None, "a row's id is nothing we wrote")
        if row.writer is None:
            return self._outside(row)
        name = foreign(row)
        if name is not None:
            return self._say(row.id, f"its {name} is nothing we wrote")
        chain = self._chains.get(row.writer)
        if chain is None:
            return self._say(row.id, f"belongs to chain {_shown(row.writer)}, which has no head")
        if row.seq <= chain.seq:
            return self._say(row.id, f"is no. {row.seq} of its chain, and comes after {chain.seq}")
        missing = row.seq - chain.seq - 1
        if missing:
            said = "1 row of its chain is" if missing == 1 else f"{missing} rows of its chain are"
            self._say(row.id, f"{said} missing before it")
        else:
            self._judge(chain, row)
        chain.seq, chain.id, chain.hash = row.seq, row.id, row.hash
        marked = chain.marked
        if marked is not None and marked.length == row.seq:
            if (marked.last_id, marked.hash) != (row.id, row.hash):
                self._say(row.id, "is not the row that a checkpoint saw there")
            chain.marked = None
        return None

    def _judge(self, chain: _Chain, row: StoredRow) -> None:
        try:
            expected = row_hash(
                chain.secret,
                chain.hash,
                row.writer,
                row.seq,
                row.after,
                row.at,
                row.kind,
                row.outcome,
                row.who_digest,
                row.what_digest,
            )
            edited = not same(row.hash, expected) or not says_what_it_said(chain.secret, row)
        except ValueError:  # a lone surrogate
            edited = True
        if edited:
            self._say(row.id, "was edited")
        elif row.after != chain.id:
            # The row before was signed for under another id.
            self._say(chain.id or row.id, f"was row {row.after} when it was written")

    def _outside(self, row: StoredRow) -> None:
        """A row in no chain: from before there were any."""
        self._unchained += 1
        if not bare(row):
            self._say(row.id, "was taken out of its chain")
        elif self._old is None or row.id > self._old[1]:
            self._say(row.id, "is in no chain")

    # --- the end -------------------------------------------------------------------------

    def finish(self) -> Proof:
        """What is wrong, all in all."""
        for writer, chain in self._chains.items():
            if (chain.seq, chain.id, chain.hash) != (
                chain.end.length,
                chain.end.last_id,
                chain.end.hash,
            ):
                self._ends_wrong(writer, chain)
            elif chain.marked is not None:
                self._say(
                    chain.id or None,
                    f"is the last of chain {_shown(writer)}, of which a checkpoint saw "
                    f"{chain.marked.length} rows, not {chain.seq}",
                )
        if self._chains and not self._checkpoints:
            self._say(None, "there is no checkpoint: they are gone")
        for writer in (self._seen.keys() | self._pruned.keys()) - self._chains.keys():
            self._say(None, f"chain {_shown(writer)}, which a checkpoint saw, is gone")
        if self.total is not None and self.total != self.rows:
            self._say(None, f"of {self.total} rows only {self.rows} have an id of their own")
        if self._all and digest_of(self._seen) != self._all:
            self._say(None, "a checkpoint does not tell of every chain there was")
        if self._old is not None and self._unchained != self._old[0]:
            self._say(
                None,
                f"of the rows older than the chains there are {self._unchained}, "
                f"not {self._old[0]}",
            )
        for number in sorted(self.anchors.keys() - self._found):
            self._say(None, f"checkpoint {number}, which the anchor names, is missing")
        for number, kept in sorted(self.anchors.items()):
            if len(kept) > 1:
                # We sign a number once: what followed on the first was taken back.
                named = " and ".join(kept[:MOST_NAMED])
                self._say(
                    None,
                    f"checkpoint {number} was signed {len(kept)} times, as the anchor has it "
                    f"({named}): the log was rolled back in between",
                )
        return Proof(
            self.rows,
            len(self._chains),
            self._checkpoints,
            self._unchained,
            self._last,
            self._bad,
            tuple(self._problems),
        )

    def _ends_wrong(self, writer: str, chain: _Chain) -> None:
        end, name = chain.end, _shown(writer)
        if chain.seq < end.length:
            lost = end.length - chain.seq
            said = "1 row after it is" if lost == 1 else f"{lost} rows after it are"
            self._say(chain.id or None, f"{said} missing at the end of chain {name}")
        elif chain.seq > end.length:
            self._say(chain.id, f"comes after the end of chain {name}")
        else:
            self._say(chain.id, f"was row {end.last_id} when it was written, or is another")

    def _say(self, row: int | None, why: str) -> None:
        self._bad += 1
        if len(self._problems) < MOST_TOLD:
            self._problems.append(Problem(row if type(row) is int else None, why))


def _shown(writer: object) -> str:
    return printable(str(writer), 8)
