"""What routes answer when they refuse, as OpenAPI says it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import groupby
from typing import Any

from authward import errors as e
from authward.core.cors import SAFE_METHODS
from authward.errors import Refusal
from authward.http.endpoint import Endpoint
from authward.http.shapes import PREFIX, Shape, headers_of, ref
from authward.middleware.shield import UNLIMITED

Kinds = tuple[type[Refusal], ...]

_EVERYWHERE = (
    e.MalformedRequest,
    e.MethodNotAllowed,
    e.InternalError,
    e.Unavailable,
)
_BEARER = (e.MissingToken, e.TokenExpired, e.InvalidToken, e.TokenRevoked)
_BODY = (e.PayloadTooLarge, e.UnsupportedMediaType, e.ValidationError)
_DESCRIPTIONS = {
    400: "The request could not be read, or came to a Host that is not served here.",
    401: "Not authenticated.",
    403: "Not allowed.",
    404: "There is no such thing.",
    405: "The path has no such method.",
    409: "It does not go with what is there.",
    413: "The body is too large.",
    415: "The body is not declared as JSON.",
    429: "Too many requests of this client. Try again after `Retry-After`.",
    422: "A value of the body or the query is wrong; `details` says which.",
    500: "A fault of the server.",
    503: "Too busy, or the database is away. Try again after `Retry-After`.",
}
_HEADERS = {
    401: ("WWW-Authenticate",),
    405: ("Allow",),
    429: ("Retry-After",),
    503: ("Retry-After",),
}
# Media type, schema, and the name of the member that holds the status.
_FORMS = (
    ("application/json", "Error", "statusCode"),
    ("application/problem+json", "Problem", "status"),
)
_DETAIL = {"field": "email", "code": "string_too_short", "message": "Use at least 3 characters"}
_SHARED = {
    "error": "not_found",
    "timestamp": "2026-11-23T08:00:00.000Z",
    "details": [_DETAIL],
}
_MEMBERS: dict[str, dict[str, Any]] = {
    "Error": {"statusCode": 404, "message": "Not found", "path": "/api/profile", **_SHARED},
    "Problem": {
        "type": "about:blank",
        "title": "Not found",
        "status": 404,
        "instance": "/api/profile",
        **_SHARED,
    },
}


def errors_of(one: Endpoint) -> list[type[Refusal]]:
    """Every refusal a route can answer with, by status."""
    found: list[type[Refusal]] = [*_EVERYWHERE, *one.errors]
    if one.path not in UNLIMITED:
        found.append(e.RateLimited)
    if one.method not in SAFE_METHODS:
        found.append(e.OriginNotAllowed)
    if one.who == "user":
        found += _BEARER
    if one.permission is not None:
        found.append(e.Forbidden)
    if one.body is not None:
        found += _BODY
    if one.query is not None:
        found.append(e.ValidationError)
    if "{" in one.path:
        found.append(e.NotFound)
    return sorted(dict.fromkeys(found), key=lambda kind: (kind.status, kind.code))


def refused(one: Endpoint) -> Shape:
    """The `responses` of a route's refusals, each a reference."""
    return {
        str(status): ref("responses", _name(status, kinds)) for status, kinds in _by_status(one)
    }


def refusal_components(endpoints: Sequence[Endpoint]) -> dict[str, Shape]:
    """What the references of `refused` name."""
    responses = {
        PREFIX + _name(status, kinds): _response(status, kinds)
        for one in endpoints
        for status, kinds in _by_status(one)
    }
    kinds = sorted({kind for one in endpoints for kind in errors_of(one)}, key=lambda k: k.code)
    examples = {
        f"{PREFIX}{schema}.{kind.code}": {"value": _example(kind, schema, status)}
        for kind in kinds
        for _, schema, status in _FORMS
    }
    codes = [kind.code for kind in kinds]
    schemas = {PREFIX + name: _envelope(members, codes) for name, members in _MEMBERS.items()}
    detail = {name: _member(name, text) for name, text in _DETAIL.items()}
    schemas[PREFIX + "ErrorDetail"] = _object(detail, list(detail))
    return {"responses": responses, "examples": examples, "schemas": schemas}


def _by_status(one: Endpoint) -> list[tuple[int, Kinds]]:
    return [
        (status, tuple(kinds))
        for status, kinds in groupby(errors_of(one), key=lambda kind: kind.status)
    ]


def _name(status: int, kinds: Kinds) -> str:
    return ".".join([str(status), *(kind.code for kind in kinds)])


def _response(status: int, kinds: Kinds) -> Shape:
    content = {}
    for media_type, schema, member in _FORMS:
        narrowed: Shape = {
            "properties": {
                member: {"const": status},
                "error": {"enum": [kind.code for kind in kinds]},
            }
        }
        if status == e.ValidationError.status:
            narrowed["required"] = ["details"]
        content[media_type] = {
            "schema": {"allOf": [ref("schemas", schema), narrowed]},
            "examples": {kind.code: ref("examples", f"{schema}.{kind.code}") for kind in kinds},
        }
    headers = headers_of(["Cache-Control", *_HEADERS.get(status, ())])
    return {"description": _DESCRIPTIONS[status], "headers": headers, "content": content}


def _example(kind: type[Refusal], schema: str, status: str) -> Shape:
    said = "message" if schema == "Error" else "title"
    values = {**_MEMBERS[schema], status: kind.status, said: kind.text, "error": kind.code}
    if kind is not e.ValidationError:
        del values["details"]
    return values


def _envelope(members: dict[str, Any], codes: list[str]) -> Shape:
    properties = {name: _member(name, value) for name, value in members.items()}
    properties["error"]["enum"] = codes
    properties["timestamp"]["format"] = "date-time"
    properties["details"] = {
        "type": "array",
        "minItems": 1,
        "items": ref("schemas", "ErrorDetail"),
    }
    return _object(properties, [name for name in members if name != "details"])


def _member(name: str, value: object) -> Shape:
    return {"type": "integer" if isinstance(value, int) else "string", "examples": [value]}


def _object(properties: Shape, required: Iterable[str]) -> Shape:
    return {"type": "object", "required": list(required), "properties": properties}
