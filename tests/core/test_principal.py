"""What a caller may do, and which roles it holds."""

import pytest
from hypothesis import given

from authward.core.grants import holds
from authward.core.principal import Principal
from authward.core.requirements import all_of, any_of
from tests.core.test_grants import granted, permissions
from tests.generating import many


def caller(*permissions: str, role: str = "user", roles: tuple[str, ...] = ()) -> Principal:
    return Principal(
        "user-0000000001", "", role, frozenset(permissions), "session-01", roles=frozenset(roles)
    )


@given(granted, permissions)
@many
def test_can_is_what_guards_ask(granted: frozenset[str], needed: str) -> None:
    assert caller(*granted).can(needed) is holds(granted, needed)


@pytest.mark.parametrize(
    ("granted", "can"),
    [("delete:post", True), ("delete:*", True), ("*:post", True), ("*:*", True), ("x:y", False)],
)
def test_by_a_wildcard_too(granted: str, can: bool) -> None:
    assert caller(granted).can("delete:post") is can


def test_any_and_all_of_several() -> None:
    one = caller("read:posts", "update:*")
    assert one.can(any_of("delete:posts", "update:posts"))
    assert not one.can(all_of("delete:posts", "update:posts"))


def test_roles() -> None:
    editor = caller(role="user", roles=("user", "editor", "author"))
    assert [one for one in ("user", "editor", "author", "admin", "") if editor.has_role(one)] == [
        "user",
        "editor",
        "author",
    ]
    # A verifier that knows no roles still knows the one in the token.
    assert caller(role="editor").has_role("editor")
    assert not caller(role="editor").has_role("user")


def test_nobody_gives_it_more() -> None:
    with pytest.raises(AttributeError):
        caller().permissions = frozenset({"*:*"})  # type: ignore[misc]
