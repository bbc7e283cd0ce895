"""Who hears of a change: those whom it concerns, and of everybody some at a time."""

import pytest

from authward.ports import Change, ChangeKind
from authward.services.watching import AT_ONCE, EVERY_S, Watching


class Ear:
    def __init__(self) -> None:
        self.heard: list[float] = []

    def __call__(self, after: float) -> None:
        self.heard.append(after)


def change(kind: ChangeKind, subject: str) -> Change:
    return Change(kind, subject, 0, None, 0, 0)


@pytest.fixture
def watching() -> Watching:
    return Watching()


@pytest.mark.parametrize(
    ("kind", "subject", "who"),
    [
        ("session.revoked", "s1", [0]),
        ("session.revoked", "s9", []),
        ("user.revoked", "ada", [0, 1]),
        ("user.superseded", "eve", [2]),
        ("user.superseded", "nobody", []),
        ("sessions.revoked", "editor", [0, 1, 2]),
        ("sessions.revoked", "", [0, 1, 2]),
        # The roles themselves are read later: see `tell_all`.
        ("roles.changed", "editor", []),
        ("scheme.added", "$2b$12$", []),
    ],
)
def test_whom_a_change_concerns(
    watching: Watching, kind: ChangeKind, subject: str, who: list[int]
) -> None:
    ears = [Ear(), Ear(), Ear()]
    for ear, ids in zip(ears, [("ada", "s1"), ("ada", "s2"), ("eve", "s3")], strict=True):
        watching.add(ids, ear)
    watching.tell(change(kind, subject))
    assert [number for number, ear in enumerate(ears) if ear.heard] == who
    assert all(ear.heard in ([], [0]) for ear in ears)


def test_who_left_hears_no_more(watching: Watching) -> None:
    here, gone = Ear(), Ear()
    watching.add(("ada", "s1"), here)
    leave = watching.add(("ada", "s2"), gone)
    leave()
    leave()
    for one in (change("user.revoked", "ada"), change("session.revoked", "s2")):
        watching.tell(one)
    watching.tell_all()
    assert (len(here.heard), gone.heard) == (2, [])


def test_nothing_is_kept_of_who_left(watching: Watching) -> None:
    leaves = [watching.add(("ada", f"s{number}"), Ear()) for number in range(100)]
    for number in range(100, 200):
        watching.tell(change("session.revoked", f"s{number}"))
    for leave in leaves:
        leave()
    assert not watching._by_id
    assert not watching._all


def test_one_that_hears_twice_is_two(watching: Watching) -> None:
    ear = Ear()
    leave = watching.add(("ada", "s1"), ear)
    watching.add(("ada", "s1"), ear)
    leave()
    watching.tell(change("user.revoked", "ada"))
    assert ear.heard == [0]


def test_of_thousands_some_at_a_time(watching: Watching) -> None:
    ears = [Ear() for _ in range(3 * AT_ONCE)]
    for number, ear in enumerate(ears):
        watching.add(("ada", f"s{number}"), ear)
    watching.tell_all()
    assert [ear.heard for ear in ears] == [
        [turn * EVERY_S] for turn in range(3) for _ in range(AT_ONCE)
    ]
