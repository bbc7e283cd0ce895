"""Roles, what they include and grant, and who passes."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from authward.core.permissions import (
    DEFAULT_ROLES,
    Role,
    check_access,
    effective,
    has_one_of,
    held_roles,
)
from authward.core.principal import Principal
from authward.core.requirements import all_of, any_of
from authward.errors import Forbidden
from tests.generating import many

MODERATOR = Principal(
    "user-0000000001",
    "",
    "moderator",
    frozenset({"read:users", "read:reports", "manage:*"}),
    "session-01",
    roles=frozenset({"moderator", "author"}),
)
STAFF = {
    "author": Role(frozenset({"create:posts"})),
    "editor": Role(frozenset({"update:posts"}), frozenset({"author"})),
    "chief": Role(frozenset({"*:posts"}), frozenset({"editor", "gone"})),
    "egg": Role(frozenset({"a:egg"}), frozenset({"hen"})),
    "hen": Role(frozenset({"a:hen"}), frozenset({"egg", "hen"})),
}
NAMES = ("a", "b", "c", "d", "e")
some = st.frozensets(st.sampled_from(NAMES), max_size=3)
known_roles = st.dictionaries(
    st.sampled_from(NAMES),
    st.builds(Role, some.map(lambda s: frozenset(f"x:{n}" for n in s)), some),
)


def test_the_roles_every_installation_starts_with() -> None:
    assert {name: sorted(role.permissions) for name, role in DEFAULT_ROLES.items()} == {
        "admin": ["*:*"],
        "moderator": ["read:users", "update:users"],
        "user": [],
    }
    assert not any(role.includes for role in DEFAULT_ROLES.values())


@pytest.mark.parametrize(
    ("roles", "held"),
    [
        ((), set()),
        (("author",), {"author"}),
        (("editor",), {"editor", "author"}),
        (("chief",), {"chief", "editor", "author", "gone"}),
        (("author", "egg"), {"author", "egg", "hen"}),
        (("nobody",), {"nobody"}),
    ],
)
def test_a_role_brings_those_it_includes(roles: tuple[str, ...], held: set[str]) -> None:
    assert held_roles(roles, STAFF) == held


def test_effective_permissions_are_direct_grants_and_those_of_all_roles() -> None:
    assert effective(("moderator",), ("read:reports", "read:users"), DEFAULT_ROLES) == {
        "read:users",
        "update:users",
        "read:reports",
    }
    assert effective(("chief",), (), STAFF) == {"create:posts", "update:posts", "*:posts"}
    assert effective(("author", "egg"), ("a:b",), STAFF) == {
        "create:posts",
        "a:egg",
        "a:hen",
        "a:b",
    }
    assert effective(("user",), (), DEFAULT_ROLES) == frozenset()
    assert effective((), (), DEFAULT_ROLES) == frozenset()


@pytest.mark.parametrize("role", ["", "Admin", "admin ", "nobody"])
def test_an_unknown_role_grants_nothing(role: str) -> None:
    assert effective((role,), (), DEFAULT_ROLES) == frozenset()
    assert effective((role,), ("read:reports",), DEFAULT_ROLES) == {"read:reports"}


def reached(name: str, known: dict[str, Role], depth: int) -> set[str]:
    """What a role brings, by a second way: no path to a role needs more steps than there are."""
    found = {name}
    if depth and name in known:
        for one in known[name].includes:
            found |= reached(one, known, depth - 1)
    return found


@given(some, known_roles)
@many
def test_roles_that_include_each_other_come_to_an_end(
    roles: frozenset[str], known: dict[str, Role]
) -> None:
    held = held_roles(roles, known)
    assert held == set().union(*(reached(one, known, len(NAMES)) for one in roles))
    granted = {one for name in held for one in known.get(name, Role()).permissions}
    assert effective(roles, ("y:z",), known) == granted | {"y:z"}


@pytest.mark.parametrize(
    ("roles", "permissions"),
    [
        ((), ()),
        (("moderator",), ()),
        (("author",), ()),
        (("admin", "moderator"), ()),
        ((), ("read:users",)),
        ((), ("manage:keys",)),
        (("moderator",), ("read:users", "read:reports")),
        (("author",), (any_of("update:posts", "manage:posts"),)),
        ((), (all_of("read:users", any_of("a:b", "read:reports")),)),
    ],
)
def test_who_passes(roles, permissions) -> None:
    check_access(MODERATOR, roles, permissions)


@pytest.mark.parametrize(
    ("roles", "permissions", "why"),
    [
        (("admin",), (), "role moderator"),
        (("admin",), ("read:users",), "role moderator"),
        ((), ("update:users",), "lacks update:users"),
        ((), ("read:users", "update:users"), "lacks update:users"),
        (("moderator",), ("read:audit",), "lacks read:audit"),
        ((), ("read:user",), "lacks read:user"),
        ((), (any_of("a:b", "c:d"),), "lacks a:b or c:d"),
        ((), (all_of("read:users", "c:d"),), "lacks read:users and c:d"),
    ],
)
def test_who_does_not(roles, permissions, why: str) -> None:
    with pytest.raises(Forbidden) as caught:
        check_access(MODERATOR, roles, permissions)
    assert why in caught.value.reason
    assert why not in caught.value.message
    assert caught.value.details == ()


def test_one_of_the_roles_is_enough() -> None:
    assert has_one_of(MODERATOR, ("admin", "moderator"))
    assert has_one_of(MODERATOR, {"author"})
    assert not has_one_of(MODERATOR, ("admin", "auth", ""))
    assert not has_one_of(MODERATOR, ())
    bare = Principal("user-0000000001", "", "editor", frozenset(), "session-01")
    assert has_one_of(bare, ("editor",))
