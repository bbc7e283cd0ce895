"""Accounts in SQL."""

from __future__ import annotations

import unicodedata
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import fields, replace
from functools import partial
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Row,
    Select,
    Text,
    bindparam,
    cast,
    delete,
    func,
    literal,
    or_,
    select,
    tuple_,
    update,
)
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.exc import IntegrityError

from authward.core.audit import Event
from authward.core.granting import PERMANENT, Present, check_known
from authward.core.users import RIGHTS, User, UserChange, check_last_admin
from authward.errors import UserExists
from authward.ports import Change, NewUser, UserQuery
from authward.stores.changes import ROLES, roles_of
from authward.stores.database import Database
from authward.stores.expressions import NOW
from authward.stores.schema import changes, roles, sessions, users
from authward.stores.transactions import Transaction

USER = [users.c[field.name] for field in fields(User)]
"""The columns `user_of` reads."""

_BY_ID = select(*USER).where(users.c.id == bindparam("wanted"))
_BY_EMAIL = select(*USER).where(users.c.email_canonical == bindparam("wanted"))
_WANTED = users.c.id.in_(bindparam("wanted", expanding=True))
# NO KEY UPDATE: what merely refers to this row must not wait for us. All in one statement, so that
# everyone takes these locks in one order and nobody can deadlock.
LOCKED = select(*USER).where(_WANTED).order_by(users.c.id).with_for_update(key_share=True)
"""The accounts with the ids `wanted`, locked."""
_LOCKED_WITH_ADMINS = (
    select(*USER)
    .where(or_(users.c.role == "admin", _WANTED))
    .order_by(users.c.id)
    .with_for_update(key_share=True)
)
# KEY SHARE: these roles may be edited meanwhile, but not deleted.
_GIVEN = (
    select(roles.c.name)
    .where(roles.c.name.in_(bindparam("wanted", expanding=True)))
    .order_by(roles.c.name)
    .with_for_update(read=True, key_share=True)
)
# An id that was deleted and comes again, as an import does, must not be below what its revocation
# still remembers.
_VER = select(func.coalesce(func.max(changes.c.ver), 0)).where(
    changes.c.subject == bindparam("wanted")
)
_FIRST = {
    "permissions": [],
    "epoch": 0,
    "ver": _VER.scalar_subquery(),
    "created_at": NOW,
    "disabled_at": None,
    "additional_roles": [],
}
_SEARCHED = ("email", "email_canonical", "name")
_UNLESS_TAKEN = ["email_canonical"]
_ADD_SQLITE = (
    sqlite.insert(users)
    .values(_FIRST)
    .on_conflict_do_nothing(index_elements=_UNLESS_TAKEN)
    .returning(*USER)
)
_ADD_POSTGRESQL = (
    postgresql.insert(users)
    .values(_FIRST)
    .on_conflict_do_nothing(index_elements=_UNLESS_TAKEN)
    .returning(*USER)
)


def user_of(row: Row[Any]) -> User:
    """A row with the columns of `USER`, whatever else it has."""
    values = {column.name: row._mapping[column] for column in USER}
    for several in ("permissions", "additional_roles"):
        values[several] = tuple(values[several])
    return User(**values)


def holds_one_of(*roles: str) -> ColumnElement[bool]:
    """Whether an account holds one of these roles, as the one that clients see or beside it."""
    # Names hold no quotes, so that a quoted one in the JSON text is the whole name.
    given = cast(users.c.additional_roles, Text)
    beside = (given.contains(f'"{name}"', autoescape=True) for name in roles)
    return or_(users.c.role.in_(roles), *beside)


def _folded(text: str) -> str:
    return unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", text).casefold())


def _search(values: Mapping[str, Any]) -> str:
    return _folded("\n".join(values[name] for name in _SEARCHED))


_Judge = Callable[[Transaction, User, Mapping[str, User]], Awaitable[UserChange]]


class _LockAdminsToo(Exception):
    """The account is an admin: start again, with a lock on every admin."""


