"""Names: what may be stored as one."""

import pytest

from authward.core.users import BadName, check_name


@pytest.mark.parametrize(
    "name", ["A", "Ada Lovelace", "Ægir Þórr", "李", "a" * 200, " a", "\u0928\u092f"]
)
def test_a_name(name: str) -> None:
    assert check_name(name) == name


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("", "empty"),
        ("a" * 201, "longer than 200"),
        (" ", "blank"),
        ("\u3000\xa0\u2003", "blank"),
        ("admin\u202e", "invisible"),
        ("Ada\u200bLovelace", "invisible"),
        ("\u2066Ada", "invisible"),
        ("\ufeff", "invisible"),
        ("Ada\xad", "invisible"),
        ("Ada\U000e0041", "invisible"),
        ("a\u2028b", "control"),
        ("a\nb", "control"),
        ("a\x00b", "control"),
        ("a\ud800b", "control"),
        ("\x1b[31m", "control"),
    ],
)
def test_no_name(name: str, why: str) -> None:
    with pytest.raises(BadName, match=why):
        check_name(name)
