"""Cursors of pages."""

import re
from base64 import urlsafe_b64encode

import pytest

from authward.core.cursors import cursor_of, parse_cursor, parse_numbered
from authward.errors import ValidationError

WORD = re.compile("[a-z]+")


def encoded(text: str) -> str:
    return urlsafe_b64encode(text.encode()).rstrip(b"=").decode()


@pytest.mark.parametrize("number", [0, 7, -1, 1_795_420_800_123, 2**63 - 1, -(2**63)])
def test_any_time_and_id_that_a_database_holds_comes_back(number: int) -> None:
    assert parse_cursor(cursor_of(number, "abc"), WORD) == (number, "abc")
    assert parse_numbered(cursor_of(number, 5)) == (number, 5)
    assert parse_numbered(cursor_of(5, number)) == (5, number)


@pytest.mark.parametrize("number", ["", "-", "+1", "1_0", " 1", "٣", str(2**63), str(-(2**63) - 1)])
def test_what_no_database_takes_is_refused(number: str) -> None:
    for text in (f"{number}.5", f"5.{number}"):
        with pytest.raises(ValidationError):
            parse_numbered(encoded(text))
    with pytest.raises(ValidationError):
        parse_cursor(encoded(f"{number}.abc"), WORD)


def test_an_id_of_another_form_is_refused() -> None:
    with pytest.raises(ValidationError):
        parse_cursor(cursor_of(5, "ABC"), WORD)
