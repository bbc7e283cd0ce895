"""When a key goes on to its next state, decided with plain values."""

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from authward.core.keys import RINGS, Ring, State, StoredKey
from authward.core.rotation import (
    ROTATING,
    Lives,
    algorithm_of,
    all_end,
    check_mortal,
    check_promotable,
    check_retirable,
    check_rotates,
    doomed,
    due,
    in_state,
    in_turn,
    next_algorithm,
    retirable,
    retirable_at,
    signed_before,
    the_one,
    unfit,
)
from authward.errors import KeyInUse, NotFound, RotatedLately, ValidationError
from tests.generating import few

HOUR, DAY = 3_600_000, 86_400_000
LIVES = Lives.of(notice=300, access=900, refresh=7 * 86_400, session=30 * 86_400)
LATE = 420_000
NOW = 100 * DAY


def stored(
    kid: str, ring: Ring = "access", state: State = "signing", at: int = 0, **more: Any
) -> StoredKey:
    """A key that came into its state at `at`."""
    since: dict[str, Any] = {} if state == "pending" else {f"{state}_at": at}
    return StoredKey(kid, ring, "HS256", state, b"sealed", at, **{**since, **more})


def ring_of(ring: Ring, at: int = 0) -> list[StoredKey]:
    return [
        stored(f"{ring}-{state}", ring, state, at) for state in ("verifying", "signing", "pending")
    ]


EVERYTHING = [
    *(key for ring in ROTATING for key in ring_of(ring)),
    stored("audit", "audit"),
    stored("gone", "csrf", "retired"),
]


def test_they_are_shown_ring_by_ring_up_to_the_one_that_signs_next():
    # The first two of each ring are made at once, so time says nothing of those.
    more = [stored("older", state="verifying", at=-1), stored("also-gone", "csrf", "retired")]
    wanted = [
        *("older", "access-verifying", "access-signing", "access-pending"),
        *("refresh-verifying", "refresh-signing", "refresh-pending"),
        *("also-gone", "gone", "csrf-verifying", "csrf-signing", "csrf-pending", "audit"),
    ]
    for mixed in ([*EVERYTHING, *more], [*more, *EVERYTHING[::-1]]):
        assert [key.kid for key in in_turn(mixed)] == wanted


def test_how_long_what_a_ring_signed_may_live():
    assert LIVES.notice == 300_000
    assert LIVES.of_ring("access") == 900_000 + LATE
    assert LIVES.of_ring("refresh") == 7 * DAY + LATE
    assert LIVES.of_ring("csrf") == 30 * DAY + LATE
    # The cookie of a browser without a session lives for a day.
    assert Lives.of(notice=1, access=1, refresh=60, session=60).csrf > DAY


def test_sessions_that_live_longer_than_one_knows_of():
    longer = LIVES.with_sessions_of(90 * DAY)
    assert longer.of_ring("refresh") == longer.of_ring("csrf") == 90 * DAY + LATE
    assert (longer.access, longer.notice) == (LIVES.access, LIVES.notice)
    assert LIVES.with_sessions_of(0) == LIVES


def test_which_rings_rotate():
    assert {*RINGS} - {*ROTATING} == {"audit"}
    for ring in ROTATING:
        assert check_rotates(ring) == ring
    for ring, text in (
        ("audit", "The key of the audit log stays"),
        ("acces", "Use one of: access"),
    ):
        with pytest.raises(ValidationError) as refused:
            check_rotates(ring)
        assert refused.value.details[0].message.startswith(text)


def test_a_key_signs_once_everybody_knows_it():
    keys = [stored("one"), stored("two", state="pending", at=NOW)]
    for passed in (0, 299_999):
        with pytest.raises(RotatedLately):
            check_promotable(keys, "access", NOW + passed, LIVES)
    check_promotable(keys, "access", NOW + 300_000, LIVES)
    check_promotable(keys, "refresh", NOW, LIVES)


def test_a_key_from_the_future_waits_for_no_clock_that_was_wrong():
    for ahead, waits in ((1, True), (299_999, True), (300_000, False), (3650 * DAY, False)):
        keys = [stored("one"), stored("two", state="pending", at=NOW + ahead)]
        if waits:
            with pytest.raises(RotatedLately):
                check_promotable(keys, "access", NOW, LIVES)
        else:
            check_promotable(keys, "access", NOW, LIVES)


@pytest.mark.parametrize(
    ("signing", "pending", "turns"),
    [
        (NOW + DAY, 0, True),
        (NOW + DAY - 1, 0, False),
        (NOW - DAY, NOW + 300_000, True),
        (NOW - DAY, NOW + 299_999, False),
        (NOW - DAY, 0, True),
        (NOW - DAY + 1, 0, False),
        (NOW - DAY, NOW - 300_000, True),
        (NOW - DAY, NOW - 299_999, False),
    ],
)
def test_what_is_due(signing: int, pending: int, turns: bool):
    keys = [
        stored("one", at=signing),
        stored("two", state="pending", at=pending),
        stored("audit", "audit", at=0),
    ]
    assert due(keys, NOW, DAY, LIVES) == (["access"] if turns else [])


def test_which_rings_want_another_key_to_sign_next():
    keys = [key for ring in ROTATING for key in ring_of(ring)]
    assert unfit(keys, "HS256") == {}
    assert unfit(keys, "EdDSA") == {"access": in_state(keys, "access", "pending")}
    assert unfit([stored("one")], "HS256") == {ring: [] for ring in ROTATING}
    assert unfit(keys, None) == {}, "none is missing"
    assert unfit([stored("one")], None) == {ring: [] for ring in ROTATING}
    assert [algorithm_of(ring, "RS256") for ring in RINGS] == ["RS256", "HS256", "HS256", "HS256"]


