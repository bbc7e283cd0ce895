"""The kinds of text and time that bodies and answers hold."""

from __future__ import annotations

import re
from typing import Annotated

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field
from pydantic.alias_generators import to_camel
from pydantic_core import PydanticCustomError

from authward.core.grants import BadPermission, check_grant
from authward.core.passwords import MAX_LENGTH
from authward.core.text import shows_all, storable
from authward.core.users import MAX_EMAIL, MAX_NAME

_NUMBER = re.compile(r"-?[0-9]{1,15}", re.ASCII)
NO_NUL = {"pattern": r"^[^\x00]*$"}
# Python's re knows no \p{Cf}; these are those of the basic plane.
_UNSEEN = (
    r"\x00-\x1f\x7f-\x9f\xad\u0600-\u0605\u061c\u06dd\u070f\u0890\u0891\u08e2\u180e"
    r"\u200b-\u200f\u2028-\u202e\u2060-\u2064\u2066-\u206f\ufeff\ufff9-\ufffb"
)
ONE_LINE = {"pattern": rf"^[^{_UNSEEN}]*[^\s{_UNSEEN}][^{_UNSEEN}]*$"}


def _storable(text: str) -> str:
    if not storable(text):
        raise PydanticCustomError("nul_character", "Must not hold NUL")
    return text


def _one_line(text: str) -> str:
    if not shows_all(text):
        raise PydanticCustomError(
            "control_character", "Must not hold control or invisible characters"
        )
    if text.isspace():
        raise PydanticCustomError("blank", "Must not be blank")
    return text


def _grant(text: str) -> str:
    try:
        return check_grant(text)
    except BadPermission as error:
        raise PydanticCustomError("invalid_permission", "{cure}", {"cure": str(error)}) from None


def _digits(value: object) -> object:
    # Of "1_0", "5.0" and " 5" pydantic would make numbers.
    if isinstance(value, str) and not _NUMBER.fullmatch(value):
        raise PydanticCustomError("int_parsing", "Must be a whole number")
    return value


class Model(BaseModel):
    """A JSON object with camelCase names, and with no second spelling of them.

    Unknown fields are ignored: nothing is ever assigned in mass.
    """

    model_config = ConfigDict(alias_generator=to_camel, frozen=True, hide_input_in_errors=True)


class Exact(Model):
    """One that knows all its fields: where a mistyped one must not be taken for its default."""

    model_config = ConfigDict(extra="forbid")


# A number in a query: decimal digits and nothing else.
Number = Annotated[int, BeforeValidator(_digits)]
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
# A role that somebody names: which there are, the service knows.
RoleName = Annotated[Text, Field(min_length=1, max_length=64, examples=["editor"])]
_WORD = r"(\*|[a-z0-9][a-z0-9_.-]{0,62})"
Grant = Annotated[
    str,
    Field(examples=["read:reports"], json_schema_extra={"pattern": rf"^{_WORD}:{_WORD}$"}),
    AfterValidator(_grant),
]
AccessToken = Annotated[
    str, Field(examples=["eyJhbGciOiJIUzI1NiIsInR5cCI6ImF0K2p3dCJ9.e30.c2lnbmF0dXJl"])
]
CSRF_TOKEN = "mS4vR7k0Qe2XzB9tYw1uLc6nHj3aFd5gKp8iOo0sVxM"
CsrfToken = Annotated[str, Field(examples=[CSRF_TOKEN])]
CURSOR = "MTc5NTQyMDgwMDAwMC5oUjNrcTBXelQxbVhjOXVWYkEyeQ"
