"""Cursors of pages: where the page before ended, as one opaque word."""

from __future__ import annotations

import binascii
import re
from base64 import urlsafe_b64decode, urlsafe_b64encode

from authward.errors import Detail, ValidationError

_NUMBER = re.compile("-?[0-9]{1,19}")
_HIGHEST = 2**63


def cursor_of(at: int, row_id: str | int) -> str:
    """The cursor of a page whose last row has this time (milliseconds) and id."""
    return urlsafe_b64encode(f"{at}.{row_id}".encode()).rstrip(b"=").decode()


def parse_cursor(text: str, ids: re.Pattern[str]) -> tuple[int, str]:
    """The time and id of a cursor; `ids` says what an id looks like. Raises ValidationError."""
    try:
        at, _, row_id = (
            urlsafe_b64decode(text + "=" * (-len(text) % 4)).decode("ascii").partition(".")
        )
    except (binascii.Error, ValueError):
        at = row_id = ""
    if _is_whole(at) and ids.fullmatch(row_id):
        return int(at), row_id
    raise _none_of_ours()


def parse_numbered(text: str) -> tuple[int, int]:
    """The same where ids are whole numbers."""
    at, row_id = parse_cursor(text, _NUMBER)
    if not _is_whole(row_id):
        raise _none_of_ours()
    return at, int(row_id)


def _is_whole(text: str) -> bool:
    """Whether it is a whole number of 64 bits: databases take no other."""
    return _NUMBER.fullmatch(text) is not None and -_HIGHEST <= int(text) < _HIGHEST


def _none_of_ours() -> ValidationError:
    return ValidationError(
        details=[Detail("cursor", "invalid_cursor", "Use the cursor of the page before")]
    )
