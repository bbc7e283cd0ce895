"""JSON Schemas of the models that routes read and answer with, and examples made of them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from pydantic import BaseModel
from pydantic.json_schema import GenerateJsonSchema, models_json_schema

PREFIX = "Authward"
"""Begins the name of every component, so that none meets one of a host's document."""
REF = "#/components/{}/" + PREFIX
HEADERS: Mapping[str, Mapping[str, Any]] = {
    "Cache-Control": {"required": True, "schema": {"const": "no-store"}},
    "Set-Cookie": {"required": True, "schema": {"type": "string"}},
    "Clear-Site-Data": {"required": True, "schema": {"const": '"cache"'}},
    "WWW-Authenticate": {
        "required": True,
        "description": "RFC 6750",
        "schema": {"type": "string", "pattern": "^Bearer "},
    },
    "Retry-After": {
        "required": True,
        "description": "in seconds",
        "schema": {"type": "integer", "minimum": 1},
    },
    "Allow": {"required": True, "schema": {"type": "string"}},
}
"""The headers of answers that a program goes by."""

Shape = dict[str, Any]


class _Untitled(GenerateJsonSchema):
    """Without the titles that repeat each name."""

    def field_title_should_be_set(self, schema: object) -> bool:
        return False


def shapes_of(models: Iterable[type[BaseModel]]) -> dict[str, Shape]:
    """The schemas of `models`, and of what they refer to, by component name."""
    _, defined = models_json_schema(
        [(model, "validation") for model in dict.fromkeys(models)],
        ref_template=REF.format("schemas") + "{model}",
        schema_generator=_Untitled,
    )
    shapes = {PREFIX + name: shape for name, shape in defined.get("$defs", {}).items()}
    for shape in shapes.values():
        shape.pop("title", None)
        # Docstrings are for those who read the code.
        shape.pop("description", None)
    return shapes


def ref(kind: str, name: str) -> Shape:
    """A reference to one of our components."""
    return {"$ref": REF.format(kind) + name}


def headers_of(names: Iterable[str]) -> Shape:
    """References to these headers."""
    return {name: ref("headers", name) for name in names}


def example(shape: Mapping[str, Any], shapes: Mapping[str, Shape]) -> Any:
    """An instance of `shape`, made of its parts' examples. Raises KeyError if one has none."""
    if "$ref" in shape:
        return example(shapes[shape["$ref"].rpartition("/")[2]], shapes)
    if "examples" in shape:
        return shape["examples"][0]
    if "const" in shape:
        return shape["const"]
    if "anyOf" in shape:
        return example(shape["anyOf"][0], shapes)
    if shape["type"] == "array":
        return [example(shape["items"], shapes)]
    if shape["type"] == "boolean":
        return False
    return {name: example(part, shapes) for name, part in shape["properties"].items()}
