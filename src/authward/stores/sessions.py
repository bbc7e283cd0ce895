"""Sessions in SQL: rotation is one compare-and-set."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from sqlalchemy import Row, bindparam, case, exists, func, insert, literal, or_, select, update
from sqlalchemy.sql.expression import ColumnElement

from authward.core.audit import Client, Event
from authward.core.sessions import Session, Verdict, judge
from authward.ports import Change, Matched, NewSession, Refreshed, SessionMatch
from authward.stores import mass_revocation
from authward.stores.database import Database
from authward.stores.expressions import NOW
from authward.stores.schema import keys, sessions, users
from authward.stores.transactions import Transaction
from authward.stores.users import USER, user_of

MOST_LISTED = 100

_LIVE = sessions.c.revoked_at.is_(None) & (sessions.c.expires_at > NOW)
_EPOCH = (
    select(users.c.epoch)
    .where(users.c.id == sessions.c.user_id, users.c.disabled_at.is_(None))
    .correlate(sessions)
    .scalar_subquery()
)
_SIGNING_KID = bindparam("signing_kid", type_=sessions.c.kid.type)
_SIGNED_BY = bindparam("signed_by", type_=sessions.c.kid.type)
_SAME_KEY = sessions.c.kid == _SIGNING_KID


def _retired(kid: ColumnElement[str]) -> ColumnElement[bool]:
    return exists().where(keys.c.kid == kid, keys.c.state == "retired").correlate(sessions)


# Asked here, as a process may hear of it late. Until then whoever knows a killed key would have
# tokens of a living one from it.
_KILLED = or_(_retired(_SIGNED_BY), _retired(sessions.c.kid))
_BEHIND = _retired(_SIGNING_KID)
_ROTATE = (
    update(sessions)
    .where(
        sessions.c.id == bindparam("wanted"),
        sessions.c.generation == bindparam("presented"),
        sessions.c.kid == func.coalesce(_SIGNED_BY, sessions.c.kid),
        ~_KILLED,
        ~_BEHIND,
        sessions.c.rotated_at + bindparam("grace") <= NOW,
        sessions.c.epoch == _EPOCH,
        _LIVE,
    )
    .values(
        generation=sessions.c.generation + 1,
        rotated_at=NOW,
        last_used_at=NOW,
        kid=_SIGNING_KID,
        kid_before=case((_SAME_KEY, sessions.c.kid_before), else_=sessions.c.kid),
        # The present generation is of the present key, also where it was not noted.
        kid_from=case(
            (_SAME_KEY, func.coalesce(sessions.c.kid_from, sessions.c.generation)),
            else_=sessions.c.generation + 1,
        ),
        ip=bindparam("client_ip"),
        user_agent=bindparam("client_agent"),
    )
    .returning(*sessions.c, NOW.label("database_now"))
)
_WITH_USER = (
    select(
        *(*USER, *sessions.c, NOW.label("database_now")),
        *(_KILLED.label("killed"), _BEHIND.label("behind")),
    )
    .join(users, users.c.id == sessions.c.user_id)
    .where(sessions.c.id == bindparam("wanted"))
)
_OWNER = select(*USER).where(users.c.id == bindparam("wanted"))
_REVOKE = (
    update(sessions)
    .where(sessions.c.id == bindparam("wanted"), _LIVE)
    .values(revoked_at=NOW)
    .returning(*sessions.c)
)
_OPEN = (
    insert(sessions)
    .from_select(
        [column.name for column in sessions.c],
        # FOR SHARE: a change of the account under way is waited for, and what it leaves is judged.
        select(
            bindparam("new_id", type_=sessions.c.id.type),
            users.c.id,
            users.c.epoch,
            literal(0),
            NOW,
            _SIGNING_KID,
            NOW,
            NOW + bindparam("lifetime", type_=sessions.c.expires_at.type),
            NOW,
            NOW,
            literal(None, type_=sessions.c.revoked_at.type),
            bindparam("client_ip", type_=sessions.c.ip.type),
            bindparam("client_agent", type_=sessions.c.user_agent.type),
            literal(None, type_=sessions.c.kid_before.type),
            literal(0),
        )
        .where(
            users.c.id == bindparam("owner"),
            users.c.epoch == bindparam("verified_epoch"),
            users.c.disabled_at.is_(None),
        )
        .with_for_update(read=True),
        include_defaults=False,
    )
    .returning(*sessions.c)
)
_OF_USER = (
    select(sessions)
    .where(sessions.c.user_id == bindparam("owner"), sessions.c.epoch == _EPOCH, _LIVE)
    .order_by(sessions.c.last_used_at.desc(), sessions.c.id)
    .limit(MOST_LISTED)
)


def session_of(row: Row[Any]) -> Session:
    """A row of `sessions`, or a join with it."""
    return Session(**{column.name: row._mapping[column] for column in sessions.c})


class SqlSessions:
    """`SessionStore` over SQLite and PostgreSQL."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def open(self, new: NewSession, event: Event, *, replaces: str | None) -> Session | None:
        values = {
            "new_id": new.id,
            "owner": new.user_id,
            "verified_epoch": new.epoch,
            "signing_kid": new.kid,
            "lifetime": new.lifetime,
            "client_ip": new.ip,
            "client_agent": new.user_agent,
        }

        async def work(tx: Transaction) -> Session | None:
            row = await tx.row(_OPEN, values)
            if row is None:
                return None
            if replaces is not None:
                await _revoke(tx, replaces)
            await tx.record(event)
            return session_of(row)

        return await self._database.write(work)

    async def refresh(
        self,
        session_id: str,
        generation: int,
        *,
        kid: str,
        grace: int,
        client: Client,
        event: Callable[[Verdict, Session], Event | None],
        signed_by: str | None = None,
    ) -> Refreshed | None:
        values = {
            "wanted": session_id,
            "presented": generation,
            "grace": grace,
            "signing_kid": kid,
            "signed_by": signed_by,
            "client_ip": client.ip,
            "client_agent": client.user_agent,
        }

        async def work(tx: Transaction) -> Refreshed | None:
            outcome = None
            while outcome is None:
                if rotated := await tx.row(_ROTATE, values):
                    outcome = await _rotated(tx, rotated)
                elif row := await tx.row(_WITH_USER, values):
                    outcome = await _settled(tx, _judged(row, generation, grace, signed_by))
                else:
                    return None
            happened = event(outcome.verdict, outcome.session)
            if happened is not None:
                await tx.record(happened)
            return outcome

        return await self._database.write(work)

    async def revoke(
        self, session_id: str, event: Event, *, user_id: str | None = None
    ) -> Session | None:
        async def work(tx: Transaction) -> Session | None:
            session = await _revoke(tx, session_id, user_id)
            if session is not None:
                await tx.record(event)
            return session

        return await self._database.write(work)

    async def count_matching(self, match: SessionMatch) -> Matched:
        return await mass_revocation.count(self._database, match)

    async def revoke_matching(
        self,
        match: SessionMatch,
        began: Event | None,
        ended: Callable[[Matched], Event],
        *,
        once: int | None = None,
    ) -> Matched:
        return await mass_revocation.revoke(self._database, match, began, ended, once)

    async def of_user(self, user_id: str) -> list[Session]:
        return [session_of(row) for row in await self._database.read(_OF_USER, {"owner": user_id})]