def test_a_new_access_key_is_for_what_the_next_one_is_for():
    signing = replace(stored("one"), algorithm="ES256")
    pending = replace(stored("two", state="pending"), algorithm="EdDSA")
    assert next_algorithm([signing, pending], "RS256") == "EdDSA"
    assert next_algorithm([signing], "RS256") == "ES256"
    others = [stored("three", "refresh"), stored("four", state="retired")]
    assert next_algorithm(others, "RS256") == "RS256"


def test_from_when_on_nothing_is_lost():
    states: tuple[State, ...] = ("pending", "signing", "retired")
    for state in states:
        for ring in RINGS:
            assert retirable_at(stored("one", ring, state), LIVES, 0) is None
    for ring in ROTATING:
        key = stored("one", ring, "verifying", at=NOW)
        assert retirable_at(key, LIVES, None) == NOW + LIVES.of_ring(ring)
        assert retirable_at(key, LIVES, 7) == NOW + LIVES.of_ring(ring)
    idle = stored("one", "refresh", "verifying", at=NOW)
    assert retirable_at(idle, LIVES, 0) == NOW + LIVES.notice
    # A key of before keys knew since when.
    assert (
        retirable_at(stored("one", "csrf", "verifying", verifying_at=None), LIVES, None)
        == LIVES.csrf
    )


@few
@given(
    st.sampled_from(ROTATING),
    st.integers(0, 40 * DAY),
    st.none() | st.dictionaries(st.just("one"), st.integers(0, 2), min_size=1),
)
def test_a_key_is_kept_while_anything_of_it_lives(
    ring: Ring, passed: int, hanging: dict[str, int] | None
):
    key = stored("one", ring, "verifying", at=NOW)
    gone = retirable([key], NOW + passed, LIVES, hanging) == [key]
    alive = passed < LIVES.of_ring(ring)
    idle = ring == "refresh" and hanging == {"one": 0} and passed >= LIVES.notice
    assert gone == (not alive or idle)
    if gone:
        check_retirable(key, NOW + passed, LIVES, hanging or {})


def test_a_key_that_something_hangs_on_says_until_when():
    key = stored("one", "refresh", "verifying", at=NOW)
    with pytest.raises(KeyInUse) as refused:
        check_retirable(key, NOW, LIVES, {"one": 3})
    assert refused.value.message == (
        "Live sessions that hang on it: 3. "
        "Nothing is lost with this key from 1970-04-18T00:07:00.000Z on"
    )
    with pytest.raises(KeyInUse) as refused:
        check_retirable(key, NOW, LIVES, {})
    assert refused.value.message.startswith("Nothing is lost with this key from 1970-04-11T00:05")
    cures: dict[State, str] = {"signing": "Rotate the ring first", "pending": "the next to sign"}
    for state, text in cures.items():
        with pytest.raises(KeyInUse) as refused:
            check_retirable(stored("one", state=state), NOW, LIVES, {})
        assert text in refused.value.message


def test_the_key_of_the_audit_log_stays():
    with pytest.raises(KeyInUse, match="audit ring"):
        check_mortal(stored("one", "audit", "verifying"))
    with pytest.raises(KeyInUse):
        check_retirable(stored("one", "audit", "verifying"), NOW, LIVES, {})
    with pytest.raises(KeyInUse):
        doomed(EVERYTHING, "audit")
    assert "audit" not in {key.kid for key in doomed(EVERYTHING, None)}


def test_who_dies_with_whom():
    def dies(kid: str | None) -> set[str]:
        return {key.kid for key in doomed(EVERYTHING, kid)}

    assert dies("access-signing") == {"access-signing", "access-pending"}
    assert dies("access-verifying") == {"access-verifying", "access-pending"}
    assert dies("access-pending") == {"access-pending"}
    assert dies("gone") == set()
    assert len(dies(None)) == 9
    with pytest.raises(NotFound):
        dies("nobody")
    assert the_one(EVERYTHING, "gone").state == "retired"


def test_until_when_a_key_may_have_signed():
    old, older = (stored(kid, "refresh", "verifying", at) for kid, at in (("old", 9), ("older", 5)))
    retired = stored("gone", "refresh", "retired", HOUR, verifying_at=7)
    signing, pending = stored("now", "refresh"), stored("next", "refresh", "pending")
    assert signed_before([older, old, signing, pending], LIVES) == 1000 + LIVES.notice
    assert signed_before([retired], LIVES) == 1000 + LIVES.notice
    for at, until in ((1999, 2000), (2000, 3000), (10**9, 1000 + LIVES.notice)):
        killed = replace(retired, retired_at=at)
        assert signed_before([killed], LIVES) == until
        assert signed_before([killed, old], LIVES) == 1000 + LIVES.notice
    whole = replace(old, verifying_at=2000)
    assert signed_before([old, whole], LIVES) == 2000 + LIVES.notice
    assert signed_before([signing, pending], LIVES) == signed_before([], LIVES) == 0


def test_whether_every_session_ends():
    kids = ["refresh-verifying", "refresh-signing", "refresh-pending"]
    for dying in ([], kids[:1], kids[1:], kids[2:]):
        assert not all_end(EVERYTHING, [key for key in EVERYTHING if key.kid in dying])
    assert all_end(EVERYTHING, [key for key in EVERYTHING if key.kid in kids[:2]])
    assert all_end(EVERYTHING, doomed(EVERYTHING, None))
    # Of one ring that is all there is.
    young = [stored("one", "refresh"), stored("two", "refresh", "pending")]
    assert all_end(young, doomed(young, "one"))
    assert not all_end(young, doomed(young, "two"))
    assert not all_end([], [])
