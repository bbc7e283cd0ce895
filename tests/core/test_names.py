"""Names: what may be stored as one."""

import pytest

from authward.core.users import BadName, check_name


@pytest.mark.parametrize("name", ["A", "Ada Lovelace", "Ægir Þórr", "李", "a" * 200, " "])
def test_a_name(name: str) -> None:
    assert check_name(name) == name


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("", "empty"),
        ("a" * 201, "longer than 200"),
        ("a\nb", "control"),
        ("a\x00b", "control"),
        ("a\ud800b", "control"),
        ("\x1b[31m", "control"),
    ],
)
def test_no_name(name: str, why: str) -> None:
    with pytest.raises(BadName, match=why):
        check_name(name)
