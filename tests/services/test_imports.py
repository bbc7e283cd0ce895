"""Imports: planned without writing, then one account at a time."""

import asyncio
import dataclasses
from collections.abc import Callable, Sequence
from typing import Any

import pytest

from authward.core.audit import Client, Event
from authward.core.imports import ImportRow, Problem
from authward.core.passwords import Verdict
from authward.core.users import User
from authward.errors import InvalidCredentials
from authward.ports import Change, ChangeFeed, NewUser, UserStore
from authward.services.hashing import HashLane
from authward.services.imports import Imports
from tests.services.conftest import HERE, Make

ROLES = frozenset({"admin", "user"})
ROW = ImportRow(1, None, "Ada@x.de", "ada@x.de", "Ada", None, "$2b$hash", ("active",))


class Accounts:
    """What an import needs of a store. `arriving` are made by somebody else in the meantime."""

    def __init__(self) -> None:
        self.added: list[NewUser] = []
        self.events: list[Event] = []
        self.arriving: set[str] = set()
        self.announced: list[Change] = []

    async def by_email(self, email_canonical: str) -> object:
        return next((one for one in self.added if one.email_canonical == email_canonical), None)

    async def by_id(self, user_id: str) -> object:
        return next((one for one in self.added if one.id == user_id), None)

    async def announce(self, changes: Sequence[Change]) -> None:
        assert not self.added
        self.announced += changes

    async def add(self, user: NewUser, event: Event) -> User | None:
        if user.email_canonical in self.arriving:
            return None
        self.added.append(user)
        self.events.append(event)
        return User(
            **dataclasses.asdict(user),
            permissions=(),
            epoch=0,
            ver=0,
            created_at=0,
            disabled_at=None,
        )

    def __getattr__(self, name: str) -> Any:
        raise AssertionError(f"an import has no business with {name}")


@pytest.fixture
def accounts() -> Accounts:
    return Accounts()


@pytest.fixture
def imports(accounts: Accounts) -> Imports:
    store: UserStore = accounts  # type: ignore[assignment]
    changes: ChangeFeed = accounts
    return Imports(store, changes, ROLES, lambda size: b"\x01" * size)


def counted() -> tuple[list[None], Callable[[], None]]:
    calls: list[None] = []
    return calls, lambda: calls.append(None)


async def brought(imports: Imports, *rows: Any, default_role: str | None = None) -> Any:
    _, on_row = counted()
    plan = await imports.plan(rows, default_role=default_role, on_row=on_row)
    return plan, await imports.run(plan, Client(), on_row=on_row)


async def test_a_plan_writes_nothing(imports: Imports, accounts: Accounts) -> None:
    calls, on_row = counted()
    wrong = [Problem(2, "email", "is missing")]
    plan = await imports.plan([ROW, wrong], default_role=None, on_row=on_row)
    assert accounts.added == []
    assert plan.problems == wrong
    assert plan.ignored == {"active": 1}
    assert len(calls) == 2


async def test_an_account_keeps_its_hash(imports: Imports, accounts: Accounts) -> None:
    _, done = await brought(imports, ROW)
    assert accounts.added == [
        NewUser("AQEBAQEBAQEBAQEBAQEB", "Ada@x.de", "ada@x.de", "Ada", "user", "$2b$hash")
    ]
    (event,) = accounts.events
    assert (event.kind, event.actor, event.subject) == ("user.imported", None, accounts.added[0].id)
    assert (done.roles, done.new_ids, done.existing) == ({"user": 1}, {}, [])


async def test_again_changes_nothing(imports: Imports, accounts: Accounts) -> None:
    await brought(imports, ROW)
    plan, done = await brought(imports, dataclasses.replace(ROW, name="Other"))
    assert [row.email for row in plan.existing] == ["Ada@x.de"]
    assert not done.roles
    assert [one.name for one in accounts.added] == ["Ada"]


async def test_an_account_made_meanwhile_is_left_alone(
    imports: Imports, accounts: Accounts
) -> None:
    accounts.arriving.add("ada@x.de")
    _, done = await brought(imports, ROW)
    assert done.existing == [ROW]
    assert accounts.added == []


