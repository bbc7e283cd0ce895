"""Where all chains of audit rows stand, read in pages: there is one for each connection there ever
was, and requests go on meanwhile.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import select

from authward.core.chain import AuditKeys, Head, digest_of_encoded, encoded, mark_of, signed_by_us
from authward.stores.database import Read
from authward.stores.schema import audit_writers

PAGE = 150
"""Heads whose signatures are checked in one go: about two milliseconds of the event loop."""

SIGNED_HEADS = select(
    *(
        audit_writers.c[name]
        for name in ("writer", "kid", "count", "last_id", "hash", "mac", "marked")
    )
)
# Nothing comes after one without a name, as there may be where somebody took the key off the table.
_FIRST = (
    SIGNED_HEADS.where(audit_writers.c.writer.is_not(None))
    .order_by(audit_writers.c.writer)
    .limit(PAGE)
)


@dataclass(frozen=True, slots=True)
class Standing:
    """All chains at one moment: whether there is any, those that no checkpoint told of as they
    are, with the marks that say it, and a digest over all.
    """

    any: bool
    moved: Sequence[Head]
    marks: Sequence[int]
    everything: str


async def standing(read: Read, keys: AuditKeys) -> Standing:
    """Where all chains stand whose head we signed, as `read` sees it."""
    found: dict[str, bytes] = {}
    moved: list[Head] = []
    marks: list[int] = []
    page = await read(_FIRST)
    while page:
        for row in page:
            head = head_of(row)
            if signed_by_us(keys, head, row.mac):
                found[head.writer] = encoded(head)
                mark = mark_of(keys, head)
                if row.marked != mark:
                    moved.append(head)
                    marks.append(mark)
        page = await read(_FIRST.where(audit_writers.c.writer > page[-1].writer))
    # In a thread: of a hundred thousand chains it is over ten megabytes.
    return Standing(bool(found), moved, marks, await asyncio.to_thread(digest_of_encoded, found))


def head_of(row: Any) -> Head:
    """The head in a row of `SIGNED_HEADS`."""
    return Head(*row[:5])
