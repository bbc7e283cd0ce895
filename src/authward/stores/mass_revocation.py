"""Ending many sessions, some thousands in a transaction, so that others get their turn."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from functools import partial
from ipaddress import IPv4Network, IPv6Network, ip_address
from typing import Any

from sqlalchemy import Row, distinct, func, literal, select, tuple_, update
from sqlalchemy.sql.expression import ColumnElement

from authward.core.audit import Event
from authward.core.times import SECOND, next_second
from authward.ports import Change, Matched, SessionMatch
from authward.stores.database import PATIENCE_S, PAUSE_S, Database
from authward.stores.expressions import FEED_HEAD, NOW, TRANSACTION_ID
from authward.stores.keys import KEY_LOCK
from authward.stores.readable import COLUMNS, readable
from authward.stores.schema import audit_events, sessions, users
from authward.stores.transactions import Transaction
from authward.stores.users import holds_one_of

BATCH = 2000


async def count(database: Database, match: SessionMatch) -> Matched:
    """`SessionStore.count_matching`."""
    live = _conditions(match, match.before)
    if match.network is not None:
        owners = [row.user_id async for part in _parts(database, match, live) for row in part]
        return Matched(len(owners), len(set(owners)))
    joined = sessions.join(users, users.c.id == sessions.c.user_id)
    counted = select(
        func.count().label("live"), func.count(distinct(sessions.c.user_id)).label("accounts")
    )
    [row] = await database.read(counted.select_from(joined).where(*live))
    return Matched(row.live, row.accounts)


async def revoke(
    database: Database,
    match: SessionMatch,
    began: Event | None,
    ended: Callable[[Matched], Event],
    once: int | None,
) -> Matched:
    """`SessionStore.revoke_matching`."""
    cut = await _begin(database, match, began)
    await _wait_until(database, cut)
    owners = await _end_all(database, match, cut)
    # Whoever was signing in when the cut fell could not be seen yet.
    await _let_others_end(database)
    owners += await _end_all(database, match, cut)
    done = Matched(len(owners), len(set(owners)))
    event = ended(done)

    async def tell(tx: Transaction) -> None:
        if once is None or not await _told(tx, event, once, locked=database.postgresql):
            await tx.record(event)

    await database.write(tell)
    return done


async def _told(tx: Transaction, event: Event, last: int, *, locked: bool) -> bool:
    """Whether somebody else has told of this end after the row `last`."""
    if locked:
        # Two at once would not see each other. On SQLite who writes is alone.
        await tx.rows(KEY_LOCK)
    later = audit_events.c.id > last
    rows = await tx.rows(select(*COLUMNS).where(audit_events.c.kind == event.kind, later))
    kid = event.detail.get("kid")
    return any(readable(row).event.detail.get("kid") == kid for row in rows)


async def _begin(database: Database, match: SessionMatch, began: Event | None) -> int:
    """Record and announce; sessions opened before what is returned are meant."""

    async def work(tx: Transaction) -> int:
        row = await tx.row(select(NOW))
        now = 0 if row is None else int(row[0])
        cut = next_second(now)
        cut = cut if match.before is None else min(cut, match.before)
        if began is None:
            return cut
        await tx.record(began)
        if match.cut:
            # Each role by its own name: one that stops including another later stays cut.
            named = sorted(match.holding | {match.role})
            await tx.announce(
                *(Change("sessions.revoked", role, 0, None, 0, cut) for role in named)
            )
        return cut

    return await database.write(work)


async def _wait_until(database: Database, cut: int) -> None:
    while (left := cut - (await database.read(select(NOW)))[0][0]) > 0:  # noqa: ASYNC110
        await asyncio.sleep(left / SECOND)


async def _let_others_end(database: Database) -> None:
    """Wait until the transactions that run now are over, for at most `PATIENCE_S`."""
    # On SQLite to write is to have waited for who wrote before; its numbers are all 0.
    [number] = await database.write(lambda tx: tx.rows(select(TRANSACTION_ID)))
    turns = int(PATIENCE_S / PAUSE_S)
    while turns and (await database.read(select(FEED_HEAD)))[0][0] < number[0]:
        turns -= 1
        await asyncio.sleep(PAUSE_S)


async def _end_all(database: Database, match: SessionMatch, cut: int) -> list[str]:
    """End all that match, some at a time; whose they were, one entry a session."""
    owners: list[str] = []
    async for part in _parts(database, match, _conditions(match, cut)):
        # What the cut does not tell of: nor does it of sessions from the future.
        untold = sorted({row.user_id for row in part if not match.cut or row.auth_time >= cut})
        ids = [row.id for row in part]
        owners += await database.write(partial(_end, ids=ids, supersede=untold))
        await asyncio.sleep(PAUSE_S)
    return owners


async def _end(tx: Transaction, *, ids: list[str], supersede: list[str]) -> list[str]:
    """End those that still live; whose they were, one entry a session. Access tokens of the
    accounts in `supersede` are outdated if one was theirs.
    """
    if supersede:
        # Accounts before sessions and in order, as everyone locks them.
        locked = select(users.c.id).where(users.c.id.in_(supersede)).order_by(users.c.id)
        await tx.rows(locked.with_for_update(key_share=True))
    statement = (
        update(sessions)
        .where(sessions.c.id.in_(ids), sessions.c.revoked_at.is_(None))
        .values(revoked_at=NOW)
        .returning(sessions.c.user_id)
    )
    ended = [row.user_id for row in await tx.rows(statement)]
    if outdated := {*ended} & {*supersede}:
        bumped = (
            update(users)
            .where(users.c.id.in_(outdated))
            .values(ver=users.c.ver + 1)
            .returning(users.c.id, users.c.ver)
        )
        rows = await tx.rows(bumped)
        await tx.announce(*(Change("user.superseded", row.id, row.ver, None, 0) for row in rows))
    return ended


async def _parts(
    database: Database, match: SessionMatch, live: list[ColumnElement[bool]]
) -> AsyncIterator[list[Row[Any]]]:
    """The sessions that match, some at a time: `id`, `user_id`, `ip` and `auth_time`."""
    place = sessions.c.user_id, sessions.c.id
    found = (
        select(sessions.c.id, sessions.c.user_id, sessions.c.ip, sessions.c.auth_time)
        .join(users, users.c.id == sessions.c.user_id)
        .where(*live)
        # By account, so that few of them are in two parts, and told of twice.
        .order_by(*place)
        .limit(BATCH)
    )
    last = "", ""
    while rows := await database.read(found.where(tuple_(*place) > tuple_(*map(literal, last)))):
        last = rows[-1].user_id, rows[-1].id
        # Not in SQL: the two databases do not know networks alike.
        if part := [row for row in rows if match.network is None or _within(row.ip, match.network)]:
            yield part


def _conditions(match: SessionMatch, before: int | None) -> list[ColumnElement[bool]]:
    """What SQL can tell of a match: of live sessions opened before then. One that was opened in the
    future was so before its clock was put right, which is to say before now.
    """
    found: list[ColumnElement[bool]] = [
        sessions.c.revoked_at.is_(None),
        sessions.c.expires_at > NOW,
        sessions.c.epoch == users.c.epoch,
        users.c.disabled_at.is_(None),
    ]
    if before is not None:
        found.append((sessions.c.auth_time < before) | (sessions.c.auth_time > NOW))
    if match.user_id is not None:
        found.append(sessions.c.user_id == match.user_id)
    if match.kids:
        kids = sorted(match.kids)
        signed = sessions.c.kid.in_(kids) | sessions.c.kid_before.in_(kids)
        if match.signed_before:
            could_be = sessions.c.created_at < match.signed_before
            signed = signed | could_be | (sessions.c.created_at > NOW)
        found.append(signed)
    if match.role:
        found.append(holds_one_of(*sorted(match.holding)))
    return found


def _within(text: str, network: IPv4Network | IPv6Network) -> bool:
    try:
        return ip_address(text) in network
    except ValueError:
        return False  # no address is known of it
