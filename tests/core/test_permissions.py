"""Roles, permissions, and who passes."""

import pytest

from authward.core.permissions import DEFAULT_ROLES, check_access, effective
from authward.core.principal import Principal
from authward.errors import Forbidden

MODERATOR = Principal(
    "user-0000000001", "", "moderator", frozenset({"read:users", "read:reports"}), "session-01"
)


def test_the_roles_every_installation_starts_with():
    assert {role: sorted(held) for role, held in DEFAULT_ROLES.items()} == {
        "admin": [
            "assign:roles",
            "delete:users",
            "list:users",
            "manage:keys",
            "manage:roles",
            "read:audit",
            "read:users",
            "update:users",
        ],
        "moderator": ["read:users", "update:users"],
        "user": [],
    }


def test_effective_permissions_are_direct_grants_and_those_of_the_role():
    assert effective("moderator", ("read:reports", "read:users"), DEFAULT_ROLES) == {
        "read:users",
        "update:users",
        "read:reports",
    }
    assert effective("user", (), DEFAULT_ROLES) == frozenset()


@pytest.mark.parametrize("role", ["", "Admin", "admin ", "nobody"])
def test_an_unknown_role_grants_nothing(role: str):
    assert effective(role, (), DEFAULT_ROLES) == frozenset()
    assert effective(role, ("read:reports",), DEFAULT_ROLES) == {"read:reports"}


@pytest.mark.parametrize(
    ("roles", "permissions"),
    [
        ((), ()),
        (("moderator",), ()),
        (("admin", "moderator"), ()),
        ((), ("read:users",)),
        (("moderator",), ("read:users", "read:reports")),
    ],
)
def test_who_passes(roles, permissions):
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
        ((), ("read:users*",), "lacks"),
    ],
)
def test_who_does_not(roles, permissions, why: str):
    with pytest.raises(Forbidden) as caught:
        check_access(MODERATOR, roles, permissions)
    assert why in caught.value.reason
    assert why not in caught.value.message