class SqlUsers:
    """`UserStore` over SQLite and PostgreSQL."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def add(self, user: NewUser, event: Event) -> User | None:
        values = {
            "id": user.id,
            "email": user.email,
            "email_canonical": user.email_canonical,
            "name": user.name,
            "role": user.role,
            "password_hash": user.password_hash,
            "email_verified": user.email_verified,
        }
        values["search"] = _search(values)
        values["wanted"] = user.id
        statement = _ADD_POSTGRESQL if self._database.postgresql else _ADD_SQLITE

        async def work(tx: Transaction) -> User | None:
            await _require_roles(tx, user.role)
            row = await tx.row(statement, values)
            if row is None:
                return None
            await tx.record(event)
            return user_of(row)

        return await self._database.write(work)

    async def by_id(self, user_id: str) -> User | None:
        rows = await self._database.read(_BY_ID, {"wanted": user_id})
        return user_of(rows[0]) if rows else None

    async def by_email(self, email_canonical: str) -> User | None:
        rows = await self._database.read(_BY_EMAIL, {"wanted": email_canonical})
        return user_of(rows[0]) if rows else None

    async def page(self, query: UserQuery) -> list[User]:
        statement = select(*USER).order_by(users.c.created_at, users.c.id).limit(query.limit)
        if query.after is not None:
            created_at, user_id = query.after
            statement = statement.where(
                tuple_(users.c.created_at, users.c.id)
                > tuple_(literal(created_at, users.c.created_at.type), literal(user_id))
            )
        if query.role is not None:
            statement = statement.where(holds_one_of(query.role))
        if query.search is not None:
            statement = statement.where(
                users.c.search.contains(_folded(query.search), autoescape=True)
            )
        return [user_of(row) for row in await self._database.read(statement)]

    async def change(
        self, user_id: str, decide: Callable[[User], UserChange], event: Event
    ) -> User | None:
        async def judge(tx: Transaction, user: User, locked: Mapping[str, User]) -> UserChange:
            return decide(user)

        return await self._change([user_id], judge, lambda before, after: event)

    async def administer(
        self,
        user_id: str,
        decide: Callable[[User, Present], UserChange],
        event: Callable[[User, User], Event],
        *,
        actor: str | None,
    ) -> User | None:
        async def judge(tx: Transaction, user: User, locked: Mapping[str, User]) -> UserChange:
            acting = None if actor is None else locked.get(actor)
            return decide(user, Present(roles_of(await tx.rows(ROLES)), acting))

        return await self._change([user_id, *([] if actor is None else [actor])], judge, event)

    async def _change(
        self, ids: list[str], judge: _Judge, event: Callable[[User, User], Event]
    ) -> User | None:
        """Change the first of these accounts, with a lock on all."""

        async def work(tx: Transaction, *, locked: Select[Any] = LOCKED) -> User | None:
            rows = {row.id: user_of(row) for row in await tx.rows(locked, {"wanted": ids})}
            user = rows.get(ids[0])
            if user is None:
                return None
            if user.role == "admin" and locked is LOCKED:
                raise _LockAdminsToo
            change = await judge(tx, user, rows)
            enabled = (one for one in rows.values() if one.disabled_at is None)
            check_last_admin(user, change, sum(one.role == "admin" for one in enabled))
            changed = await _apply(tx, user, change)
            await tx.record(event(user, changed))
            return changed

        try:
            return await self._database.write(work)
        except _LockAdminsToo:
            return await self._database.write(partial(work, locked=_LOCKED_WITH_ADMINS))

    async def upgrade_hash(self, user_id: str, verified: str, replacement: str) -> bool:
        statement = (
            update(users)
            .where(users.c.id == user_id, users.c.password_hash == verified)
            .values(password_hash=replacement)
        )
        return await self._database.write(lambda tx: tx.run(statement)) == 1

    async def schemes(self) -> list[str]:
        prefix = func.substr(users.c.password_hash, 1, 7)
        statement = select(prefix).where(users.c.password_hash.not_like("$argon2id$%")).distinct()
        return [row[0] for row in await self._database.read(statement)]


async def _require_roles(
    tx: Transaction, role: str, additional: tuple[str, ...] = (), held: tuple[str, ...] = ()
) -> None:
    """Keep the roles that are given from being deleted. Raises ValidationError if one is none."""
    given = {role, *additional} - PERMANENT - {*held}
    if not given:
        return
    there = {row.name for row in await tx.rows(_GIVEN, {"wanted": sorted(given)})}
    if there != given:
        known = {row.name for row in await tx.rows(select(roles.c.name))}
        check_known(role, additional, known - (given - there))


async def _apply(tx: Transaction, user: User, change: UserChange) -> User:
    rights = {name: change.values[name] for name in RIGHTS if name in change.values}
    after = replace(user, **rights)
    await _require_roles(tx, after.role, after.additional_roles, user.roles)
    supersede = change.supersede or (after != user and not change.delete)
    ver = user.ver + (change.revoke or supersede or change.delete)
    epoch = user.epoch + change.revoke
    changed, kept = user, None
    if change.delete:
        await tx.run(delete(users).where(users.c.id == user.id))
    else:
        changed = await _update(tx, user, {**change.values, "ver": ver, "epoch": epoch})
        if change.revoke and change.keep_session is not None:
            kept = await _keep(tx, change.keep_session, user, epoch)
    if change.revoke or change.delete:
        await tx.announce(Change("user.revoked", user.id, ver, kept, 0))
    if supersede:
        await tx.announce(Change("user.superseded", user.id, ver, None, 0))
    return changed


async def _update(tx: Transaction, user: User, values: Mapping[str, Any]) -> User:
    after = {name: values.get(name, getattr(user, name)) for name in _SEARCHED}
    statement = (
        update(users)
        .where(users.c.id == user.id)
        .values({**values, "search": _search(after)})
        .returning(*USER)
    )
    try:
        [row] = await tx.rows(statement)
    except IntegrityError as error:
        if "email_canonical" in values:
            raise UserExists("address taken") from error
        raise
    return user_of(row)


async def _keep(tx: Transaction, session_id: str, user: User, epoch: int) -> str | None:
    """Take a live session along to the new epoch. One that had ended already stays ended: it is not
    exempted.
    """
    touched = await tx.run(
        update(sessions)
        .where(sessions.c.id == session_id, sessions.c.user_id == user.id)
        .where(sessions.c.epoch == user.epoch, sessions.c.revoked_at.is_(None))
        .values(epoch=epoch)
    )
    return session_id if touched else None
