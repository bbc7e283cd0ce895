"""Cursors of pages: where the page before ended, as one opaque word."""

from __future__ import annotations

import binascii
import re
from base64 import urlsafe_b64decode, urlsafe_b64encode

from authward.errors import Detail, ValidationError

_AT = re.compile("[0-9]{1,15}")


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
    if _AT.fullmatch(at) and ids.fullmatch(row_id):
        return int(at), row_id
    raise ValidationError(
        details=[Detail("cursor", "invalid_cursor", "Use the cursor of the page before")]
    )
