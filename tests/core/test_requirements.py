"""What guards ask for: one permission, all of several, any of several, and these in each other."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from authward.core.requirements import (
    AllOf,
    AnyOf,
    Requirement,
    all_of,
    any_of,
    met,
    requirements,
    unmet,
)
from authward.errors import ConfigurationError
from tests.generating import many

ALL = ("a:x", "b:x", "c:y", "d:y")
leaves: st.SearchStrategy[Requirement] = st.sampled_from(ALL)
needs = st.recursive(
    leaves,
    lambda inner: st.one_of(
        st.lists(inner, min_size=1, max_size=3).map(lambda some: any_of(*some)),
        st.lists(inner, min_size=1, max_size=3).map(lambda some: all_of(*some)),
    ),
    max_leaves=8,
)


def as_python(need: Requirement) -> str:
    """`need` as an expression over the names of permissions, to be evaluated by Python itself."""
    if isinstance(need, str):
        return need.replace(":", "_")
    word = " or " if isinstance(need, AnyOf) else " and "
    return f"({word.join(as_python(one) for one in need.needs)})"


@given(needs, st.frozensets(st.sampled_from(ALL)))
@many
def test_it_is_met_as_the_words_say(need: Requirement, granted: frozenset[str]) -> None:
    names = {one.replace(":", "_"): one in granted for one in ALL}
    expected = eval(as_python(need), {}, names)
    assert met(granted, [need]) is expected
    assert unmet(granted, [need]) == ([] if expected else [need])


@given(st.lists(needs, max_size=3), st.frozensets(st.sampled_from(ALL)))
@many
def test_all_of_them_are_asked(some: list[Requirement], granted: frozenset[str]) -> None:
    assert met(granted, some) is all(met(granted, [one]) for one in some)
    assert unmet(granted, some) == [one for one in some if not met(granted, [one])]


@pytest.mark.parametrize(
    ("need", "granted", "enough"),
    [
        (any_of("update:posts", "manage:posts"), {"manage:posts"}, True),
        (any_of("update:posts", "manage:posts"), {"*:posts"}, True),
        (any_of("update:posts", "manage:posts"), {"read:posts"}, False),
        (all_of("update:posts", "manage:posts"), {"manage:posts"}, False),
        (all_of("update:posts", "manage:posts"), {"manage:*", "*:posts"}, True),
        (any_of("a:x", all_of("b:x", "c:y")), {"b:x"}, False),
        (any_of("a:x", all_of("b:x", "c:y")), {"b:x", "c:y"}, True),
        (any_of("a:x", all_of("b:x", "c:y")), {"*:*"}, True),
    ],
)
def test_wildcards_meet_it(need: Requirement, granted: set[str], enough: bool) -> None:
    assert met(granted, [need]) is enough


def test_it_reads_well() -> None:
    assert str(any_of("a:x", "b:x")) == "a:x or b:x"
    assert str(all_of("a:x", any_of("b:x", "c:y"))) == "a:x and (b:x or c:y)"
    assert str(any_of(all_of("a:x", "b:x"), "c:y")) == "(a:x and b:x) or c:y"


def test_equal_ones_are_equal() -> None:
    """Guards are compared by what they ask."""
    assert any_of("a:x", "b:x") == AnyOf(("a:x", "b:x"))
    assert hash(all_of("a:x")) == hash(AllOf(("a:x",)))
    assert len({any_of("a:x"), all_of("a:x"), any_of("a:x")}) == 2
    assert requirements("require", ["a:x", any_of("b:x")]) == ("a:x", AnyOf(("b:x",)))


@pytest.mark.parametrize("ask", [any_of, all_of])
def test_what_would_let_everybody_or_nobody_in(ask) -> None:
    name = ask.__name__
    with pytest.raises(ConfigurationError, match=f"{name}: name at least one"):
        ask()
    with pytest.raises(ConfigurationError, match=f"{name}: 'read'\\? A permission is written"):
        ask("read:users", "read")
    for wildcard in ("read:*", "*:*"):
        with pytest.raises(ConfigurationError, match=f"{name}: .*Only grants hold '\\*'"):
            ask(wildcard)
    for junk in (None, 7, ["read:users"], b"read:users"):
        with pytest.raises(ConfigurationError, match=f"{name}: .* is no permission"):
            ask(junk)
    with pytest.raises(ConfigurationError, match="any_of: name at least one"):
        ask("read:users", any_of())
