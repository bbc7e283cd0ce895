"""The kinds of text and time that bodies and answers hold."""

from __future__ import annotations

from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, Field
from pydantic.alias_generators import to_camel

from authward.core.passwords import MAX_LENGTH
from authward.core.text import printable, storable
from authward.core.users import MAX_EMAIL, MAX_NAME


def _storable(text: str) -> str:
    if not storable(text):
        raise ValueError("must not hold NUL")
    return text


def _one_line(text: str) -> str:
    if printable(text, len(text)) != text:
        raise ValueError("must not hold control characters")
    return text


class Model(BaseModel):
    """A JSON object with camelCase names. Unknown fields are ignored: nothing is ever assigned in mass."""

    model_config = ConfigDict(
        alias_generator=to_camel, populate_by_name=True, frozen=True, hide_input_in_errors=True
    )


Text = Annotated[str, Field(max_length=1000), AfterValidator(_storable)]
Email = Annotated[
    str,
    Field(min_length=3, max_length=MAX_EMAIL, examples=["ada@example.com"]),
    AfterValidator(_storable),
]
Password = Annotated[
    str,
    Field(min_length=1, max_length=MAX_LENGTH, examples=["correct horse battery staple"]),
    AfterValidator(_storable),
]
Name = Annotated[
    str,
    Field(min_length=1, max_length=MAX_NAME, examples=["Ada Lovelace"]),
    AfterValidator(_one_line),
]
Time = Annotated[
    str,
    Field(
        pattern=r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$", examples=["2026-11-23T08:00:00.000Z"]
    ),
]
Identifier = Annotated[str, Field(examples=["hR3kq0WzT1mXc9uVbA2y"])]
