"""Counts: right, and of a bounded number of names."""

from authward.core.audit import Client, Event
from authward.errors import CODES, DENIALS
from authward.services.counts import OTHER, SECONDS, Counts, Times


def test_denials_are_counted_under_our_names_alone() -> None:
    counts = Counts()
    for number in range(1000):
        counts.deny(f"made_up_{number}")
    counts.deny("forbidden")
    assert counts.denied[OTHER] == 1000
    assert counts.denied["forbidden"] == 1
    assert counts.denied.keys() == DENIALS | {OTHER}
    assert {"invalid_token", "csrf_failed", "rate_limited"} <= DENIALS <= CODES
    assert "internal_error" not in DENIALS


def test_outcomes_too() -> None:
    counts = Counts()
    counts.ended("login")
    counts.ended("login", "invalid_credentials")
    counts.ended("login", "anything")
    assert counts.outcomes == {
        ("login", "ok"): 1,
        ("login", "invalid_credentials"): 1,
        ("login", OTHER): 1,
    }


def test_a_folded_event_counts_for_all_it_stands_for() -> None:
    counts = Counts()
    folded = Event("access.denied", Client(), "refused", detail={"count": 7})
    counts.happened([folded, Event("user.created", Client()), Event("x.y", Client())])
    assert counts.events == {"access.denied": 7, "user.created": 1, OTHER: 1}


def test_times_are_sorted_by_their_bounds() -> None:
    times = Times()
    for seconds in (0.0, SECONDS[0], 0.03, 99.0):
        times.note(seconds)
    assert times.counts == [2, 0, 0, 1, 0, 0, 0, 0, 0, 1]
    assert times.total == 99.0 + 0.03 + SECONDS[0]
