"""Moments, as people and programs write them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

SECOND = 1000
"""In milliseconds."""
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_FIRST, _LAST = "0001-01-01T00:00:00.000Z", "9999-12-31T23:59:59.999Z"


def milliseconds(text: str) -> int | None:
    """The milliseconds since the epoch of an ISO 8601 time with a zone; None if it is none."""
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return None
    if moment.tzinfo is None:
        return None
    since = moment - _EPOCH
    return (since.days * 86_400 + since.seconds) * 1000 + since.microseconds // 1000


def next_second(milliseconds: int) -> int:
    """The next whole second, in milliseconds. Tokens know seconds: of what came before a whole one,
    a row and a token say the same.
    """
    return milliseconds // SECOND * SECOND + SECOND


def iso_time(milliseconds: int) -> str:
    """A time as `2026-11-23T08:00:00.000Z`. One outside of the years 1 to 9999, which nobody has
    but who edits a database, is the first or the last moment of them.
    """
    try:
        moment = _EPOCH + timedelta(milliseconds=milliseconds)
    except OverflowError:
        return _LAST if milliseconds > 0 else _FIRST
    return f"{moment.replace(tzinfo=None).isoformat(timespec='milliseconds')}Z"
