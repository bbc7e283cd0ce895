"""Which sessions end with keys that are killed, and how that comes to its end whoever dies."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from authward.core.audit import Client, Event
from authward.core.keys import StoredKey
from authward.core.rotation import Lives, all_end, signed_before
from authward.core.times import SECOND, next_second
from authward.ports import AuditQuery, AuditRow, Clock, KeyChange, Matched, SessionMatch, Store
from authward.services.key_changes import ITSELF

LEFT_AFTER_S = 60
"""After so long, whoever began to end sessions is taken for dead. That it lives on does no harm."""
LATEST = 100

log = logging.getLogger("authward.keys")


@dataclass(frozen=True, slots=True)
class Killed:
    """Keys that were retired at once, or would be, and the sessions that end with them."""

    keys: Sequence[StoredKey]
    matched: Matched


def ending(
    keys: Sequence[StoredKey], dying: Sequence[StoredKey], kid: str | None, lives: Lives
) -> SessionMatch | None:
    """The sessions that end with these keys; None if no refresh token is of theirs."""
    if all_end(keys, dying):
        # One change tells of all, and access tokens know by themselves that they are meant.
        return SessionMatch()
    gone = [key for key in dying if key.ring == "refresh"]
    # One that was killed before, by a command that did not get to its end; or that was retired
    # before anybody knew that it had leaked.
    gone += [key for key in keys if key.kid == kid and key.ring == "refresh"]
    if not gone:
        return None
    kids = frozenset(key.kid for key in gone)
    return SessionMatch(kids=kids, signed_before=signed_before(gone, lives))


def until_now(match: SessionMatch, now: int) -> SessionMatch:
    """The match without those that will be opened later, with keys that nobody else knows."""
    return replace(match, before=next_second(now))


def begun(match: SessionMatch, kid: str | None, client: Client, actor: str | None) -> KeyChange:
    """What the transaction that kills a key says of sessions, so that whoever dies after it leaves
    nobody in: their access tokens are refused from then on, and what is left to do is written down.
    """
    until = match.before or 0
    detail: dict[str, str | int] = {"kid": kid or "all", "before": until}
    if match.cut:
        detail["everyone"] = 1
    if match.signed_before:
        detail["signed_before"] = match.signed_before
    event = Event("sessions.revoking", client, actor=actor, detail=detail)
    # Just after a rotation the old key could have signed for a while to come. It is dead now:
    # whoever signs in from now on is not meant.
    cut = until if match.cut else min(until, match.signed_before)
    return KeyChange(events=[event], before=cut)


class Kills:
    """Ends the sessions of keys that were killed."""

    def __init__(self, store: Store, lives: Lives, clock: Clock) -> None:
        self._store = store
        self._lives = lives
        self._clock = clock
        self._known: set[int] = set()
        """Rows of which nothing is left to do."""
        self._swept: set[str] = set()

    async def end(
        self,
        match: SessionMatch,
        kid: str,
        client: Client,
        actor: str | None,
        *,
        once: int | None = None,
    ) -> Matched:
        """End them, as was begun; by the row of this number, if others may be at it too."""

        def ended(done: Matched) -> Event:
            detail: dict[str, str | int] = {"kid": kid, "sessions": done.sessions}
            detail["accounts"] = done.accounts
            return Event("sessions.revoked", client, actor=actor, detail=detail)

        return await self._store.sessions.revoke_matching(match, None, ended, once=once)

    async def finish(self, *, younger_too: bool) -> None:
        """End what was begun and not ended, as whoever did it died. Doing it twice is harmless."""
        begun = await self._store.audit.page(
            AuditQuery(kind="sessions.revoking"), LATEST, before=None
        )
        now = int(self._clock.now() * SECOND)
        for kid, row in _last_of_each(begun).items():
            # One from the future, too, was not begun just now: by a clock that was ahead.
            young = abs(now - row.at) <= LEFT_AFTER_S * SECOND
            if row.id in self._known or (young and not younger_too):
                continue
            if not await self._has_ended(kid, row.id):
                await self._finish(kid, row)
            self._known.add(row.id)

    async def sweep(self) -> None:
        """End what was opened with a killed key by processes that heard of it late: whoever knows
        the key has tokens of it. Once of each key, when everybody has heard; not where no access
        token of it can live any more, as a refresh is refused anyway.
        """
        told = await self._store.audit.page(AuditQuery(kind="key.killed"), LATEST, before=None)
        killed = {row.event.detail.get("kid") for row in told} - self._swept
        if not killed:
            return
        now = int(self._clock.now() * SECOND)
        heard, over = now - self._lives.notice, now - self._lives.notice - self._lives.access
        for key in await self._store.keys.all():
            # Nobody has verified the log: a key that lives was not killed.
            mortal = key.kid in killed and key.ring == "refresh" and key.state == "retired"
            if mortal and over < (key.retired_at or 0) < heard:
                match = SessionMatch(kids=frozenset({key.kid}))
                if (await self._store.sessions.count_matching(match)).sessions:
                    await self.end(match, key.kid, ITSELF, None)
                self._swept.add(key.kid)

    async def _finish(self, kid: str, row: AuditRow) -> None:
        match = _as_begun(await self._store.keys.all(), kid, row.event.detail)
        if match is None:
            log.error("audit row %d: not written by a kill. Run authward audit verify", row.id)
            return
        await self.end(match, kid, ITSELF, None, once=row.id)

    async def _has_ended(self, kid: str, last: int) -> bool:
        # By number: clocks may differ, and the end is written when the beginning has been
        # committed. The next end is nearly always the one.
        revoked = AuditQuery(kind="sessions.revoked")
        while rows := await self._store.audit.after(revoked, 1, last=last):
            if rows[0].event.detail.get("kid") == kid:
                return True
            last = rows[0].id
        return False


def _as_begun(
    keys: Sequence[StoredKey], kid: str, said: Mapping[str, str | int]
) -> SessionMatch | None:
    """What the one meant who began, whose settings may have been others. Not those that were opened
    since, with other keys. None if no kill says such a thing: whoever edits the database may put
    anything there, and nobody has verified it.
    """
    before, everyone = said.get("before"), said.get("everyone", 0)
    since = said.get("signed_before", 0)
    if type(before) is not int or type(everyone) is not int or type(since) is not int:
        return None
    killed = (key for key in keys if key.ring == "refresh" and key.state == "retired")
    if not any(kid in ("all", key.kid) for key in killed):
        return None
    if everyone:
        return SessionMatch(before=before)
    if kid == "all":
        return None
    return SessionMatch(before=before, kids=frozenset({kid}), signed_before=since)


def _last_of_each(begun: Sequence[AuditRow]) -> dict[str, AuditRow]:
    """What was begun last of each key."""
    rows = sorted(begun, key=lambda row: row.id)
    return {str(row.event.detail["kid"]): row for row in rows if "kid" in row.event.detail}
