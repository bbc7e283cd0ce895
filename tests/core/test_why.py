"""Why somebody may do something, and where it would come from."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from authward.core.grants import holds
from authward.core.permissions import Role, check_access, effective, held_roles
from authward.core.principal import Principal
from authward.core.requirements import all_of, any_of
from authward.core.why import MOST_TOLD, Source, bringing, lacking, missing, why
from authward.errors import Detail, Forbidden
from tests.core.test_grants import grants, permissions
from tests.generating import many

KNOWN = {
    "admin": Role(frozenset({"*:*"})),
    "auditor": Role(frozenset({"read:reports"})),
    "author": Role(frozenset({"create:posts"})),
    "chief": Role(includes=frozenset({"editor", "auditor", "gone"})),
    "editor": Role(frozenset({"update:*"}), frozenset({"author", "chief"})),
    "user": Role(),
}
NAMES = tuple(KNOWN)
names = st.frozensets(st.sampled_from((*NAMES, "gone")), max_size=3)
known_roles = st.dictionaries(
    st.sampled_from(NAMES), st.builds(Role, st.frozensets(grants, max_size=2), names)
)


def test_every_way_it_came() -> None:
    found = why("create:posts", ("chief", "editor", "user"), ("create:*", "create:posts"), KNOWN)
    assert found.held
    assert found.sources == (
        Source("create:posts"),
        Source("create:*"),
        Source("create:posts", ("chief", "editor", "author")),
        Source("create:posts", ("editor", "author")),
    )
    assert [str(one) for one in found.sources[1:3]] == [
        "create:*, granted directly",
        "create:posts, through the role chief, which includes editor, which includes author",
    ]
    assert str(why("a:b", ("admin",), (), KNOWN).sources[0]) == "*:*, through the role admin"


def test_where_it_would_come_from_who_grants_least_first() -> None:
    found = why("read:reports", ("user", "nobody"), ("read:report",), KNOWN)
    assert not found.held
    assert found.sources == ()
    # editor and chief include each other.
    assert found.granted_by == ("auditor", "chief", "editor", "admin")
    assert why("a:b", (), (), {}).granted_by == ()
    assert why("a:*", ("editor",), (), KNOWN).granted_by == ("admin",)


@given(names, st.frozensets(grants, max_size=2), known_roles, permissions | grants)
@many
def test_it_tells_what_is_so(
    roles: frozenset[str], direct: frozenset[str], known: dict[str, Role], asked: str
) -> None:
    found = why(asked, roles, direct, known)
    assert found.held is holds(effective(roles, direct, known), asked)
    for one in found.sources:
        assert holds({one.grant}, asked)
        if one.roles:
            assert one.roles[0] in roles
            assert one.grant in known[one.roles[-1]].permissions
            for outer, inner in zip(one.roles, one.roles[1:], strict=False):
                assert inner in known[outer].includes
        else:
            assert one.grant in direct
    # None is left out.
    told = {(one.roles[0], one.roles[-1], one.grant) for one in found.sources if one.roles}
    assert told == {
        (given, name, grant)
        for given in roles
        for name in held_roles((given,), known)
        for grant in known.get(name, Role()).permissions
        if holds({grant}, asked)
    }
    assert set(found.granted_by) == {
        name for name in known if holds(effective((name,), (), known), asked)
    }


@pytest.mark.parametrize(
    ("need", "granted", "roles"),
    [
        ("read:reports", (), ("auditor", "chief", "editor", "admin")),
        (
            any_of("create:posts", "read:reports"),
            (),
            ("auditor", "author", "chief", "editor", "admin"),
        ),
        (all_of("read:audit", "read:reports"), (), ("admin",)),
        # What is held already is half the way.
        (
            all_of("read:audit", "read:reports"),
            ("read:audit",),
            ("auditor", "chief", "editor", "admin"),
        ),
    ],
)
def test_which_roles_bring_it(need, granted, roles) -> None:
    assert bringing(need, granted, KNOWN) == roles


def caller(*permissions: str, role: str = "user") -> Principal:
    return Principal(
        "user-0000000001",
        "",
        role,
        frozenset(permissions),
        "session-01",
        roles=held_roles((role,), KNOWN),
    )


@pytest.mark.parametrize(
    ("roles", "needs", "details"),
    [
        ((), (), []),
        (("user",), ("a:b",), []),
        (
            (),
            ("read:reports",),
            [
                (
                    "permission",
                    "Needs read:reports. Roles that grant it: auditor, chief, editor, admin.",
                )
            ],
        ),
        (("admin",), (), [("role", "Needs the role admin.")]),
        (
            ("author", "auditor"),
            ("a:b",),
            [("role", "Needs the role auditor or author. Roles that include it: chief, editor.")],
        ),
        (
            ("admin",),
            (all_of("a:b", "c:d", any_of("create:posts", all_of("e:f", "g:h"))), "c:e"),
            [
                ("role", "Needs the role admin."),
                ("permission", "Needs c:d. Roles that grant it: admin."),
                (
                    "permission",
                    "Needs create:posts or (e:f and g:h). "
                    "Roles that grant it: author, chief, editor, admin.",
                ),
                ("permission", "Needs c:e. Roles that grant it: admin."),
            ],
        ),
    ],
)
def test_what_a_guard_missed(roles, needs, details) -> None:
    who = caller("a:b")
    assert missing(who, roles, needs, KNOWN) == [
        Detail(field, "missing_grant", message) for field, message in details
    ]
    if details:
        with pytest.raises(Forbidden):
            check_access(who, roles, needs)
    else:
        check_access(who, roles, needs)


def test_what_no_role_grants() -> None:
    [detail] = missing(caller(), (), ["read:reports"], {"user": Role()})
    assert detail.message == "Needs read:reports. No role grants it."


def test_an_included_role_is_held() -> None:
    assert missing(caller(role="chief"), ("author",), (), KNOWN) == []


def test_what_the_rule_of_granting_missed() -> None:
    refusal = Forbidden(roles=("author", "user"), permissions=("read:reports", "read:*"))
    assert lacking(refusal, KNOWN) == [
        Detail("role", "missing_grant", message)
        for message in (
            "Needs the role author. Roles that include it: chief, editor.",
            "Needs the role user.",
        )
    ] + [
        Detail("permission", "missing_grant", message)
        for message in (
            "Needs read:reports. Roles that grant it: auditor, chief, editor, admin.",
            "Needs read:*. Roles that grant it: admin.",
        )
    ]
    assert lacking(Forbidden("an address is denied"), KNOWN) == []


def test_who_lacks_hundreds_is_told_of_some() -> None:
    names = tuple(f"read:x{number:03}" for number in range(300))
    found = lacking(Forbidden(permissions=names, roles=names), KNOWN)
    assert [one.field for one in found] == ["role"] * MOST_TOLD + ["permission"] * MOST_TOLD
