"""Dead and outdated access tokens, by session and by version."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from authward.core.revocations import Revocations
from authward.errors import TokenExpired, TokenRevoked
from tests.generating import many


def verdict(known: Revocations, user: str, session: str, ver: int) -> str:
    try:
        known.check(user, session, ver, 0, ("user",))
    except TokenRevoked:
        return "revoked"
    except TokenExpired:
        return "superseded"
    return "good"


def test_nothing_known_is_nothing_refused():
    assert verdict(Revocations(), "ada", "s1", 0) == "good"


def test_a_revoked_session_is_dead_at_every_version_and_the_next_one_is_not():
    known = Revocations()
    known.revoke_session("s1", 10)
    assert verdict(known, "ada", "s1", 99) == "revoked"
    assert verdict(known, "ada", "s2", 0) == "good"


def test_a_revoked_account_is_dead_below_its_version_only():
    known = Revocations()
    known.revoke_user("ada", 5, None, 10)
    assert [verdict(known, "ada", "s1", ver) for ver in (4, 5, 6)] == ["revoked", "good", "good"]
    assert verdict(known, "bob", "s1", 0) == "good"


def test_the_session_that_changed_the_password_lives_on():
    known = Revocations()
    known.revoke_user("ada", 5, "s1", 10)
    assert verdict(known, "ada", "s1", 4) == "good"
    assert verdict(known, "ada", "s2", 4) == "revoked"


def test_a_kept_session_dies_with_the_next_change_of_another():
    known = Revocations()
    known.revoke_user("ada", 5, "s1", 10)
    known.revoke_user("ada", 6, "s2", 11)
    assert verdict(known, "ada", "s1", 4) == "revoked"
    assert verdict(known, "ada", "s2", 4) == "revoked"  # it was none of the first change's
    assert verdict(known, "ada", "s2", 5) == "good"


def test_a_kept_session_dies_with_everything():
    known = Revocations()
    known.revoke_user("ada", 5, "s1", 10)
    known.revoke_user("ada", 6, None, 11)
    assert verdict(known, "ada", "s1", 4) == "revoked"


def test_old_rights_are_superseded_below_the_version_only():
    known = Revocations()
    known.supersede_user("ada", 5, 10)
    assert [verdict(known, "ada", "s1", ver) for ver in (4, 5)] == ["superseded", "good"]
    assert verdict(known, "bob", "s1", 0) == "good"


def test_revoked_is_said_before_superseded():
    known = Revocations()
    known.supersede_user("ada", 5, 10)
    known.revoke_user("ada", 5, None, 10)
    assert verdict(known, "ada", "s1", 4) == "revoked"


def test_a_late_or_repeated_change_never_lowers_a_floor():
    known = Revocations()
    for ver, at in ((7, 20), (5, 10), (7, 20)):
        known.revoke_user("ada", ver, None, at)
        known.revoke_user("eve", ver, "s1", at)
        known.supersede_user("bob", ver, at)
        known.revoke_session("s9", at)
    assert verdict(known, "ada", "s1", 6) == "revoked"
    assert verdict(known, "bob", "s1", 6) == "superseded"
    assert verdict(known, "eve", "s2", 6) == "revoked"
    known.prune(20)
    assert verdict(known, "ada", "s1", 6) == "revoked"
    assert verdict(known, "bob", "s1", 6) == "superseded"
    assert verdict(known, "eve", "s2", 6) == "revoked"
    assert verdict(known, "fay", "s9", 0) == "revoked"


def test_pruning_forgets_what_is_older_and_nothing_else():
    known = Revocations()
    known.revoke_session("old", 9)
    known.revoke_session("new", 10)
    known.revoke_user("ada", 5, "s1", 9)
    known.revoke_user("ada", 4, None, 10)
    known.revoke_user("bob", 5, None, 9)
    known.supersede_user("cyd", 5, 9)
    known.supersede_user("dan", 5, 10)
    assert len(known) == 6
    known.prune(10)
    assert len(known) == 3
    assert verdict(known, "eve", "old", 0) == "good"
    assert verdict(known, "eve", "new", 0) == "revoked"
    assert [verdict(known, "ada", "s2", ver) for ver in (3, 4)] == ["revoked", "good"]
    assert verdict(known, "bob", "s1", 0) == "good"
    assert verdict(known, "cyd", "s1", 0) == "good"
    assert verdict(known, "dan", "s1", 4) == "superseded"


CHANGES = st.lists(
    st.tuples(
        st.sampled_from(["session", "user", "supersede"]),
        st.sampled_from(["ada", "bob"]),
        st.sampled_from(["s1", "s2"]),
        st.booleans(),
        st.integers(0, 5),
        st.integers(0, 20),
    ),
    max_size=6,
)


def apply(known: Revocations, changes) -> Revocations:
    for kind, user, session, keeps, ver, at in changes:
        if kind == "session":
            known.revoke_session(session, at)
        elif kind == "user":
            known.revoke_user(user, ver, session if keeps else None, at)
        else:
            known.supersede_user(user, ver, at)
    return known


@many
@given(CHANGES, st.randoms(use_true_random=False))
def test_order_and_repetition_of_changes_do_not_matter(changes, random):
    shuffled = [*changes, *changes[:3]]
    random.shuffle(shuffled)
    one, other = apply(Revocations(), changes), apply(Revocations(), shuffled)
    for user in ("ada", "bob"):
        for session in ("s1", "s2", "s3"):
            for ver in range(6):
                assert verdict(one, user, session, ver) == verdict(other, user, session, ver)


CUTS = st.lists(
    st.tuples(st.sampled_from(["", "editor", "user"]), st.integers(0, 4), st.integers(0, 9)),
    max_size=5,
)


@many
@given(CUTS, st.integers(0, 10), st.integers(0, 4), st.sampled_from(["editor", "user", "x"]))
def test_a_cut_is_what_a_plain_reading_of_all_rows_says(cuts, pruned, opened, role):
    known = Revocations()
    for of, second, at in cuts:
        known.cut(of, second * 1000, at)
    known.prune(pruned)
    latest = {of: max(at for one, _, at in cuts if one == of) for of, _, _ in cuts}
    dead = any(
        opened < second and of in ("", role) and latest[of] >= pruned for of, second, _ in cuts
    )
    try:
        known.check("ada", "s1", 0, opened, (role,))
        refused = False
    except TokenRevoked:
        refused = True
    assert refused == dead


def test_a_cut_through_a_role_leaves_other_roles():
    known = Revocations()
    known.cut("editor", 1000, 10)
    assert verdict(known, "ada", "s1", 0) == "good"
    with pytest.raises(TokenRevoked):
        known.check("ada", "s1", 0, 0, ("user", "editor"))


def test_outdated_roles_are_superseded_before_a_cut_judges_them():
    known = Revocations()
    known.supersede_user("ada", 5, 10)
    known.cut("", 1000, 10)
    assert verdict(known, "ada", "s1", 4) == "superseded"
