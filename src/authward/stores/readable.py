"""Audit rows as they are read. Whoever edits a database may put anything into a row, and one such
row must not keep anybody from reading the rest, nor drive the terminal of who reads it
(CVE-2020-7694). Verifying names it.
"""

from __future__ import annotations

import json
from typing import Any

from sqlalchemy import Row

from authward.core.audit import Client, Event
from authward.core.audit_rows import StoredRow
from authward.core.text import printable, storable
from authward.ports import AuditRow
from authward.stores.expressions import AsIs, JsonText, Whole
from authward.stores.schema import audit_events

_TEXTS = (
    *("kind", "outcome", "actor", "subject", "session"),
    *("ip", "user_agent", "request_id", "detail"),
)
_SHOWN = 1000
_MOST = 2**63
COLUMNS = [
    audit_events.c.id,
    Whole(audit_events.c.at).label("at"),
    *(AsIs(audit_events.c[name]).label(name) for name in _TEXTS),
]

STORED = [
    JsonText(audit_events.c[name]) if name == "detail" else audit_events.c[name]
    for name in StoredRow._fields
]
"""The columns of a `StoredRow`, for verifying: exactly what is there."""


def readable(row: Row[Any]) -> AuditRow:
    """What a row of `COLUMNS` says."""
    kind, outcome, actor, subject, session, *client = map(_text, row[2:-1])
    by = Client(*(one or "" for one in client))
    event = Event(
        kind or "",
        by,
        outcome or "",  # type: ignore[arg-type]
        actor,
        subject,
        session,
        _detail(_decoded(row[-1]) or ""),
    )
    return AuditRow(row.id, row.at, event)


def _text(stored: str | bytes | None) -> str | None:
    told = _decoded(stored)
    return None if told is None else _shown(told)


def _decoded(stored: str | bytes | None) -> str | None:
    return stored.decode(errors="replace") if isinstance(stored, bytes) else stored


def _shown(told: str) -> str:
    return printable(told, len(told))


def _detail(stored: str) -> dict[str, str | int]:
    try:
        found = json.loads(stored)
    except (ValueError, RecursionError):
        found = None
    if isinstance(found, dict) and all(map(_plain, (*found, *found.values()))):
        return {_shown(name): _value(one) for name, one in found.items()}
    return {"unreadable": _shown(stored[:_SHOWN])}


def _value(one: str | int) -> str | int:
    return _shown(one) if isinstance(one, str) else one


def _plain(value: object) -> bool:
    # An escape makes a lone surrogate, which no answer, file or terminal takes.
    if isinstance(value, str):
        return storable(value)
    return isinstance(value, int) and -_MOST <= value < _MOST
