"""What is stored of the audit log's proof, as far as we signed it. Who can write to the database
can put anything beside that: it is told, and never gone by.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any

from sqlalchemy import BigInteger, bindparam, insert, select

from authward.core.chain import AuditKeys, Checkpoint, Head, mark_of, ours, signed_by_us
from authward.core.text import printable
from authward.stores.chains import LOCK, Chains
from authward.stores.database import Database, Read
from authward.stores.heads import SIGNED_HEADS, head_of
from authward.stores.schema import audit_checkpoints, audit_writers
from authward.stores.transactions import Transaction

_STEP = 20
_HIGHEST = 2**63 - 1
_number = audit_checkpoints.c.number
_BELOW = bindparam("below", type_=BigInteger())
_FROM = bindparam("from", type_=BigInteger())
ANY = select(_number).limit(1)
_PUT = insert(audit_checkpoints)
_DOWN = select(audit_checkpoints).where(_number < _BELOW).order_by(_number.desc())
_TAKEN = select(_number).where(_number > _FROM).order_by(_number).limit(_STEP)
_TOLD = select(audit_checkpoints).where(
    _number > _FROM,
    _number <= bindparam("to", type_=BigInteger()),
    ~audit_checkpoints.c.body.startswith('{"heads":[],', autoescape=True),
)

log = logging.getLogger("authward.audit")


async def last_signed(read: Read, keys: AuditKeys) -> Checkpoint | None:
    """The last checkpoint that is ours."""
    strange: list[Any] = []
    below: Any = _HIGHEST
    while rows := await read(_DOWN.limit(_STEP if strange else 1), {"below": below}):
        for row in rows:
            found = Checkpoint(**row._mapping)
            if ours(keys, found):
                _tell(strange)
                return found
            strange.append(found.number)
            below = found.number
    _tell(strange)
    return None


def _tell(strange: list[Any]) -> None:
    # It would look like the last one, of just now: no other would be written, and an anchor that
    # no log can fail would be shown.
    if strange:
        log.error(
            "checkpoints of the audit log that are none we signed: %d, the last of them no. %s. "
            "Run authward audit verify",
            len(strange),
            printable(str(strange[0]), 20),
        )


async def last_alone(database: Database, tx: Transaction) -> Checkpoint | None:
    """The last checkpoint that is ours, while nobody else can put one after it: until `tx` ends."""
    if database.postgresql:
        await tx.rows(LOCK)
    return await last_signed(tx.rows, database.chains.signing)


async def put(tx: Transaction, chains: Chains, last: Checkpoint | None, body: str) -> Checkpoint:
    """Sign the checkpoint after `last`, and store it."""
    number, previous = (0, b"") if last is None else (last.number, last.hash)
    number = await _free_number(tx.rows, number)
    made = Checkpoint(number, chains.now(), chains.signing.kid, previous, body)
    made = made.signed(chains.signing)
    values = {name: getattr(made, name) for name in Checkpoint.__dataclass_fields__}
    await tx.run(_PUT, values)
    return made


async def _free_number(read: Read, last: int) -> int:
    """The number of the checkpoint after `last`: the next, unless something that is not ours has
    it, which stays, as evidence.
    """
    free = last + 1
    while True:
        taken = [row.number for row in await read(_TAKEN, {"from": free - 1})]
        for number in taken:
            if number != free:
                return free
            free += 1
        if not taken:
            return free


async def told_between(read: Read, keys: AuditKeys, first: int, last: int) -> bool:
    """Whether a checkpoint of ours after `first`, up to `last`, tells of chains."""
    rows = await read(_TOLD, {"from": first, "to": last})
    return any(ours(keys, Checkpoint(**row._mapping)) for row in rows)


async def settled(read: Read, keys: AuditKeys, ends: Mapping[str, Head]) -> list[Head]:
    """Of the ends of chains that this process wrote, those that need no more looking after: a
    checkpoint told of them, or they are gone, which is told here. No checkpoint could show that:
    those rows are in none.
    """
    if not ends:
        return []
    rows = await read(SIGNED_HEADS.where(audit_writers.c.writer.in_(ends)))
    there = {row.writer: row for row in rows}
    done = []
    for end in ends.values():
        row = there.get(end.writer)
        if row is None or not _goes_on(keys, head_of(row), row.mac, end):
            log.error(
                "the audit log was tampered with: chain %s, of which this process wrote %d rows, "
                "does not end there or later any more",
                end.writer[:8],
                end.length,
            )
            done.append(end)
        elif row.marked == mark_of(keys, head_of(row)):
            done.append(end)
    return done


def _goes_on(keys: AuditKeys, head: Head, signature: bytes, end: Head) -> bool:
    return signed_by_us(keys, head, signature) and (head == end or head.length > end.length)