async def _rotated(tx: Transaction, row: Row[Any]) -> Refreshed:
    session = session_of(row)
    [found] = await tx.rows(_OWNER, {"wanted": session.user_id})
    owner = user_of(found)
    # A revocation may have been committed between the two statements. Its version, read now, must
    # not get into a token of the session it ended.
    ended = owner.epoch != session.epoch or owner.disabled_at is not None
    verdict = Verdict.ENDED if ended else Verdict.ROTATE
    return Refreshed(verdict, session, owner, row._mapping["database_now"])


def _judged(row: Row[Any], generation: int, grace: int, signed_by: str | None) -> Refreshed:
    session, user, now = session_of(row), user_of(row), row._mapping["database_now"]
    verdict = judge(
        generation,
        session,
        user_epoch=user.epoch,
        user_enabled=user.disabled_at is None,
        now=now,
        grace=grace,
        signed_by=signed_by,
        killed=bool(row._mapping["killed"]),
        behind=bool(row._mapping["behind"]),
    )
    return Refreshed(verdict, session, user, now)


async def _settled(tx: Transaction, outcome: Refreshed) -> Refreshed | None:
    """Carry out a verdict. None: the session moved on since it was read, judge again."""
    if outcome.verdict is Verdict.ROTATE:
        return None  # the grace ran out between the two statements
    if outcome.verdict is Verdict.REUSED:
        ended = await _revoke(tx, outcome.session.id)
        return None if ended is None else replace(outcome, session=ended)
    return outcome


async def _revoke(tx: Transaction, session_id: str, user_id: str | None = None) -> Session | None:
    # Not by epoch: a session that change() is just taking along must not escape.
    statement = _REVOKE if user_id is None else _REVOKE.where(sessions.c.user_id == user_id)
    row = await tx.row(statement, {"wanted": session_id})
    if row is None:
        return None
    await tx.announce(Change("session.revoked", session_id, 0, None, 0))
    return session_of(row)
