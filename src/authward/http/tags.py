"""Entity tags: what a client has already need not be sent again (RFC 9110 section 8.8.3)."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable

from authward.core.envelope import Header


def entity_tag(body: bytes) -> bytes:
    """The tag of exactly these bytes."""
    return b'"' + hashlib.sha256(body).hexdigest()[:32].encode() + b'"'


def has_tag(headers: Iterable[Header], tag: bytes) -> bool:
    """Whether `If-None-Match` names this tag (RFC 9110 section 13.1.2)."""
    return any(
        name == b"if-none-match"
        and any(one.strip().removeprefix(b"W/") in (tag, b"*") for one in value.split(b","))
        for name, value in headers
    )
