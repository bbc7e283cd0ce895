"""Bringing in accounts of another system, with the passwords they have."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass, field

from authward.core.audit import Client, Event
from authward.core.imports import ImportRow, Problem
from authward.core.passwords import COSTLY, bcrypt_cost
from authward.core.users import USER_ID, new_user_id
from authward.ports import Chance, Change, ChangeFeed, NewUser, UserStore
from authward.services.accounts import DEFAULT_ROLE


@dataclass(slots=True)
class ImportPlan:
    """What an import would do: the accounts to add, the rows left alone, all that is wrong."""

    ready: list[tuple[ImportRow, NewUser]] = field(default_factory=list)
    existing: list[ImportRow] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)
    ignored: Counter[str] = field(default_factory=Counter)

    @property
    def costly(self) -> Counter[int]:
        """How many of the accounts to add have bcrypt hashes of each cost above `COSTLY`."""
        costs = Counter(bcrypt_cost(row.password_hash) for row, _ in self.ready)
        return Counter({cost: n for cost, n in costs.items() if cost is not None and cost > COSTLY})

    @property
    def schemes(self) -> list[str]:
        """The prefixes of the bcrypt hashes to add."""
        hashes = (row.password_hash for row, _ in self.ready)
        return sorted({one[:7] for one in hashes if bcrypt_cost(one) is not None})


@dataclass(slots=True)
class Imported:
    """What an import did. `new_ids` says what became of ids that could not be kept."""

    roles: Counter[str] = field(default_factory=Counter)
    new_ids: dict[str, str] = field(default_factory=dict)
    existing: list[ImportRow] = field(default_factory=list)


class Imports:
    """Import of accounts over any store. `roles` are those there are."""

    def __init__(
        self, store: UserStore, changes: ChangeFeed, roles: Collection[str], chance: Chance
    ) -> None:
        self._store = store
        self._changes = changes
        self._roles = roles
        self._chance = chance

    async def plan(
        self,
        rows: Iterable[ImportRow | list[Problem]],
        *,
        default_role: str | None,
        on_row: Callable[[], None],
    ) -> ImportPlan:
        """Hold each row against the accounts there are; nothing is written.

        `default_role` is for rows whose role is unknown here; None makes them a problem.
        """
        plan = ImportPlan()
        for row in rows:
            if isinstance(row, ImportRow):
                await self._judge(plan, row, default_role)
            else:
                plan.problems += row
            on_row()
        return plan

    async def _judge(self, plan: ImportPlan, row: ImportRow, default_role: str | None) -> None:
        if await self._store.by_email(row.email_canonical) is not None:
            plan.existing.append(row)
            return
        problems = []
        role = row.role or default_role or DEFAULT_ROLE
        if role not in self._roles and default_role is not None:
            role = default_role
        if role not in self._roles:
            known = ", ".join(sorted(self._roles))
            message = f"'{role}' is no role here ({known}). Say --default-role for such rows"
            problems.append(Problem(row.row, "role", message))
        kept = row.old_id if row.old_id and USER_ID.fullmatch(row.old_id) else None
        if kept is not None and await self._store.by_id(kept) is not None:
            problems.append(Problem(row.row, "id", f"'{kept}' is that of another account here"))
        if problems:
            plan.problems += problems
            return
        user_id = kept or new_user_id(self._chance)
        user = NewUser(user_id, row.email, row.email_canonical, row.name, role, row.password_hash)
        plan.ready.append((row, user))
        plan.ignored.update(row.ignored)

    async def run(
        self, plan: ImportPlan, client: Client, *, on_row: Callable[[], None]
    ) -> Imported:
        """Add the accounts of `plan`, each in a transaction of its own: what was interrupted is
        finished by importing again. An account made meanwhile is left alone.
        """
        # First, so that the servers know what a failure has to cost before one can be tried.
        if plan.schemes:
            await self._changes.announce(
                [Change("scheme.added", prefix, 0, None, 0) for prefix in plan.schemes]
            )
        done = Imported()
        for row, user in plan.ready:
            event = Event("user.imported", client, subject=user.id)
            if await self._store.add(user, event) is None:
                done.existing.append(row)
            else:
                done.roles[user.role] += 1
                if row.old_id is not None and row.old_id != user.id:
                    done.new_ids[row.old_id] = user.id
            on_row()
        return done
