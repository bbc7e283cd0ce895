"""Imports: planned without writing, then one account at a time."""

import dataclasses
from collections.abc import Callable
from typing import Any

import pytest

from authward.core.audit import Client, Event
from authward.core.imports import ImportRow, Problem
from authward.core.users import User
from authward.ports import NewUser, UserStore
from authward.services.imports import Imports

ROLES = frozenset({"admin", "user"})
ROW = ImportRow(1, None, "Ada@x.de", "ada@x.de", "Ada", None, "$2b$hash", ("active",))


class Accounts:
    """What an import needs of a store. `arriving` are made by somebody else in the meantime."""

    def __init__(self) -> None:
        self.added: list[NewUser] = []
        self.events: list[Event] = []
        self.arriving: set[str] = set()

    async def by_email(self, email_canonical: str) -> object:
        return next((one for one in self.added if one.email_canonical == email_canonical), None)

    async def by_id(self, user_id: str) -> object:
        return next((one for one in self.added if one.id == user_id), None)

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
    return Imports(store, ROLES, lambda size: b"\x01" * size)


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
