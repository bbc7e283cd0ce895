"""Sessions."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from ipaddress import IPv4Network, IPv6Network
from typing import Protocol

from authward.core.audit import Client, Event
from authward.core.sessions import Session, Verdict
from authward.core.users import User


@dataclass(frozen=True, slots=True)
class NewSession:
    """A sign-in to be stored. `lifetime` in milliseconds; `epoch` as read with the hash."""

    id: str
    user_id: str
    epoch: int
    kid: str
    lifetime: int
    ip: str
    user_agent: str


@dataclass(frozen=True, slots=True)
class Refreshed:
    """What one refresh came to: the verdict, the session and account after it. `now` is the
    database's.
    """

    verdict: Verdict
    session: Session
    user: User
    now: int


@dataclass(frozen=True, slots=True)
class SessionMatch:
    """Which sessions: all that satisfy each condition given, of those opened until now.

    `holding` names the roles that are or include `role`. `before` is a whole second: opened before
    then. `kids` are refresh keys, one of which signs the session or did before; or could have, as
    it was opened before `signed_before`.
    """

    user_id: str | None = None
    network: IPv4Network | IPv6Network | None = None
    role: str = ""
    holding: frozenset[str] = frozenset()
    before: int | None = None
    kids: frozenset[str] = frozenset()
    signed_before: int = 0

    @property
    def cut(self) -> bool:
        """Whether an access token tells by itself that it matches."""
        return self.user_id is None and self.network is None and not self.kids


@dataclass(frozen=True, slots=True)
class Matched:
    """A number of sessions, and of the accounts they belong to."""

    sessions: int
    accounts: int


class SessionStore(Protocol):
    async def open(self, new: NewSession, event: Event, *, replaces: str | None) -> Session | None:
        """Store a session if the account is enabled and still at `epoch`, in one statement; else
        None. The session `replaces` ends in the same transaction.
        """
        ...

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
        """Rotate by compare-and-set, or judge why not (`core.sessions.judge`); a new generation is
        signed with `kid`, which the session notes with the key before; the one presented was with
        `signed_by`. A key that is retired opens and signs nothing, whatever the caller has heard. A
        rotation notes where `client` is; REUSED revokes the session; anything else leaves it as it
        was. None if there is no such session. Of fifty at once on one generation,
        one rotates.
        """
        ...

    async def revoke(
        self, session_id: str, event: Event, *, user_id: str | None = None
    ) -> Session | None:
        """End a session and announce it; None if absent, revoked or expired already, or not
        `user_id`'s.
        """
        ...

    async def count_matching(self, match: SessionMatch) -> Matched:
        """How many live sessions match now, and of how many accounts."""
        ...

    async def revoke_matching(
        self,
        match: SessionMatch,
        began: Event | None,
        ended: Callable[[Matched], Event],
        *,
        once: int | None = None,
    ) -> Matched:
        """End the live sessions that match; what was ended.

        Not one transaction, as others must get their turn: `began` is recorded first (None: that
        was done before, and so was what is announced first), then some thousands at a time end, and
        `ended` is recorded last. If tokens can tell (`match.cut`), one change is announced for all,
        or for each role meant, before any session ends; else each part announces the accounts it
        touched, superseded. Sessions opened until the whole second is over are meant too; it is
        waited for, and so is, for a bounded time, whoever was opening one then. Repeating it after
        an error is harmless. Several may do the same that was begun with the audit row `once`: one
        of them records `ended`, or none if a later row of its kind and `kid` is there already.
        """
        ...

    async def of_user(self, user_id: str) -> list[Session]:
        """The live sessions of an account, latest first, a hundred at most."""
        ...
