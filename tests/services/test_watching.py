"""Who hears of a change: those whom it concerns, and of everybody some at a time."""

import asyncio

import pytest

from authward.ports import Change, ChangeKind
from authward.services.watching import AT_ONCE, Watching


class Ear:
    def __init__(self) -> None:
        self.heard = 0

    def __call__(self) -> None:
        self.heard += 1


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
    assert all(ear.heard <= 1 for ear in ears)


def test_who_left_hears_no_more(watching: Watching) -> None:
    here, gone = Ear(), Ear()
    watching.add(("ada", "s1"), here)
    leave = watching.add(("ada", "s2"), gone)
    leave()
    leave()
    for one in (change("user.revoked", "ada"), change("session.revoked", "s2")):
        watching.tell(one)
    watching.tell_all()
    assert (here.heard, gone.heard) == (2, 0)


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
    assert ear.heard == 1


@pytest.mark.parametrize("everybody", [True, False])
async def test_of_thousands_some_at_a_time(watching: Watching, everybody: bool) -> None:
    ears = [Ear() for _ in range(2 * AT_ONCE + 1)]
    for number, ear in enumerate(ears):
        watching.add(("ada", f"s{number}"), ear)
    if everybody:
        watching.tell_all()
    else:
        watching.tell(change("user.revoked", "ada"))
    assert [ear.heard for ear in ears] == [1] * AT_ONCE + [0] * (AT_ONCE + 1)
    watching.add(("eve", "s"), Ear())  # who comes meanwhile has looked already
    async with asyncio.timeout(60):
        while not ears[-1].heard:  # noqa: ASYNC110
            await asyncio.sleep(0)
    assert [ear.heard for ear in ears] == [1] * len(ears)
