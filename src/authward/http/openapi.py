"""OpenAPI 3.1 of a URL table: a function of its rows and of nothing else."""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import cache
from typing import cast

import msgspec
from pydantic import BaseModel

from authward import __version__
from authward.core.cookies import CookieNames
from authward.errors import MissingRefreshToken
from authward.http.endpoint import Endpoint
from authward.http.failures import refusal_components, refused
from authward.http.fields import CSRF_TOKEN
from authward.http.routes import DESCRIBED
from authward.http.shapes import HEADERS, PREFIX, Shape, example, headers_of, ref, shapes_of

_INTRODUCTION = (
    "Sign-up, sign-in and accounts. Every answer is one of two envelopes, but for the public keys: "
    "`statusCode`, `data`, `message`; or, refused, `statusCode`, `message`, `error`, `path`, "
    "`timestamp`. Programs go by `error`; texts may change."
)
_NEEDS = {
    "anyone": "For everyone.",
    "user": "Needs an access token.",
    "cookie": (
        "Authenticated by the refresh cookie. Send `X-CSRF-Token`; it may be left out only where "
        "the `Origin` of the request is trusted and the server is not set to `csrf=strict`."
    ),
}


@cache
def document_bytes(*, production: bool) -> bytes:
    """The document of the whole table, as JSON."""
    return msgspec.json.encode(document(cookies=CookieNames.of(production=production)))


def document(
    endpoints: Sequence[Endpoint] = DESCRIBED, cookies: CookieNames | None = None
) -> Shape:
    """A whole OpenAPI document."""
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Authward",
            "version": __version__,
            "description": _INTRODUCTION,
            "license": {"name": "MIT", "identifier": "MIT"},
        },
        # Relative to where the document lies: right behind any mount, too.
        "servers": [{"url": "."}],
        "tags": [{"name": tag} for tag in dict.fromkeys(map(_tag, endpoints))],
        **openapi_paths(endpoints, cookies),
    }


def openapi_paths(
    endpoints: Sequence[Endpoint] = DESCRIBED, cookies: CookieNames | None = None
) -> Shape:
    """`paths` and `components`, to be merged into a larger document.

    The name of each component begins with `Authward`. `cookies` are the names in use; those of
    development if None.
    """
    names = CookieNames.of(production=False) if cookies is None else cookies
    shapes = shapes_of(
        model for one in endpoints for model in (one.body, one.query, one.data) if model
    )
    paths: dict[str, Shape] = {}
    for one in endpoints:
        paths.setdefault(one.path, {})[one.method.lower()] = _operation(one, shapes)
    components = refusal_components(endpoints)
    # Queries are written out, field by field, as parameters.
    queries = {PREFIX + one.query.__name__ for one in endpoints if one.query}
    components["schemas"] |= {name: shape for name, shape in shapes.items() if name not in queries}
    components["headers"] = {PREFIX + name: header for name, header in HEADERS.items()}
    components["securitySchemes"] = {
        PREFIX + "Bearer": {"type": "http", "scheme": "bearer", "bearerFormat": "JWT"},
        PREFIX + "Cookie": {"type": "apiKey", "in": "cookie", "name": names.refresh},
    }
    return {"paths": paths, "components": components}


def _operation(one: Endpoint, shapes: dict[str, Shape]) -> Shape:
    operation: Shape = {
        "operationId": f"authward_{one.handler.__name__}",
        "tags": [_tag(one)],
        "summary": one.summary,
        "description": _description(one),
        "security": _security(one),
    }
    parameters = [*_path_parameters(one), *_query_parameters(one, shapes), *_csrf_parameters(one)]
    if parameters:
        operation["parameters"] = parameters
    if one.body is not None:
        body = ref("schemas", one.body.__name__)
        content = {"schema": body, "example": example(body, shapes)}
        operation["requestBody"] = {
            "required": not one.may_be_bare,
            "content": {"application/json": content},
        }
    answered = _bare(one, shapes) if one.media else {str(one.status): _answered(one, shapes)}
    operation["responses"] = {**answered, **refused(one)}
    return operation


def _tag(one: Endpoint) -> str:
    # A feature has one stem on every floor.
    return one.handler.__module__.rpartition(".")[2]


def _description(one: Endpoint) -> str:
    needed = "" if one.permission is None else f" Needs the permission `{one.permission}`."
    return _NEEDS[one.who] + needed


def _security(one: Endpoint) -> list[dict[str, list[str]]]:
    bearer: dict[str, list[str]] = {PREFIX + "Bearer": []}
    cookie: dict[str, list[str]] = {PREFIX + "Cookie": []}
    if one.who == "user":
        return [bearer]
    if one.who == "cookie":
        # Signing out works with either and, having nothing to do, with none.
        return [cookie] if MissingRefreshToken in one.errors else [cookie, bearer, {}]
    return []


def _path_parameters(one: Endpoint) -> list[Shape]:
    shape = {"type": "string", "minLength": 1}
    examples = {"id": "hR3kq0WzT1mXc9uVbA2y", "name": "editor", "kid": "5f2b8c0d9e1a4b7c6d3e2f10"}
    return [
        {
            "name": name,
            "in": "path",
            "required": True,
            "schema": {**shape, "examples": [examples[name]]},
        }
        for name in re.findall(r"{(\w+)}", one.path)
    ]


def _query_parameters(one: Endpoint, shapes: dict[str, Shape]) -> list[Shape]:
    if one.query is None:
        return []
    found = []
    for name, part in shapes[PREFIX + one.query.__name__]["properties"].items():
        shape = dict(part)
        if "anyOf" in shape:
            # Null is how a model says that a field may be missing; a query cannot say it.
            shape |= shape.pop("anyOf")[0]
            shape.pop("default", None)
        found.append({"name": name, "in": "query", "required": False, "schema": shape})
    return found


def _csrf_parameters(one: Endpoint) -> list[Shape]:
    if one.who != "cookie":
        return []
    shape = {"type": "string", "examples": [CSRF_TOKEN]}
    return [{"name": "X-CSRF-Token", "in": "header", "required": False, "schema": shape}]


def _answered(one: Endpoint, shapes: dict[str, Shape]) -> Shape:
    data: Shape = {"type": "null"} if one.data is None else ref("schemas", one.data.__name__)
    envelope = {
        "type": "object",
        "required": ["statusCode", "data", "message"],
        "properties": {
            "statusCode": {"const": one.status},
            "data": data,
            "message": {"type": "string"},
        },
    }
    said = None if one.data is None else example(data, shapes)
    answer = {"statusCode": one.status, "data": said, "message": one.summary}
    return {
        "description": one.summary,
        "headers": headers_of(["Cache-Control", *one.sends]),
        "content": {"application/json": {"schema": envelope, "example": answer}},
    }


def _bare(one: Endpoint, shapes: dict[str, Shape]) -> Shape:
    """An answer without an envelope, and that to who has it already (RFC 9110 section 15.4.5)."""
    data = ref("schemas", cast(type[BaseModel], one.data).__name__)
    headers: Shape = {
        "Cache-Control": {"required": True, "schema": {"const": one.kept}},
        "ETag": {"required": True, "schema": {"type": "string", "pattern": '^"'}},
    }
    content = {one.media: {"schema": data, "example": example(data, shapes)}}
    return {
        str(one.status): {"description": one.summary, "headers": headers, "content": content},
        "304": {"description": "The same as by `If-None-Match`.", "headers": headers},
    }
