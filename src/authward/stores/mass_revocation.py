"""Ending many sessions, some thousands in a transaction, so that others get their turn."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from ipaddress import ip_address
from typing import Any

from sqlalchemy import Select, Text, cast, distinct, func, or_, select, update
from sqlalchemy.sql.expression import ColumnElement

from authward.core.audit import Event
from authward.ports import Change, Matched, SessionMatch
from authward.stores.database import Database
from authward.stores.expressions import NOW
from authward.stores.schema import sessions, users
from authward.stores.transactions import Transaction

BATCH = 2000
PAUSE_S = 0.02
SECOND = 1000


async def count(database: Database, match: SessionMatch) -> Matched:
    """`SessionStore.count_matching`."""
    matching = await _conditions(database, match)
    joined = sessions.join(users, users.c.id == sessions.c.user_id)
    counted = select(
        func.count().label("live"), func.count(distinct(sessions.c.user_id)).label("accounts")
    )
    [row] = await database.read(counted.select_from(joined).where(*matching))
    return Matched(row.live, row.accounts)


async def revoke(
    database: Database, match: SessionMatch, began: Event, ended: Callable[[Matched], Event]
) -> Matched:
    """`SessionStore.revoke_matching`."""
    cut = await _begin(database, match, began)
    await _wait_until(database, cut)
    found = _next(await _conditions(database, match, cut))
    touched: set[str] = set()
    total, last = 0, ""
    while rows := await database.read(found.where(sessions.c.id > last)):
        last = rows[-1].id
        ids, owners = [row.id for row in rows], sorted({row.user_id for row in rows})

        async def work(
            tx: Transaction, ids: list[str] = ids, owners: list[str] = owners
        ) -> list[str]:
            return await _end(tx, ids, owners, supersede=not match.cut)

        of = await database.write(work)
        total += len(of)
        touched.update(of)
        await asyncio.sleep(PAUSE_S)
    done = Matched(total, len(touched))
    await database.write(lambda tx: tx.record(ended(done)))
    return done


async def _begin(database: Database, match: SessionMatch, began: Event) -> int:
    """Record and announce; sessions opened before what is returned are meant."""

    async def work(tx: Transaction) -> int:
        row = await tx.row(select(NOW))
        now = 0 if row is None else int(row[0])
        # Tokens know seconds. Up to a whole one, the row and the token say the same.
        cut = now // SECOND * SECOND + SECOND
        cut = cut if match.before is None else min(cut, match.before)
        await tx.record(began)
        if match.cut:
            await tx.announce(Change("sessions.revoked", match.role, 0, None, 0, cut))
        return cut

    return await database.write(work)


async def _wait_until(database: Database, cut: int) -> None:
    while (left := cut - (await database.read(select(NOW)))[0][0]) > 0:  # noqa: ASYNC110
        await asyncio.sleep(left / SECOND)


async def _end(tx: Transaction, ids: list[str], owners: list[str], *, supersede: bool) -> list[str]:
    """End those that still live; whose they were, one entry a session."""
    if supersede:
        # Accounts before sessions and in order, as everyone locks them.
        locked = select(users.c.id).where(users.c.id.in_(owners)).order_by(users.c.id)
        await tx.rows(locked.with_for_update(key_share=True))
    statement = (
        update(sessions)
        .where(sessions.c.id.in_(ids), sessions.c.revoked_at.is_(None))
        .values(revoked_at=NOW)
        .returning(sessions.c.user_id)
    )
    ended = [row.user_id for row in await tx.rows(statement)]
    if supersede and ended:
        bumped = (
            update(users)
            .where(users.c.id.in_(set(ended)))
            .values(ver=users.c.ver + 1)
            .returning(users.c.id, users.c.ver)
        )
        for row in await tx.rows(bumped):
            await tx.announce(Change("user.superseded", row.id, row.ver, None, 0))
    return ended


def _next(matching: list[ColumnElement[bool]]) -> Select[Any]:
    return (
        select(sessions.c.id, sessions.c.user_id)
        .join(users, users.c.id == sessions.c.user_id)
        .where(*matching)
        .order_by(sessions.c.id)
        .limit(BATCH)
    )


async def _conditions(
    database: Database, match: SessionMatch, cut: int | None = None
) -> list[ColumnElement[bool]]:
    before = match.before if cut is None else cut
    found: list[ColumnElement[bool]] = [
        sessions.c.revoked_at.is_(None),
        sessions.c.expires_at > NOW,
        sessions.c.epoch == users.c.epoch,
        users.c.disabled_at.is_(None),
    ]
    if before is not None:
        found.append(sessions.c.auth_time < before)
    if match.user_id is not None:
        found.append(sessions.c.user_id == match.user_id)
    if match.role:
        # Names hold no quotes, so that a quoted one in the JSON text is the whole name.
        given = cast(users.c.additional_roles, Text)
        beside = [given.contains(f'"{name}"', autoescape=True) for name in sorted(match.holding)]
        found.append(or_(users.c.role.in_(match.holding), *beside))
    if match.network is not None:
        found.append(sessions.c.ip.in_(await _addresses(database, match)))
    return found


async def _addresses(database: Database, match: SessionMatch) -> list[str]:
    """Those of live sessions in the network: the databases cannot tell alike."""
    rows = await database.read(
        select(sessions.c.ip).distinct().where(sessions.c.revoked_at.is_(None))
    )
    return [row[0] for row in rows if _within(row[0], match)]


def _within(text: str, match: SessionMatch) -> bool:
    try:
        return match.network is not None and ip_address(text) in match.network
    except ValueError:
        return False  # no address is known of it
