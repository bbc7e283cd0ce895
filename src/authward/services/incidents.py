"""Ending many sessions at once, when something has leaked."""

from __future__ import annotations

from dataclasses import replace

from authward.core.audit import Client, Event
from authward.core.permissions import held_roles
from authward.core.users import UserChange
from authward.ports import Matched, SessionMatch
from authward.services import Services


def matching(services: Services, match: SessionMatch) -> SessionMatch:
    """The match with the roles that are or include its own. Raises ValidationError for an unknown
    one.
    """
    if not match.role:
        return match
    services.users.require_role(match.role)
    known = services.feed.roles
    holding = (name for name in known if match.role in held_roles([name], known))
    return replace(match, holding=frozenset(holding))


async def revoke(services: Services, match: SessionMatch, client: Client) -> Matched:
    """End every live session that `matching` gave; how many it were.

    Access tokens die with them on every process within a second. Of a cut by address, other
    sessions of the accounts fetch new tokens and live on.
    """
    store = services.store
    told = {
        "role": match.role or None,
        "network": None if match.network is None else str(match.network),
        "before": match.before,
    }
    detail = {name: value for name, value in told.items() if value is not None}
    began = Event("sessions.revoking", client, subject=match.user_id, detail=detail)

    def ended(done: Matched) -> Event:
        counted = {**detail, "sessions": done.sessions, "accounts": done.accounts}
        return Event("sessions.revoked", client, subject=match.user_id, detail=counted)

    if match != SessionMatch(user_id=match.user_id) or match.user_id is None:
        return await store.sessions.revoke_matching(match, began, ended)
    done = await store.sessions.count_matching(match)
    await store.users.change(match.user_id, lambda user: UserChange(revoke=True), ended(done))
    return done
