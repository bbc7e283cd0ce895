"""Roles in SQL."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from sqlalchemy import Column, Table, delete, func, insert, select

from authward.core.audit import Event
from authward.core.granting import Present
from authward.core.permissions import Role
from authward.errors import RoleInUse
from authward.ports import Change
from authward.stores.changes import ROLES, roles_of
from authward.stores.database import Database
from authward.stores.schema import role_includes, role_permissions, roles, users
from authward.stores.transactions import Transaction
from authward.stores.users import LOCKED, holds_one_of, user_of

# Those who edit roles take turns. Whoever gives one (KEY SHARE) need not wait for them.
_TURN = select(roles.c.name).order_by(roles.c.name).with_for_update(key_share=True)


class SqlRoles:
    """`RoleStore` over SQLite and PostgreSQL."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def all(self) -> Mapping[str, Role]:
        return roles_of(await self._database.read(ROLES))

    async def change(
        self,
        name: str,
        decide: Callable[[Present], Role | None],
        event: Callable[[Role | None, Role | None], Event],
        *,
        actor: str | None,
    ) -> tuple[Role | None, Role | None]:
        async def work(tx: Transaction) -> tuple[Role | None, Role | None]:
            # Accounts before roles, as everybody locks them.
            locked = [] if actor is None else await tx.rows(LOCKED, {"wanted": [actor]})
            await tx.rows(_TURN)
            present = Present(
                roles_of(await tx.rows(ROLES)), user_of(locked[0]) if locked else None
            )
            before, after = present.roles.get(name), decide(present)
            if before is None and after is None:
                return None, None
            if after is None:
                await _delete(tx, name)
            else:
                await _store(tx, name, before, after)
            if before != after:
                await tx.announce(Change("roles.changed", name, 0, None, 0))
            await tx.record(event(before, after))
            return before, after

        return await self._database.write(work)


async def _store(tx: Transaction, name: str, before: Role | None, after: Role) -> None:
    if before is None:
        await tx.run(insert(roles).values(name=name))
        before = Role()
    await _move(tx, role_permissions, "permission", name, before.permissions, after.permissions)
    await _move(tx, role_includes, "included", name, before.includes, after.includes)


async def _move(
    tx: Transaction,
    table: Table,
    word: str,
    name: str,
    before: frozenset[str],
    after: frozenset[str],
) -> None:
    column: Column[str] = table.c[word]
    taken, given = sorted(before - after), sorted(after - before)
    if taken:
        await tx.run(delete(table).where(table.c.role == name, column.in_(taken)))
    if given:
        await tx.run(insert(table).values([{"role": name, word: one} for one in given]))


async def _delete(tx: Transaction, name: str) -> None:
    await tx.run(delete(roles).where(roles.c.name == name))
    # Only now: the statement above waited for whoever was giving it.
    holders = select(func.count()).select_from(users).where(holds_one_of(name))
    [row] = await tx.rows(holders)
    if row[0]:
        raise RoleInUse(f"accounts that hold {name}: {row[0]}")
