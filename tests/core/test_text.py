"""Text that may be stored, and text that may be logged."""

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from authward.core.text import printable, shows_all, storable
from tests.generating import many

TURNS = ("LRE", "RLE", "LRO", "RLO", "PDF", "LRI", "RLI", "FSI", "PDI")


@pytest.mark.parametrize("text", ["", "Ada", "é 🐎 \u2028 \t\n", "\x7f\x80"])
def test_most_text_is_storable(text: str):
    assert storable(text)


@pytest.mark.parametrize("text", ["\0", "a\0b", "\ud800", "a\udfff"])
def test_nul_and_lone_surrogates_are_not(text: str):
    assert not storable(text)


@many
@given(st.text(st.characters()))
def test_storable_is_what_utf8_without_nul_can_say(text: str):
    try:
        text.encode()
    except UnicodeEncodeError:
        assert not storable(text)
    else:
        assert storable(text) is ("\0" not in text)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain é 🐎", "plain é 🐎"),
        ("a\r\nb", "a\\x0d\\x0ab"),
        ("\x1b[31mred", "\\x1b[31mred"),
        ("\0\x7f\x9b", "\\x00\\x7f\\x9b"),
        ("a\u2028b\u2029c\x85d", "a\\x2028b\\x2029c\\x85d"),
        ("\ud800", "\\xd800"),
        ("\u202etxt.exe", "\\x202etxt.exe"),
        ("a\u200bb\u200fc", "a\\x200bb\\x200fc"),
        ("a\u2060b\u2066c\u2069\u061c\ufeff", "a\\x2060b\\x2066c\\x2069\\x61c\\xfeff"),
    ],
)
def test_what_would_move_the_cursor_is_spelt_out(text: str, shown: str):
    assert printable(text) == shown


def test_only_so_much_is_shown():
    assert printable("x" * 300) == "x" * 256
    assert printable("x" * 300, 10) == "x" * 10
    assert printable("\0" * 300, 3) == "\\x00" * 3


@many
@given(st.text(st.characters()))
def test_what_is_shown_is_one_line_that_any_log_takes(text: str):
    shown = printable(text, len(text))
    assert len(shown.splitlines()) <= 1
    shown.encode()
    assert not any(mark < " " or "\x7f" <= mark <= "\x9f" for mark in shown)
    assert printable(shown, len(shown)) == shown
    assert not any(unicodedata.bidirectional(mark) in TURNS for mark in shown)


@many
@given(st.text(st.characters()))
def test_what_shows_all_is_shown_as_it_is(text: str):
    if shows_all(text):
        assert printable(text, len(text)) == text
    assert shows_all("Ada é 🐎 李 نجلا") is True
    assert not any(shows_all(f"a{mark}") for mark in "\n\u2028\u200d\u202e\xad\ud800\U000e0001")
