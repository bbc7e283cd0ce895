"""Signing in, refreshing, signing out."""

from __future__ import annotations

from base64 import urlsafe_b64encode
from dataclasses import dataclass

from authward.core.audit import Client, Event
from authward.core.principal import Principal
from authward.core.sessions import Session, Verdict
from authward.core.users import User, UserChange
from authward.errors import InvalidRefreshToken, NotFound, RefreshTokenReused, Unavailable
from authward.ports import Chance, Clock, NewSession, SessionStore, UserStore
from authward.services.audit import Refusals
from authward.services.tokens import Tokens


@dataclass(frozen=True, slots=True)
class SignedIn:
    """What a client gets for a session: tokens, and the seconds its cookie lives."""

    user: User
    session: Session
    access_token: str
    refresh_token: str
    csrf_token: str
    cookie_max_age: int


@dataclass(frozen=True, slots=True)
class SessionTimes:
    """Durations in seconds: the absolute end, and the grace of a refresh."""

    lifetime: float
    grace: float


class Sessions:
    """Sessions over any store."""

    def __init__(
        self,
        store: SessionStore,
        users: UserStore,
        tokens: Tokens,
        times: SessionTimes,
        refusals: Refusals,
        clock: Clock,
        chance: Chance,
    ) -> None:
        self._store = store
        self._users = users
        self._tokens = tokens
        self._times = times
        self._refusals = refusals
        self._clock = clock
        self._chance = chance

    def require_fresh(self) -> None:
        """Refuse what would end in `open`, before it costs anything. Raises Unavailable."""
        self._tokens.require_fresh()

    async def open(
        self, user: User, client: Client, *, kind: str, replaces: str | None
    ) -> SignedIn | None:
        """A new session for an account verified at `user.epoch`; None if it has moved on since.

        The session presented with the request, `replaces`, ends: one planted by someone else is
        never adopted. Raises Unavailable if the key it was to be signed with was killed meanwhile.
        """
        detail = {} if replaces is None else {"replaced": replaces}
        session_id = urlsafe_b64encode(self._chance(18)).decode()
        session = await self._store.open(
            NewSession(
                session_id,
                user.id,
                user.epoch,
                self._tokens.refresh_kid,
                int(self._times.lifetime * 1000),
                client.ip,
                client.user_agent,
            ),
            Event(kind, client, "ok", user.id, user.id, session_id, detail),
            replaces=replaces,
        )
        if session is None:
            return None
        return self._signed_in(user, session)

    async def refresh(self, token: str, client: Client) -> SignedIn:
        """Answer a refresh token by the table in `core.sessions.judge`.

        Raises RefreshTokenExpired, InvalidRefreshToken, RefreshTokenReused, Unavailable.
        """
        claims = self._tokens.refresh_claims(token)
        try:
            done = await self._store.refresh(
                claims.sid,
                claims.gen,
                kid=self._tokens.refresh_kid,
                grace=int(self._times.grace * 1000),
                client=client,
                event=lambda verdict, session: _event(verdict, session, client),
                signed_by=self._tokens.signer(token),
            )
        except Unavailable as away:
            # The commit may have happened: who comes back after the grace is taken for a thief.
            within = int(self._times.grace // 2)
            away.retry_after = max(1, min(away.retry_after or 1, within))
            raise
        if done is None:
            raise InvalidRefreshToken("no such session")
        if done.verdict is Verdict.REUSED:
            raise RefreshTokenReused("an older generation came back", audited=True)
        if done.verdict in _REFUSED:
            kind, reason = _REFUSED[done.verdict]
            self._refusals.note(kind, client, subject=claims.sub, reason=reason)
            raise InvalidRefreshToken(reason, audited=True)
        if done.verdict is Verdict.BEHIND:
            raise Unavailable("the key to sign with is gone", retry_after=1)
        return self._signed_in(done.user, done.session)

    async def end(self, session_id: str, user_id: str, client: Client) -> None:
        """Sign out of one session, at any generation; nothing happens if it is over."""
        event = Event("session.ended", client, actor=user_id, subject=user_id, session=session_id)
        await self._store.revoke(session_id, event, user_id=user_id)

    async def end_all(self, principal: Principal, client: Client) -> None:
        """Sign out everywhere."""
        await self.end_all_of(principal.id, client, actor=principal.id)

    async def end_all_of(self, user_id: str, client: Client, *, actor: str | None) -> None:
        """End every session of an account; nothing happens if there is no such account."""
        event = Event("session.all_ended", client, actor=actor, subject=user_id)
        await self._users.change(user_id, lambda user: UserChange(revoke=True), event)

    async def list(self, user_id: str) -> list[Session]:
        """The live sessions of an account, latest first."""
        return await self._store.of_user(user_id)

    async def end_own(self, principal: Principal, session_id: str, client: Client) -> None:
        """Sign out of one of the caller's own sessions. Raises NotFound for any other."""
        await self.end_of(principal.id, session_id, client, actor=principal.id)

    async def end_of(
        self, user_id: str, session_id: str, client: Client, *, actor: str | None
    ) -> None:
        """End one session of an account. Raises NotFound for any other."""
        event = Event("session.ended", client, actor=actor, subject=user_id, session=session_id)
        if await self._store.revoke(session_id, event, user_id=user_id) is None:
            raise NotFound("no such session of the account")

    def _signed_in(self, user: User, session: Session) -> SignedIn:
        try:
            refresh_token, expires = self._tokens.refresh(session)
        except InvalidRefreshToken as gone:
            # Its key was killed meanwhile, and the session with it; or it took over from one that
            # was, and we have not heard. The caller did nothing wrong.
            raise Unavailable(gone.reason, retry_after=1) from gone
        return SignedIn(
            user,
            session,
            self._tokens.access(user, session),
            refresh_token,
            self._tokens.csrf(session.id),
            max(0, expires - int(self._clock.now())),
        )


_REFUSED = {
    Verdict.ENDED: ("session.refresh_refused", "session ended"),
    Verdict.AHEAD: ("session.generation_ahead", "a generation not yet given out"),
    Verdict.FORGED: ("session.refresh_refused", "signed with another key than the session's"),
    Verdict.KILLED: ("session.refresh_refused", "signed with a key that is gone"),
}
"""Told apart from the transaction, folded: whoever holds a dead token may send it without end."""


def _event(verdict: Verdict, session: Session, client: Client) -> Event | None:
    if verdict is Verdict.ROTATE:
        return _of(session, client, "session.refreshed", ok=True)
    if verdict is Verdict.REUSED:
        return _of(session, client, "session.reuse_detected", ok=False)
    # Tabs, and the retry of a lost answer, come from where the rotation came from, which the row
    # holds; anything else may be a thief.
    elsewhere = (client.ip, client.user_agent) != (session.ip, session.user_agent)
    if verdict in (Verdict.SAME, Verdict.OVERLAP) and elsewhere:
        return _of(session, client, "session.refresh_overlap", ok=True)
    return None


def _of(session: Session, client: Client, kind: str, *, ok: bool) -> Event:
    return Event(
        kind, client, "ok" if ok else "refused", subject=session.user_id, session=session.id
    )
