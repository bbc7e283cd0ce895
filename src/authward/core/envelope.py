"""Envelopes: the one shape of every answer, and its RFC 9457 twin."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import msgspec

from authward.core.times import iso_time
from authward.errors import InvalidToken, Refusal, TokenExpired, TokenRevoked, Unauthorized

Header = tuple[bytes, bytes]

JSON = b"application/json"
PROBLEM = b"application/problem+json"
_encode = msgspec.json.Encoder().encode


def success(status: int, data: Any, message: str) -> bytes:
    """The body of an answer that worked."""
    return _encode({"statusCode": status, "data": data, "message": message})


def failure(refusal: Refusal, path: str, now_ms: int, *, problem: bool) -> bytes:
    """The body of a refusal: our envelope, or problem details (RFC 9457). `path` has no query."""
    details = [
        {"field": one.field, "code": one.code, "message": one.message} for one in refusal.details
    ]
    # Lone surrogates cannot be written as JSON; a path may hold them.
    path = path.encode("utf-8", "replace").decode()
    if problem:
        body: dict[str, Any] = {
            "type": "about:blank",
            "title": refusal.message,
            "status": refusal.status,
            "instance": path,
            "error": refusal.code,
            "timestamp": iso_time(now_ms),
        }
    else:
        body = {
            "statusCode": refusal.status,
            "message": refusal.message,
            "error": refusal.code,
            "path": path,
            "timestamp": iso_time(now_ms),
        }
    if details:
        body["details"] = details
    return _encode(body)


def failure_headers(refusal: Refusal, *, problem: bool) -> list[Header]:
    """Content type, caching, `WWW-Authenticate` (RFC 6750 section 3) and `Retry-After` of a
    refusal.
    """
    headers: list[Header] = [
        (b"content-type", PROBLEM if problem else JSON),
        (b"cache-control", b"no-store"),
        (b"vary", b"Accept"),
    ]
    if isinstance(refusal, Unauthorized):
        headers.append((b"www-authenticate", _challenge(refusal)))
    if refusal.retry_after is not None:
        headers.append((b"retry-after", str(refusal.retry_after).encode()))
    return headers


def wants_problem(headers: Iterable[Header]) -> bool:
    """Whether the client asked for RFC 9457."""
    return any(name == b"accept" and PROBLEM in value.lower() for name, value in headers)


def _challenge(refusal: Unauthorized) -> bytes:
    if isinstance(refusal, TokenExpired | InvalidToken | TokenRevoked):
        described = f'error="invalid_token", error_description="{refusal.text}"'
        return f'Bearer realm="authward", {described}'.encode()
    return b'Bearer realm="authward"'
