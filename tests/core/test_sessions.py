"""What a refresh token of some generation earns: the whole table."""

import dataclasses
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from authward.core.sessions import Session, Verdict, judge, refresh_claims
from authward.core.tokens import mint
from tests.generating import many
from tests.minting import NOW, POLICY, REFRESH

ROTATED = NOW * 1000
GRACE = 10_000


def session(**changes) -> Session:
    row = Session(
        id="session-000000000001",
        user_id="user-0000000001",
        epoch=2,
        generation=5,
        rotated_at=ROTATED,
        kid=REFRESH.key.kid,
        created_at=ROTATED - 1000,
        expires_at=ROTATED + 30 * 86_400_000,
        auth_time=ROTATED - 1000,
        last_used_at=ROTATED,
        revoked_at=None,
        ip="",
        user_agent="",
    )
    return dataclasses.replace(row, **changes)


def verdict(
    generation: int,
    age: int,
    *,
    grace: int = GRACE,
    enabled: bool = True,
    signed_by: str | None = None,
    killed: bool = False,
    behind: bool = False,
    **row,
):
    return judge(
        generation,
        session(**row),
        user_epoch=2,
        user_enabled=enabled,
        now=ROTATED + age,
        grace=grace,
        signed_by=signed_by,
        killed=killed,
        behind=behind,
    )


@pytest.mark.parametrize(
    ("generation", "age", "expected"),
    [
        # A row in which it was not noted what signed the generations before.
        (5, 0, Verdict.FORGED),
        (5, GRACE, Verdict.FORGED),
        (4, 0, Verdict.OVERLAP),
        (4, GRACE, Verdict.REUSED),
        (6, 0, Verdict.AHEAD),
    ],
)
def test_another_key_than_the_session_has(generation: int, age: int, expected: Verdict):
    assert verdict(generation, age, signed_by="another-key") is expected
    assert verdict(generation, age, signed_by=REFRESH.key.kid) is not Verdict.FORGED


OVERLAP, REUSED, FORGED = Verdict.OVERLAP, Verdict.REUSED, Verdict.FORGED


@pytest.mark.parametrize("kid_from", [0, 3, 4, 5])
@pytest.mark.parametrize("generation", [0, 2, 3, 4, 5])
@pytest.mark.parametrize("age", [0, GRACE])
def test_each_generation_is_of_the_key_that_signed_it(kid_from: int, generation: int, age: int):
    row: dict[str, Any] = {"kid_from": kid_from, "kid_before": "before" if kid_from else None}
    signer = REFRESH.key.kid if generation >= kid_from else "before"
    # Of the key before it is known that it signed the last generation before the change.
    known = generation >= kid_from - 1
    for kid in (REFRESH.key.kid, "before", "another-key"):
        found = verdict(generation, age, signed_by=kid, **row)
        asked = FORGED if known and kid != signer else verdict(generation, age, **row)
        assert found is asked, kid
    assert verdict(6, age, signed_by="before", **row) is Verdict.AHEAD


@pytest.mark.parametrize(
    ("generation", "age", "kid", "expected"),
    [
        # Generation 4 was the first of the present key.
        (4, 0, "before", FORGED),
        (4, GRACE, "before", FORGED),
        (3, GRACE, "before", REUSED),
        (3, GRACE, "another-key", FORGED),
        (3, GRACE, REFRESH.key.kid, FORGED),
        (4, 0, REFRESH.key.kid, OVERLAP),
        (4, GRACE, REFRESH.key.kid, REUSED),
    ],
)
def test_an_old_key_does_not_reach_a_session_that_moved_on(
    generation: int, age: int, kid: str, expected: Verdict
):
    row: dict[str, Any] = {"kid_from": 4, "kid_before": "before"}
    assert verdict(generation, age, signed_by=kid, **row) is expected


@pytest.mark.parametrize("kid", ["before", "the-one-before-that", REFRESH.key.kid])
@pytest.mark.parametrize("age", [0, GRACE])
def test_an_older_token_is_reuse_whatever_key_signed_it(kid: str, age: int):
    """After two changes of the key the row does not say any more who signed it."""
    row: dict[str, Any] = {"kid_from": 4, "kid_before": "before"}
    assert verdict(2, age, signed_by=kid, **row) is REUSED


@pytest.mark.parametrize(
    ("generation", "age", "expected"),
    [
        (5, 0, Verdict.SAME),
        (5, GRACE - 1, Verdict.SAME),
        (5, GRACE, Verdict.ROTATE),
        (5, 10 * GRACE, Verdict.ROTATE),
        (4, 0, Verdict.OVERLAP),
        (4, GRACE - 1, Verdict.OVERLAP),
        (4, GRACE, Verdict.REUSED),
        (3, 0, Verdict.REUSED),
        (0, GRACE, Verdict.REUSED),
        (6, 0, Verdict.AHEAD),
        (6, 10 * GRACE, Verdict.AHEAD),
        (5, -GRACE, Verdict.SAME),  # a database clock set back is no theft
    ],
)
def test_the_table(generation: int, age: int, expected: Verdict):
    assert verdict(generation, age) is expected


