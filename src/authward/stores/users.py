"""Accounts in SQL."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from sqlalchemy import Row, Select, bindparam, delete, func, insert, or_, select, tuple_, update
from sqlalchemy.exc import IntegrityError

from authward.core.audit import Event
from authward.core.users import User, UserChange, check_last_admin
from authward.errors import UserExists
from authward.ports import Change, NewUser, UserQuery
from authward.stores.database import NOW, Database, Transaction
from authward.stores.schema import sessions, users

_BY_ID = select(users).where(users.c.id == bindparam("wanted"))
_BY_EMAIL = select(users).where(users.c.email_canonical == bindparam("wanted"))
# NO KEY UPDATE: a sign-in that references this row must not wait for us.
_LOCKED = _BY_ID.with_for_update(key_share=True)
_ADMINS = (
    select(users.c.id)
    .where(users.c.role == "admin", users.c.disabled_at.is_(None))
    .order_by(users.c.id)
    .with_for_update(key_share=True)
)
_INSERT = (
    insert(users)
    .values(permissions=[], epoch=0, ver=0, created_at=NOW, disabled_at=None)
    .returning(*users.c)
)


def user_of(row: Row[Any]) -> User:
    """A row of `users`, or the part of a join that begins with it."""
    values = {column.name: row._mapping[column] for column in users.c}
    return User(**{**values, "permissions": tuple(values["permissions"])})


class _TakeLocksFirst(Exception):
    """The account is an admin: start again, locking all admins in order."""


class SqlUsers:
    """`UserStore` over SQLite and PostgreSQL."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def add(self, user: NewUser, event: Event) -> User | None:
        try:
            async with self._database.write() as tx:
                row = await tx.row(
                    _INSERT,
                    {
                        "id": user.id,
                        "email": user.email,
                        "email_canonical": user.email_canonical,
                        "name": user.name,
                        "role": user.role,
                        "password_hash": user.password_hash,
                        "email_verified": user.email_verified,
                    },
                )
                await tx.record(event)
        except IntegrityError:
            return None
        return None if row is None else user_of(row)

    async def by_id(self, user_id: str) -> User | None:
        return await self._one(_BY_ID, user_id)

    async def by_email(self, email_canonical: str) -> User | None:
        return await self._one(_BY_EMAIL, email_canonical)

    async def _one(self, statement: Select[Any], wanted: str) -> User | None:
        async with self._database.read() as tx:
            row = await tx.row(statement, {"wanted": wanted})
        return None if row is None else user_of(row)

    async def page(self, query: UserQuery) -> list[User]:
        statement = select(users).order_by(users.c.created_at, users.c.id).limit(query.limit)
        if query.after is not None:
            statement = statement.where(
                tuple_(users.c.created_at, users.c.id) > tuple_(*query.after)
            )
        if query.role is not None:
            statement = statement.where(users.c.role == query.role)
        if query.search is not None:
            part = query.search.lower()
            statement = statement.where(
                or_(
                    func.lower(users.c.email).contains(part, autoescape=True),
                    func.lower(users.c.name).contains(part, autoescape=True),
                )
            )
        async with self._database.read() as tx:
            return [user_of(row) for row in await tx.rows(statement)]

    async def change(
        self, user_id: str, decide: Callable[[User], UserChange], event: Event
    ) -> User | None:
        try:
            return await self._change(user_id, decide, event, lock_admins=False)
        except _TakeLocksFirst:
            return await self._change(user_id, decide, event, lock_admins=True)
        except IntegrityError as error:
            raise UserExists("address taken") from error

    async def _change(
        self, user_id: str, decide: Callable[[User], UserChange], event: Event, *, lock_admins: bool
    ) -> User | None:
        async with self._database.write() as tx:
            # Every path locks admin rows first and in id order, so two admins demoting each other cannot deadlock
            # and the second sees what the first did.
            admins = await tx.rows(_ADMINS) if lock_admins else ()
            row = await tx.row(_LOCKED, {"wanted": user_id})
            if row is None:
                return None
            user = user_of(row)
            if user.role == "admin" and not lock_admins:
                raise _TakeLocksFirst
            change = decide(user)
            check_last_admin(user, change, len(admins))
            changed = await self._apply(tx, user, change)
            await tx.record(event)
        return changed

    async def _apply(self, tx: Transaction, user: User, change: UserChange) -> User:
        ver = user.ver + (change.revoke or change.supersede or change.delete)
        changed = user
        if change.delete:
            await tx.run(delete(users).where(users.c.id == user.id))
        else:
            epoch = user.epoch + change.revoke
            row = await tx.row(
                update(users)
                .where(users.c.id == user.id)
                .values({**change.values, "ver": ver, "epoch": epoch})
                .returning(*users.c)
            )
            if row is not None:
                changed = user_of(row)
            if change.revoke and change.keep_session is not None:
                await tx.run(
                    update(sessions)
                    .where(sessions.c.id == change.keep_session, sessions.c.user_id == user.id)
                    .where(sessions.c.epoch == user.epoch)
                    .values(epoch=epoch)
                )
        if change.revoke or change.delete:
            await tx.announce(Change("user.revoked", user.id, ver, change.keep_session, 0))
        if change.supersede:
            await tx.announce(Change("user.superseded", user.id, ver, None, 0))
        return changed

    async def upgrade_hash(self, user_id: str, verified: str, replacement: str) -> bool:
        async with self._database.write() as tx:
            touched = await tx.run(
                update(users)
                .where(users.c.id == user_id, users.c.password_hash == verified)
                .values(password_hash=replacement)
            )
        return touched == 1

    async def schemes(self) -> list[str]:
        prefix = func.substr(users.c.password_hash, 1, 7)
        statement = select(prefix).where(users.c.password_hash.not_like("$argon2id$%")).distinct()
        async with self._database.read() as tx:
            return [row[0] for row in await tx.rows(statement)]
