"""One audit row as the database gave it, and whether it says what we wrote. Verifying asks, and so
does whoever is about to sign for a row once more.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from authward.core.chain import erasure_mac, same, what_digest, who_digest


class StoredRow(NamedTuple):
    """An audit row as the database gave it: whoever edits a database may put anything anywhere.
    `detail` is its text.
    """

    id: Any
    at: Any
    kind: Any
    outcome: Any
    actor: Any
    subject: Any
    session: Any
    ip: Any
    user_agent: Any
    request_id: Any
    detail: Any
    writer: Any
    seq: Any
    after: Any
    who_salt: Any
    who_digest: Any
    what_salt: Any
    what_digest: Any
    hash: Any
    erased: Any


_TEXT = (str,)
_MAYBE = (str, type(None))
_BYTES = (bytes,)
_MAYBE_BYTES = (bytes, type(None))
# Exactly these: b"x" must not pass for what its base64 spells, nor 1.0 for 1.
_TYPES = {
    "id": (int,),
    "at": (int,),
    "kind": _TEXT,
    "outcome": _TEXT,
    "actor": _MAYBE,
    "subject": _MAYBE,
    "session": _MAYBE,
    "ip": _TEXT,
    "user_agent": _TEXT,
    "request_id": _TEXT,
    "detail": _TEXT,
    "writer": _TEXT,
    "seq": (int,),
    "after": (int,),
    "who_salt": _MAYBE_BYTES,
    "who_digest": _BYTES,
    "what_salt": _MAYBE_BYTES,
    "what_digest": _BYTES,
    "hash": _BYTES,
    "erased": _MAYBE_BYTES,
}
_PLACES = tuple((name, StoredRow._fields.index(name), kinds) for name, kinds in _TYPES.items())
_CHAIN = slice(StoredRow._fields.index("writer"), None)


def foreign(row: StoredRow) -> str | None:
    """The name of a column that holds nothing of the kind we write there, if there is one. Asked of
    a row in a chain.
    """
    for name, place, kinds in _PLACES:
        if type(row[place]) not in kinds:
            return name
    return None


def bare(row: StoredRow) -> bool:
    """Whether nothing about a row is of a chain: from before there were any, or so it looks."""
    return all(one is None for one in row[_CHAIN])


def erasure_of(secret: bytes, row: StoredRow, *, who: bool, what: bool) -> bytes:
    """`erasure_mac` of a row."""
    place = row.writer, row.seq, row.hash, row.who_digest, row.what_digest
    return erasure_mac(secret, *place, who=who, what=what)


def says_what_it_said(secret: bytes, row: StoredRow) -> bool:
    """Whether who and what of a row are what its digests are of, or were erased by us. That the
    digests are ours only the chain tells. Raises ValueError for a lone surrogate.
    """
    who, what = row.who_salt is None, row.what_salt is None
    if who or what:
        if row.erased is None or not same(row.erased, erasure_of(secret, row, who=who, what=what)):
            return False
    elif row.erased is not None:
        return False
    by = row.actor, row.ip, row.user_agent, row.request_id
    of = row.subject, row.session, row.detail
    if who and by != (None, "", "", ""):
        return False
    if what and of != (None, None, "{}"):
        return False
    return (who or same(row.who_digest, who_digest(row.who_salt, *by))) and (
        what or same(row.what_digest, what_digest(row.what_salt, *of))
    )


def may_be_erased(secret: bytes, row: StoredRow) -> bool:
    """Whether a row in a chain may be signed for as erased: what was edited is evidence, and we
    would sign that it may be gone.
    """
    try:
        return foreign(row) is None and says_what_it_said(secret, row)
    except ValueError:  # a lone surrogate
        return False