@pytest.mark.parametrize("generation", [3, 4, 5, 6])
@pytest.mark.parametrize(
    "over",
    [
        {"revoked_at": ROTATED - 1},
        {"revoked_at": 0},
        {"expires_at": ROTATED + 5},
        {"epoch": 1},
        {"epoch": 3},
        {"enabled": False},
    ],
    ids=str,
)
def test_a_session_that_is_over_earns_nothing(generation: int, over):
    assert verdict(generation, 5, **over) is Verdict.ENDED


@pytest.mark.parametrize("generation", [3, 4, 5, 6])
@pytest.mark.parametrize("age", [0, GRACE])
@pytest.mark.parametrize("behind", [True, False])
def test_a_key_that_was_killed_opens_nothing_and_ends_nothing(
    generation: int, age: int, behind: bool
):
    assert verdict(generation, age, killed=True, behind=behind) is Verdict.KILLED
    assert verdict(generation, age, killed=True, revoked_at=0) is Verdict.ENDED


def test_nothing_is_signed_anew_with_a_key_that_was_killed():
    assert verdict(5, GRACE, behind=True) is Verdict.BEHIND
    assert verdict(5, 0, behind=True) is Verdict.SAME
    assert verdict(4, 0, behind=True) is Verdict.OVERLAP
    assert verdict(4, GRACE, behind=True) is Verdict.REUSED
    assert verdict(5, GRACE, behind=True, signed_by="another-key") is Verdict.FORGED


def test_the_absolute_end_is_to_the_millisecond():
    assert verdict(5, 4, expires_at=ROTATED + 5) is Verdict.SAME
    assert verdict(5, 5, expires_at=ROTATED + 5) is Verdict.ENDED


@pytest.mark.parametrize("age", [0, 1, GRACE])
def test_no_grace_means_no_second_use(age: int):
    assert verdict(5, age, grace=0) is Verdict.ROTATE
    assert verdict(4, age, grace=0) is Verdict.REUSED


@many
@given(
    generation=st.integers(-3, 12),
    age=st.integers(-(10**6), 10**6),
    grace=st.integers(0, 300_000),
    revoked=st.none() | st.integers(0, 2 * ROTATED),
    left=st.integers(-(10**6), 10**6),
    epoch=st.integers(1, 3),
    enabled=st.booleans(),
)
def test_only_a_live_session_and_its_last_two_generations_get_a_token(
    generation, age, grace, revoked, left, epoch, enabled
):
    found = verdict(
        generation,
        age,
        grace=grace,
        enabled=enabled,
        revoked_at=revoked,
        epoch=epoch,
        expires_at=ROTATED + age + left,
    )
    alive = revoked is None and left > 0 and epoch == 2 and enabled
    assert (found is Verdict.ENDED) is not alive
    if found in (Verdict.ROTATE, Verdict.SAME):
        assert generation == 5
    if found is Verdict.OVERLAP:
        assert generation == 4
        assert age < grace
    if found is Verdict.REUSED:
        assert generation < 5


def test_refresh_claims_are_a_function_of_the_row():
    claims = refresh_claims(session(), POLICY)
    assert (claims.sub, claims.sid, claims.gen) == ("user-0000000001", "session-000000000001", 5)
    assert (claims.iat, claims.exp) == (NOW, NOW + POLICY.refresh_ttl)
    one, again = (mint(refresh_claims(session(), POLICY), REFRESH.ring.signing) for _ in range(2))
    assert one == again


def test_milliseconds_do_not_reach_the_token():
    assert refresh_claims(session(rotated_at=ROTATED + 999), POLICY).iat == NOW


def test_what_has_nothing_to_do_with_the_token_does_not_change_it():
    later = session(last_used_at=ROTATED + 9, ip="192.0.2.1", user_agent="x", revoked_at=1)
    assert refresh_claims(later, POLICY) == refresh_claims(session(), POLICY)


def test_a_refresh_token_does_not_outlive_its_session():
    claims = refresh_claims(session(expires_at=ROTATED + 90_500), POLICY)
    assert claims.exp == NOW + 90


def test_the_token_of_a_sessions_last_second_is_expired_not_broken():
    claims = refresh_claims(session(expires_at=ROTATED + 500), POLICY)
    assert claims.exp == claims.iat
    assert mint(claims, REFRESH.ring.signing) != ""
    with pytest.raises(REFRESH.expired):
        REFRESH.read(mint(claims, REFRESH.ring.signing))
