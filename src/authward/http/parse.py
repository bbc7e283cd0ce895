"""Reading requests: JSON bodies and queries, bounded and typed."""

from __future__ import annotations

import json
from typing import Any, TypeVar
from urllib.parse import parse_qsl

from pydantic import BaseModel, ValidationError
from starlette.types import Receive, Scope

from authward import errors
from authward.core.bodies import announced_length, is_json
from authward.errors import Detail, MalformedRequest, PayloadTooLarge, UnsupportedMediaType

MAX_BODY = 16 * 1024
"""Bytes of a body of ours. Its fields are short, and parsing holds the event loop."""
MAX_QUERY_FIELDS = 64
M = TypeVar("M", bound=BaseModel)


async def read_json(
    scope: Scope, receive: Receive, model: type[M], *, may_be_bare: bool = False
) -> M:
    """The body as `model`. One that `may_be_bare` may be empty, and then needs no type.

    Raises UnsupportedMediaType, PayloadTooLarge, MalformedRequest, ValidationError.
    """
    # Forms and text/plain can be posted from any page without a preflight; JSON cannot.
    kind = _header(scope, b"content-type")
    json_said = is_json(kind)
    if not (json_said or (may_be_bare and not kind)):
        raise UnsupportedMediaType("content type is not JSON")
    body = await _read(scope, receive)
    if may_be_bare and not body:
        return model()
    if not json_said:
        raise UnsupportedMediaType("a body without a content type")
    try:
        value = json.loads(
            body.decode("utf-8"), object_pairs_hook=_no_duplicates, parse_constant=_no_constants
        )
    except (ValueError, RecursionError) as error:
        raise MalformedRequest(
            f"JSON: {type(error).__name__}", text="The body is not valid JSON"
        ) from None
    return validated(model, value)


def read_query(scope: Scope, model: type[M]) -> M:
    """The query as `model`. Raises ValidationError, MalformedRequest."""
    try:
        # Surrogates pass this far, so that they are refused by name like in a body.
        pairs = parse_qsl(
            scope["query_string"].decode(),
            keep_blank_values=True,
            errors="surrogatepass",
            max_num_fields=MAX_QUERY_FIELDS,
        )
    except ValueError:
        raise MalformedRequest("query", text="The query is not UTF-8, or too long") from None
    values = dict(pairs)
    if len(values) != len(pairs):
        raise MalformedRequest("query repeated", text="A query field was given more than once")
    return validated(model, values)


def validated(model: type[M], value: Any) -> M:
    """A JSON value as `model`. Raises ValidationError."""
    if not isinstance(value, dict):
        said = Detail("", "not_an_object", "The body must be a JSON object")
        raise errors.ValidationError(details=[said])
    try:
        return model.model_validate(value)
    except ValidationError as error:
        raise errors.ValidationError(details=details_of(error)) from None


def details_of(error: ValidationError) -> list[Detail]:
    """What pydantic found wrong, without the values it found."""
    return [
        Detail(
            ".".join(str(part) for part in problem["loc"])[:200],
            problem["type"],
            problem["msg"].removeprefix("Value error, "),
        )
        for problem in error.errors(include_url=False, include_context=False, include_input=False)
    ][:50]


async def _read(scope: Scope, receive: Receive) -> bytes:
    announced = announced_length(scope["headers"])
    if announced is not None and announced > MAX_BODY:
        raise PayloadTooLarge("declared too large")
    chunks: list[bytes] = []
    size = 0
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise MalformedRequest("client went away")
        chunk: bytes = message.get("body", b"")
        size += len(chunk)
        if size > MAX_BODY:
            raise PayloadTooLarge("body too large")
        chunks.append(chunk)
        if not message.get("more_body", False):
            return b"".join(chunks)


def _header(scope: Scope, name: bytes) -> bytes:
    return next((value for key, value in scope["headers"] if key == name), b"")


def _no_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("duplicate key")
    return found


def _no_constants(name: str) -> Any:
    raise ValueError(f"{name} is not JSON")
