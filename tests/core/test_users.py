"""Accounts: one form of an address, the last admin, and whom a moderator may touch."""

import dataclasses

import pytest
from hypothesis import given
from hypothesis import strategies as st

from authward.core.users import (
    MAX_EMAIL,
    USER_ID,
    BadEmail,
    User,
    UserChange,
    canonical_email,
    check_last_admin,
    check_may_edit,
    new_user_id,
)
from authward.errors import Forbidden, LastAdmin
from tests.generating import few, many

ADMIN = User(
    id="user-0000000001",
    email="Ada@Example.com",
    email_canonical="ada@example.com",
    name="Ada",
    role="admin",
    permissions=(),
    epoch=0,
    ver=0,
    password_hash="$argon2id$the-hash",
    email_verified=True,
    created_at=0,
    disabled_at=None,
)


LONGEST = "a" * 64 + "@" + ".".join(["b" * 61] * 3) + ".com"


def test_the_longest_address_is_254_characters():
    assert len(LONGEST) == MAX_EMAIL
    with pytest.raises(BadEmail):
        canonical_email("a" + LONGEST)


@pytest.mark.parametrize(
    ("address", "canonical"),
    [
        ("ada@example.com", "ada@example.com"),
        ("Ada@EXAMPLE.com", "ada@example.com"),
        ("ADA+tag@example.com", "ada+tag@example.com"),
        ("zoë@exämple.com", "zoë@xn--exmple-cua.com"),
        ("zoe\u0308@exa\u0308mple.com", "zoë@xn--exmple-cua.com"),
        ("straße@example.com", "strasse@example.com"),
        ("ﬁnn@example.com", "finn@example.com"),
        ("\u03a3\u03c2@example.com", "\u03c3\u03c3@example.com"),
        ("ada@xn--exmple-cua.com", "ada@xn--exmple-cua.com"),
        ("ada@site.test", "ada@site.test"),
        (LONGEST, LONGEST),
    ],
)
def test_one_form_for_every_spelling(address: str, canonical: str):
    assert canonical_email(address) == canonical


@pytest.mark.parametrize(
    "address",
    [
        "",
        "ada",
        "@example.com",
        "ada@",
        "ada@localhost",
        "ada@@example.com",
        "ada@b@example.com",
        "ada@exa mple.com",
        " ada@example.com",
        "ada@example.com ",
        "ada@example.com\n",
        "ada@example.com\r\nBcc: all@example.com",
        "Ada <ada@example.com>",
        '"ada b"@example.com',
        "ada@[127.0.0.1]",
        "ada\0@example.com",
        "\ud800@example.com",
        "ada@-example.com",
        "ada..b@example.com",
        "ada@example..com",
        "ada@" + "b" * 250 + ".com",
    ],
    ids=repr,
)
def test_what_is_no_address(address: str):
    with pytest.raises(BadEmail):
        canonical_email(address)


def test_an_address_that_unfolds_past_the_limit_is_refused():
    """U+FDFA is one character as typed and eighteen in its canonical form."""
    assert len(canonical_email("\ufdfa@example.com")) == 18 + len("@example.com")
    fitting = "\ufdfa" * 13 + "x" * 8 + "@example.com"
    assert len(canonical_email(fitting)) == MAX_EMAIL == 254
    with pytest.raises(BadEmail, match="too long"):
        canonical_email("x" + fitting)


def test_a_huge_address_is_refused_before_it_is_parsed(monkeypatch):
    import email_validator

    def never(*_: object, **__: object):
        raise AssertionError("parsed")

    monkeypatch.setattr(email_validator, "validate_email", never)
    with pytest.raises(BadEmail, match="too long"):
        canonical_email("a" * 10_000_000 + "@example.com")
    with pytest.raises(AssertionError, match="parsed"):
        canonical_email("ada@example.com")


@many
@given(st.text(st.characters(), max_size=20), st.sampled_from(["example.com", "exämple.com"]))
def test_any_text_is_an_address_or_none_and_one_form_is_its_own(local: str, domain: str):
    try:
        canonical = canonical_email(f"{local}@{domain}")
    except BadEmail:
        return
    try:
        assert canonical_email(canonical) == canonical
    except BadEmail:
        # NFKC may write a look-alike of "@" or "." out; such a form is nobody else's address.
        assert canonical.rpartition("@")[0] != local


@few
@given(st.emails())
def test_case_never_makes_another_account(address: str):
    try:
        canonical = canonical_email(address)
    except BadEmail:
        return
    assert canonical_email(address.upper()) == canonical
    assert canonical_email(address.lower()) == canonical


def test_a_user_id_is_plain():
    assert USER_ID.fullmatch("user-0000000001")
    for odd in ("short", "x" * 65, "user id-0001", "../../etc", "user-0001\n", "usér-00001"):
        assert not USER_ID.fullmatch(odd)


def test_a_user_does_not_print_the_hash():
    assert "the-hash" not in repr(ADMIN)


def change(**values) -> UserChange:
    return UserChange(values)


TAKES_AN_ADMIN = [
    UserChange(delete=True),
    change(disabled_at=1),
    change(disabled_at=0),
    change(role="user"),
    change(role="Admin"),
]
TAKES_NONE = [
    UserChange(),
    UserChange(revoke=True, supersede=True),
    change(name="Grace"),
    change(role="admin"),
    change(disabled_at=None),
]


@pytest.mark.parametrize("change", TAKES_AN_ADMIN, ids=repr)
def test_the_last_enabled_admin_stays(change: UserChange):
    for admins in (0, 1):
        with pytest.raises(LastAdmin):
            check_last_admin(ADMIN, change, admins)
    check_last_admin(ADMIN, change, 2)


@pytest.mark.parametrize("change", TAKES_NONE, ids=repr)
def test_what_takes_no_admin_away_is_allowed(change: UserChange):
    check_last_admin(ADMIN, change, 1)


@pytest.mark.parametrize("change", TAKES_AN_ADMIN, ids=repr)
def test_whoever_is_no_enabled_admin_may_go(change: UserChange):
    check_last_admin(dataclasses.replace(ADMIN, role="user"), change, 1)
    check_last_admin(dataclasses.replace(ADMIN, disabled_at=5), change, 1)


SOME = frozenset({"read:users", "update:users"})


@pytest.mark.parametrize("target", [frozenset(), frozenset({"read:users"}), SOME], ids=sorted)
def test_a_moderator_edits_whoever_holds_no_more_than_they_do(target):
    check_may_edit(SOME, target)


@pytest.mark.parametrize("target", [SOME | {"list:users"}, frozenset({"read:audit"})], ids=sorted)
def test_a_moderator_does_not_edit_whoever_holds_more(target):
    with pytest.raises(Forbidden) as refused:
        check_may_edit(SOME, target)
    assert refused.value.permissions == tuple(sorted(target - SOME))
    assert refused.value.roles == ()


def test_an_admin_edits_anyone():
    check_may_edit(frozenset({"*:*"}), SOME | {"read:*", "*:*"})


def test_who_holds_a_wildcard_edits_what_it_covers():
    check_may_edit(frozenset({"read:*"}), frozenset({"read:users", "read:*"}))
    with pytest.raises(Forbidden):
        check_may_edit(frozenset({"read:users", "read:audit"}), frozenset({"read:*"}))


@pytest.mark.parametrize("first", [0x00, 0xF8, 0xFB, 0xFC, 0xFF])
def test_no_new_id_looks_like_an_option_to_a_command(first: int):
    found = new_user_id(lambda size: bytes([first, *range(1, size)]))
    assert USER_ID.fullmatch(found)
    assert len(found) == 20
    assert not found.startswith("-")
