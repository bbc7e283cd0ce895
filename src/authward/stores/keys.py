"""Sealed keys in SQL."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict

from sqlalchemy import BigInteger, bindparam, func, insert, select, text, update

from authward.core.keys import StoredKey
from authward.ports import Change, KeyChange
from authward.stores.database import Database
from authward.stores.expressions import NOW
from authward.stores.schema import keys, sessions, users
from authward.stores.transactions import Transaction

_ALL = select(keys).order_by(keys.c.created_at, keys.c.kid)
_ADD = insert(keys).values(created_at=NOW)
_ADD_SIGNING = _ADD.values(signing_at=NOW)
_PUT = insert(keys)
_MOVE = update(keys).where(keys.c.kid == bindparam("known"))
# Any constant serves, so long as it is ours alone.
KEY_LOCK = text("SELECT pg_advisory_xact_lock(4711746108701)")
_UNUSED, _GRACE, _LATE = (bindparam(one, type_=BigInteger()) for one in ("unused", "grace", "late"))
# Within the grace a session's token before the present one is good, and may be of another key.
_LEFT_JUST_NOW = (
    (keys.c.state == "verifying")
    & (sessions.c.rotated_at > NOW - _GRACE)
    & (sessions.c.created_at < keys.c.verifying_at + _LATE)
)
_LIVE_SESSIONS = (
    select(keys.c.kid, func.count().label("live"))
    .select_from(
        keys.join(sessions, (sessions.c.kid == keys.c.kid) | _LEFT_JUST_NOW).join(
            users, users.c.id == sessions.c.user_id
        )
    )
    .where(
        keys.c.ring == "refresh",
        sessions.c.revoked_at.is_(None),
        sessions.c.expires_at > NOW,
        sessions.c.rotated_at > NOW - _UNUSED,
        sessions.c.epoch == users.c.epoch,
        users.c.disabled_at.is_(None),
    )
    .group_by(keys.c.kid)
)
_LONGEST = select(func.coalesce(func.max(sessions.c.expires_at - sessions.c.created_at), 0)).where(
    sessions.c.expires_at > NOW
)


class SqlKeys:
    """`KeyStore` over SQLite and PostgreSQL."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def add_first(self, new: Sequence[StoredKey]) -> list[StoredKey]:
        async def work(tx: Transaction) -> list[StoredKey]:
            await self._lock(tx)
            there = {key.ring for key in await _all(tx)}
            for key in new:
                if key.ring not in there:
                    await tx.run(
                        _ADD_SIGNING if key.state == "signing" else _ADD,
                        {
                            "kid": key.kid,
                            "ring": key.ring,
                            "algorithm": key.algorithm,
                            "state": key.state,
                            "sealed": key.sealed,
                        },
                    )
            return await _all(tx)

        return await self._database.write(work)

    async def all(self) -> list[StoredKey]:
        return [StoredKey(**row._mapping) for row in await self._database.read(_ALL)]

    async def change(
        self, decide: Callable[[Sequence[StoredKey], int], KeyChange | None]
    ) -> list[StoredKey]:
        async def work(tx: Transaction) -> list[StoredKey]:
            await self._lock(tx)
            there = await _all(tx)
            [now] = await tx.rows(select(NOW))
            wanted = decide(there, now[0])
            if wanted is None:
                return there
            known = {key.kid for key in there}
            for key in wanted.put:
                if key.kid in known:
                    await tx.run(_MOVE.values(asdict(key)), {"known": key.kid})
                else:
                    await tx.run(_PUT, asdict(key))
            changed = [Change("keys.changed", one, 0, None, 0) for one in wanted.rings]
            if wanted.before:
                changed.append(Change("sessions.revoked", "", 0, None, 0, wanted.before))
            if changed:
                await tx.announce(*changed)
            for event in wanted.events:
                await tx.record(event)
            return await _all(tx)

        return await self._database.write(work)

    async def live_sessions(self, *, unused: int, grace: int, late: int) -> Mapping[str, int]:
        values = {"unused": unused, "grace": grace, "late": late}
        rows = await self._database.read(_LIVE_SESSIONS, values)
        return {row.kid: row.live for row in rows}

    async def longest_session(self) -> int:
        [row] = await self._database.read(_LONGEST)
        return int(row[0])

    async def _lock(self, tx: Transaction) -> None:
        # On SQLite a transaction that writes is alone anyway.
        if self._database.postgresql:
            await tx.rows(KEY_LOCK)


async def _all(tx: Transaction) -> list[StoredKey]:
    return [StoredKey(**row._mapping) for row in await tx.rows(_ALL)]