async def test_ids_are_kept_or_told(imports: Imports, accounts: Accounts) -> None:
    kept = dataclasses.replace(ROW, old_id="507f1f77bcf86cd799439011")
    changed = dataclasses.replace(ROW, old_id="17", email_canonical="b@x.de")
    _, done = await brought(imports, kept, changed)
    assert [one.id for one in accounts.added] == [kept.old_id, "AQEBAQEBAQEBAQEBAQEB"]
    assert done.new_ids == {"17": "AQEBAQEBAQEBAQEBAQEB"}


async def test_the_id_of_another_account(imports: Imports) -> None:
    first = dataclasses.replace(ROW, old_id="507f1f77bcf86cd799439011")
    await brought(imports, first)
    plan, done = await brought(imports, dataclasses.replace(first, email_canonical="b@x.de"))
    (problem,) = plan.problems
    assert problem.field == "id"
    assert "another account" in problem.message
    assert not done.roles


@pytest.mark.parametrize(
    ("role", "default", "expected"),
    [
        (None, None, "user"),
        ("admin", None, "admin"),
        ("king", None, None),
        ("king", "user", "user"),
        (None, "admin", "admin"),
        ("admin", "user", "admin"),
        ("king", "queen", None),
    ],
)
async def test_roles(
    imports: Imports, role: str | None, default: str | None, expected: str | None
) -> None:
    row = dataclasses.replace(ROW, role=role)
    plan, done = await brought(imports, row, default_role=default)
    if expected is None:
        assert [problem.field for problem in plan.problems] == ["role"]
        assert "admin, user" in plan.problems[0].message
        assert "--default-role" in plan.problems[0].message
    else:
        assert done.roles == {expected: 1}


def hashed(cost: int, number: int = 0, prefix: str = "$2b$") -> ImportRow:
    password_hash = f"{prefix}{cost:02}${'a' * 53}"
    email = f"u{cost}-{number}@x.de"
    return dataclasses.replace(ROW, email_canonical=email, password_hash=password_hash)


async def test_servers_hear_what_kinds_of_hashes_come_before_they_come(
    imports: Imports, accounts: Accounts
) -> None:
    await brought(imports, ROW)
    assert accounts.announced == []
    accounts.added.clear()
    await brought(imports, hashed(10), hashed(10, 2), hashed(12, 0, "$2a$"))
    assert [(one.kind, one.subject) for one in accounts.announced] == [
        ("scheme.added", "$2a$12$"),
        ("scheme.added", "$2b$10$"),
    ]


async def test_costly_hashes_are_counted(imports: Imports) -> None:
    plan, _ = await brought(imports, hashed(12), hashed(13), hashed(14), hashed(14, 2), ROW)
    assert plan.costly == {13: 1, 14: 2}


async def test_after_an_import_elsewhere_every_failure_costs_the_same_hashes(
    make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A server that learned of bcrypt only with the first sign-in to an imported account would
    answer an unknown one sooner until then.
    """
    server, importer = (await make()).services, (await make()).services
    users, changes = importer.store.users, importer.store.changes
    imports = Imports(users, changes, ROLES, lambda size: b"\x02" * size)
    row = dataclasses.replace(hashed(4), email="u@x.de", email_canonical="u@x.de")
    await brought(imports, row)
    lane = server.accounts._hasher
    assert isinstance(lane, HashLane)
    await server.feed.poll()
    await asyncio.gather(*lane._learning)

    asked: list[str] = []

    def note(hashed: str, password: str, parameters: object) -> Verdict:
        asked.append(hashed[:7])
        return Verdict(False)

    monkeypatch.setattr("authward.services.hashing.verify_password", note)
    cost = {}
    # The unknown one first: nothing may be learned from the imported one.
    for email in ("nobody@x.de", "u@x.de"):
        asked.clear()
        with pytest.raises(InvalidCredentials):
            await server.accounts.login(email, password="wrong", client=HERE, presented=None)
        cost[email] = sorted(asked)
    assert cost["nobody@x.de"] == cost["u@x.de"] == ["$2b$04$", "$argon2"]
