"""The kinds of text and time that bodies and answers hold."""

from __future__ import annotations

from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, Field
from pydantic.alias_generators import to_camel
from pydantic_core import PydanticCustomError

from authward.core.passwords import MAX_LENGTH
from authward.core.text import printable, storable
from authward.core.users import MAX_EMAIL, MAX_NAME

NO_NUL = {"pattern": r"^[^\x00]*$"}
ONE_LINE = {"pattern": r"^[^\x00-\x1f\x7f-\x9f\u2028\u2029]*$"}


def _storable(text: str) -> str:
    if not storable(text):
        raise PydanticCustomError("nul_character", "Must not hold NUL")
    return text


def _one_line(text: str) -> str:
    if printable(text, len(text)) != text:
        raise PydanticCustomError("control_character", "Must not hold control characters")
    return text


class Model(BaseModel):
    """A JSON object with camelCase names, and with no second spelling of them.

    Unknown fields are ignored: nothing is ever assigned in mass.
    """

    model_config = ConfigDict(alias_generator=to_camel, frozen=True, hide_input_in_errors=True)


Text = Annotated[str, Field(max_length=1000, json_schema_extra=NO_NUL), AfterValidator(_storable)]
Email = Annotated[
    str,
    Field(
        min_length=3,
        max_length=MAX_EMAIL,
        examples=["ada@example.com"],
        json_schema_extra={"format": "idn-email"},
    ),
    AfterValidator(_storable),
]
Password = Annotated[
    str,
    Field(
        min_length=1,
        max_length=MAX_LENGTH,
        examples=["correct horse battery staple"],
        json_schema_extra=NO_NUL,
    ),
    AfterValidator(_storable),
]
# How short a password may be is a setting; no setting allows less than this.
NewPassword = Annotated[Password, Field(json_schema_extra={**NO_NUL, "minLength": 8})]
Name = Annotated[
    str,
    Field(
        min_length=1,
        max_length=MAX_NAME,
        examples=["Ada Lovelace"],
        json_schema_extra=ONE_LINE,
    ),
    AfterValidator(_one_line),
]
Time = Annotated[
    str,
    Field(
        pattern=r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$", examples=["2026-11-23T08:00:00.000Z"]
    ),
]
Identifier = Annotated[str, Field(examples=["hR3kq0WzT1mXc9uVbA2y"])]
Role = Annotated[str, Field(examples=["user"])]
AccessToken = Annotated[
    str, Field(examples=["eyJhbGciOiJIUzI1NiIsInR5cCI6ImF0K2p3dCJ9.e30.c2lnbmF0dXJl"])
]
CsrfToken = Annotated[str, Field(examples=["mS4vR7k0Qe2XzB9tYw1uLc6nHj3aFd5gKp8iOo0sVxM"])]
