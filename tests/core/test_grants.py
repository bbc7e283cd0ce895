"""Permission strings, wildcards, and which grant covers which."""

import fnmatch

import pytest
from hypothesis import given
from hypothesis import strategies as st

from authward.core.grants import (
    BadPermission,
    beyond,
    check_grant,
    check_permission,
    covering,
    holds,
)
from tests.generating import many

WORDS = ("read", "write", "users", "posts")
words = st.sampled_from(WORDS)
permissions = st.builds("{}:{}".format, words, words)
grants = st.builds("{}:{}".format, st.sampled_from(("*", *WORDS)), st.sampled_from(("*", *WORDS)))
granted = st.frozensets(grants, max_size=5)
ALL = [f"{verb}:{resource}" for verb in WORDS for resource in WORDS]


def covered(granted: frozenset[str]) -> set[str]:
    """Every permission of ALL that somebody with these grants holds, by a second way."""
    return {one for one in ALL if any(fnmatch.fnmatchcase(one, grant) for grant in granted)}


def spelt_out(wanted: str) -> set[str]:
    """What a wildcard stands for."""
    return covered(frozenset({wanted}))


@pytest.mark.parametrize(
    "text",
    ["read:users", "delete:user", "read:audit-events", "a.b_c-1:2", "9:9", "r:" + "x" * 63],
)
def test_permissions(text: str) -> None:
    assert check_permission(text) == text
    assert check_grant(text) == text


@pytest.mark.parametrize("text", ["read:*", "*:users", "*:*"])
def test_wildcards_are_granted_and_not_asked_for(text: str) -> None:
    assert check_grant(text) == text
    with pytest.raises(BadPermission, match=r"Only grants hold '\*'.*verb:resource"):
        check_permission(text)


@pytest.mark.parametrize(
    "text",
    [
        "",
        ":",
        "read",
        "*",
        "read:",
        ":users",
        "read:users:own",
        "Read:users",
        "read:Users",
        "read: users",
        " read:users",
        "read:users\n",
        "read:user*",
        "re*:users",
        "**:users",
        "read:**",
        "-read:users",
        "read:.users",
        "read:üsers",
        "read:٣",
        "r:" + "x" * 64,
    ],
)
def test_what_is_no_permission(text: str) -> None:
    with pytest.raises(BadPermission, match="verb:resource"):
        check_permission(text)
    with pytest.raises(BadPermission, match="only whole"):
        check_grant(text)


@pytest.mark.parametrize(
    ("granted", "needed", "held"),
    [
        ({"read:users"}, "read:users", True),
        ({"read:*"}, "read:users", True),
        ({"*:users"}, "read:users", True),
        ({"*:*"}, "read:users", True),
        (set(), "read:users", False),
        ({"read:user"}, "read:users", False),
        ({"read:userss"}, "read:users", False),
        ({"write:*"}, "read:users", False),
        ({"*:posts"}, "read:users", False),
        # A wildcard is held by a wider one alone, whatever it stands for today.
        ({"read:*"}, "read:*", True),
        ({"*:*"}, "read:*", True),
        ({"*:*"}, "*:*", True),
        ({"read:users", "read:posts"}, "read:*", False),
        ({"read:*"}, "*:*", False),
        ({"*:users"}, "read:*", False),
        ({"read:*", "*:users"}, "*:*", False),
    ],
)
def test_what_is_held(granted: set[str], needed: str, held: bool) -> None:
    assert holds(granted, needed) is held
    assert beyond(granted, [needed]) == ([] if held else [needed])
    assert any(one in granted for one in covering(needed)) is held


@given(granted, permissions)
@many
def test_a_permission_is_held_if_a_grant_matches_it(granted: frozenset[str], needed: str) -> None:
    assert holds(granted, needed) is (needed in covered(granted))
    assert holds(granted, needed) is any(one in granted for one in covering(needed))


@given(granted, granted)
@many
def test_who_may_hand_it_on_holds_all_it_stands_for(
    granted: frozenset[str], wanted: frozenset[str]
) -> None:
    missed = beyond(granted, wanted)
    assert missed == sorted(missed)
    assert set(missed) <= wanted
    for one in wanted - set(missed):
        assert spelt_out(one) <= covered(granted)
        # Also on what is not thought of yet.
        assert any(fnmatch.fnmatchcase(one, grant) for grant in granted)
    for one in missed:
        assert not any(fnmatch.fnmatchcase(one, grant) for grant in granted)


@pytest.mark.parametrize(
    ("needed", "grants"),
    [
        ("read:users", ("read:users", "read:*", "*:users", "*:*")),
        ("read:*", ("read:*", "*:*")),
        ("*:users", ("*:users", "*:*")),
        ("*:*", ("*:*",)),
    ],
)
def test_what_covers_it_narrowest_first(needed: str, grants: tuple[str, ...]) -> None:
    assert covering(needed) == grants
