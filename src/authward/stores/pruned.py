"""What checkpoints tell of pruning: where chains begin since then. There is a checkpoint for each
segment that ever was, so they are read in pages, and by one process once.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import BigInteger, bindparam, select

from authward.core.chain import AuditKeys, Checkpoint
from authward.core.chain_proof import Prover
from authward.stores.database import Read
from authward.stores.schema import audit_checkpoints

PAGE = 250
"""Checkpoints whose signatures are checked in one go: some milliseconds of the event loop."""
_LOWEST = -(2**63)

_number, _body = audit_checkpoints.c.number, audit_checkpoints.c.body
# What is in a body is read after its signature.
_OF_PRUNING = (
    select(audit_checkpoints)
    .where(
        _number > bindparam("from", type_=BigInteger()),
        _body.contains('"pruned":[[', autoescape=True)
        | _body.contains('"unchained"', autoescape=True),
    )
    .order_by(_number)
    .limit(PAGE)
)
_HASH = select(audit_checkpoints.c.hash).where(_number == bindparam("number", type_=BigInteger()))


class ToldOfPruning:
    """What the checkpoints up to a number tell, in `prover`. `last` is one of ours that was there
    when they were read.
    """

    def __init__(self, prover: Prover, last: Checkpoint | None = None) -> None:
        self.prover = prover
        self.last = last
        self._number: Any = _LOWEST if last is None else last.number

    async def tell(self, read: Read) -> None:
        """Read those that came since."""
        while True:
            rows = await read(_OF_PRUNING, {"from": self._number})
            for row in rows:
                self.prover.statement(Checkpoint(**row._mapping))
                self._number = row.number
            if len(rows) < PAGE:
                return

    def up_to(self, last: Checkpoint) -> None:
        """All up to `last` are told."""
        self.last = last
        self._number = last.number


async def told_again(before: ToldOfPruning | None, read: Read, keys: AuditKeys) -> ToldOfPruning:
    """What was told before, without heads and rows; nothing if its last checkpoint is not there any
    more: an older copy of the tables was put back.
    """
    if before is not None and before.last is not None:
        rows = await read(_HASH, {"number": before.last.number})
        if [row.hash for row in rows] == [before.last.hash]:
            return ToldOfPruning(before.prover.again(keys), before.last)
    return ToldOfPruning(Prover(keys))
