"""Refusals, and the exceptions of apps, as Starlette responses in our envelopes."""

from __future__ import annotations

from functools import lru_cache
from http import HTTPStatus
from typing import Any

import msgspec
from starlette.exceptions import HTTPException
from starlette.responses import Response
from starlette.types import Scope

from authward import errors
from authward.core.envelope import failure, failure_headers, wants_problem
from authward.errors import Refusal
from authward.ports import Clock

_CODES = {
    kind.status: kind.code
    for kind in (
        errors.MalformedRequest,
        errors.Forbidden,
        errors.NotFound,
        errors.MethodNotAllowed,
        errors.PayloadTooLarge,
        errors.UnsupportedMediaType,
        errors.ValidationError,
        errors.InternalError,
        errors.Unavailable,
    )
}
_CODES[429] = "rate_limited"


def refusal_response(refusal: Refusal, scope: Scope, clock: Clock) -> Response:
    """The answer to a refused request, in the form the client asked for."""
    problem = wants_problem(scope["headers"])
    body = failure(refusal, scope["path"], int(clock.now() * 1000), problem=problem)
    response = Response(body, refusal.status)
    response.raw_headers.extend(failure_headers(refusal, problem=problem))
    return response


def http_error_response(error: HTTPException, scope: Scope, clock: Clock) -> Response:
    """An HTTPException in our envelope. A `detail` that is more than text becomes a member."""
    if error.status_code < 200 or error.status_code in (204, 205, 304):
        return Response(status_code=error.status_code, headers=error.headers)
    detail: Any = error.detail  # FastAPI takes any JSON
    kind = _refusal_kind(error.status_code)
    text = detail if isinstance(detail, str) else kind.text
    response = refusal_response(kind(text=text), scope, clock)
    if detail is not None and not isinstance(detail, str):
        body = {**msgspec.json.decode(response.body), "detail": detail}
        response.body = msgspec.json.encode(body)
        response.headers["content-length"] = str(len(response.body))
    response.headers.update(error.headers or {})
    return response


@lru_cache(maxsize=128)
def _refusal_kind(status: int) -> type[Refusal]:
    try:
        known = HTTPStatus(status)
    except ValueError:
        known = HTTPStatus.INTERNAL_SERVER_ERROR
    code = _CODES.get(status) or known.name.lower()
    return type("HttpError", (Refusal,), {"status": status, "code": code, "text": known.phrase})
