"""Giving and taking rights, with plain values."""

from dataclasses import replace

import pytest

from authward.core.granting import (
    MAX_ADDITIONAL,
    MAX_DIRECT,
    MAX_ROLE,
    Present,
    additional_of,
    check_deletable,
    check_known,
    check_role_name,
    direct_of,
    moved,
    rights_of,
    rights_to_act,
    role_of,
)
from authward.core.permissions import DEFAULT_ROLES, Role
from authward.core.principal import Principal
from authward.core.users import User
from authward.errors import RoleInUse, TokenExpired, TokenRevoked, ValidationError

KNOWN = {
    **DEFAULT_ROLES,
    "author": Role(frozenset({"create:posts"})),
    "editor": Role(frozenset({"update:posts"}), frozenset({"author"})),
    "chief": Role(frozenset(), frozenset({"editor"})),
}
ANN = User("user-0001", "", "", "Ann", "user", ("read:x",), 0, 0, "", False, 0, None, ("editor",))
ANNS = frozenset({"read:x", "create:posts", "update:posts"})


def acting(*permissions: str) -> Principal:
    return Principal(ANN.id, "", "user", frozenset(permissions), "session-1", ANN.ver)


def refused(code: str, field: str):
    class _Refused:
        def __enter__(self):
            self._raises = pytest.raises(ValidationError)
            self.caught = self._raises.__enter__()

        def __exit__(self, *error):
            held = self._raises.__exit__(*error)
            [detail] = self.caught.value.details
            assert (detail.code, detail.field) == (code, field)
            assert detail.message
            return held

    return _Refused()


def test_what_an_account_holds_comes_from_all_its_roles():
    assert rights_of(ANN, KNOWN) == ANNS


def test_one_acts_with_what_one_holds_now():
    assert rights_to_act(acting(*ANNS), Present(KNOWN, ANN)) == ANNS
    # Whatever was won since the token was made counts too; whatever was lost ends it.
    assert rights_to_act(acting("read:x"), Present(KNOWN, ANN)) == ANNS
    assert rights_to_act(acting(), Present(KNOWN, replace(ANN, role="admin"))) == ANNS | {"*:*"}
    with pytest.raises(TokenExpired, match="delete:posts"):
        rights_to_act(acting("read:x", "delete:posts"), Present(KNOWN, ANN))
    # Signed out everywhere, or given other rights, after the token was looked at.
    with pytest.raises(TokenExpired):
        rights_to_act(acting("read:x"), Present(KNOWN, replace(ANN, ver=ANN.ver + 1)))
    with pytest.raises(TokenRevoked):
        rights_to_act(acting("read:x"), Present(KNOWN, replace(ANN, disabled_at=5)))
    with pytest.raises(TokenRevoked):
        rights_to_act(acting("read:x"), Present(KNOWN, None))


def test_the_operator_may_do_everything():
    assert rights_to_act(None, Present(KNOWN, None)) == {"*:*"}


@pytest.mark.parametrize("name", ["a", "editor", "x-1_y", "a" * 64])
def test_a_name_of_a_role(name):
    assert check_role_name(name) == name


@pytest.mark.parametrize("name", ["", "A", "1a", "-a", "a b", "ä", "a" * 65, "a\n", "a:b", "*"])
def test_what_no_role_is_called(name):
    with refused("invalid_role", "name"):
        check_role_name(name)


def test_a_role_as_it_is_to_be():
    assert role_of("new", ["read:*", "read:*"], ["chief"], KNOWN) == Role(
        frozenset({"read:*"}), frozenset({"chief"})
    )
    assert role_of("admin", ["*:*", "read:x"], [], KNOWN).permissions == {"*:*", "read:x"}


@pytest.mark.parametrize(
    ("name", "permissions", "includes", "code", "field"),
    [
        ("new", ["all"], [], "invalid_permission", "permissions"),
        ("new", ["re*:x"], [], "invalid_permission", "permissions"),
        ("new", [f"read:x{n}" for n in range(MAX_ROLE + 1)], [], "too_long", "permissions"),
        ("new", [], ["nobody"], "unknown_role", "includes"),
        ("new", [], ["new"], "role_cycle", "includes"),
        ("author", [], ["editor"], "role_cycle", "includes"),
        ("author", [], ["chief"], "role_cycle", "includes"),
        ("admin", ["read:*"], [], "admin_holds_all", "permissions"),
    ],
)
def test_what_no_role_can_be(name, permissions, includes, code, field):
    with refused(code, field):
        role_of(name, permissions, includes, KNOWN)


def test_which_roles_may_go():
    check_deletable("chief", KNOWN)
    check_deletable("moderator", KNOWN)
    for name in ("admin", "user"):
        with pytest.raises(RoleInUse) as caught:
            check_deletable(name, KNOWN)
        assert "cannot be deleted" in caught.value.message
    with pytest.raises(RoleInUse, match="chief"):
        check_deletable("editor", KNOWN)


def test_additional_roles_are_a_few_others_and_never_admin():
    assert additional_of("user", ["b", "a", "b", "user"]) == ("a", "b")
    assert additional_of("admin", ["admin"]) == ()
    with refused("admin_is_the_role", "additionalRoles"):
        additional_of("user", ["admin"])
    assert len(additional_of("user", [f"r{n}" for n in range(MAX_ADDITIONAL)])) == MAX_ADDITIONAL
    with refused("too_long", "additionalRoles"):
        additional_of("user", [f"r{n}" for n in range(MAX_ADDITIONAL + 1)])


def test_direct_grants():
    assert direct_of(["b:x", "a:x", "b:x"]) == ("a:x", "b:x")
    with refused("invalid_permission", "permissions"):
        direct_of(["Read:x"])
    with refused("too_long", "permissions"):
        direct_of(f"read:x{n}" for n in range(MAX_DIRECT + 1))


def test_roles_that_are_none_are_named_with_those_there_are():
    check_known("user", ["editor"], KNOWN)
    with refused("unknown_role", "role"):
        check_known("king", [], KNOWN)
    with refused("unknown_role", "additionalRoles"):
        check_known("user", ["king"], KNOWN)
    with pytest.raises(ValidationError) as caught:
        check_known("king", [], ["b", "a"])
    assert caught.value.details[0].message == "Use one of: a, b"


def test_what_moved():
    assert moved(["a", "b"], ["b", "d", "c"]) == {"granted": "c,d", "taken": "a"}
    assert moved(["a"], ["a"]) == {}
