"""Sessions: what a refresh token of some generation earns.

A session row holds a generation and when it was reached; no token and no hash of one. Tokens are
minted again from it, byte for byte, so the loser of a race and the retry after a lost answer get
what the winner got.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum, auto

from authward.core.tokens import RefreshClaims, TokenPolicy


class Verdict(Enum):
    """What happens to a refresh token."""

    ROTATE = auto()  # a new generation
    SAME = auto()  # the current token again; it was rotated a moment ago
    OVERLAP = auto()  # the one before, within the grace: the current token again
    REUSED = auto()  # an older one: the session ends
    AHEAD = auto()  # newer than the row: a restored database, or a forgery
    FORGED = auto()  # of another key than its generation was signed with
    KILLED = auto()  # of a key that is gone, which the process that took it has not heard yet
    BEHIND = auto()  # good, but the next would be of such a key: nothing happens, come again
    ENDED = auto()  # session over, account disabled, or epoch moved on


@dataclass(frozen=True, slots=True)
class Session:
    """One sign-in. Times are milliseconds since the epoch, in database time; `expires_at` never
    slides. `kid` has signed the generations from `kid_from` on, `kid_before` the one before; None
    where that was not noted.
    """

    id: str
    user_id: str
    epoch: int
    generation: int
    rotated_at: int
    kid: str
    created_at: int
    expires_at: int
    auth_time: int
    last_used_at: int
    revoked_at: int | None
    ip: str
    user_agent: str
    kid_before: str | None = None
    kid_from: int | None = None


def judge(
    generation: int,
    session: Session,
    *,
    user_epoch: int,
    user_enabled: bool,
    now: int,
    grace: int,
    signed_by: str | None = None,
    killed: bool = False,
    behind: bool = False,
) -> Verdict:
    """Decide one refresh. `now` is database time; `now` and `grace` in milliseconds. `signed_by` is
    the key of the token, None if that is not asked: who has an old key, which verifies still, must
    not reach the sessions that have moved on to another. `killed` is whether the database says that
    this key, or the session's, is retired; `behind` whether the one to sign with is.
    """
    over = session.revoked_at is not None or session.expires_at <= now
    if over or not user_enabled or session.epoch != user_epoch:
        return Verdict.ENDED
    if killed:
        return Verdict.KILLED
    if generation > session.generation:
        return Verdict.AHEAD
    if signed_by is not None and _signer(generation, session) not in (None, signed_by):
        return Verdict.FORGED
    young = now - session.rotated_at < grace
    if generation == session.generation:
        if young:
            return Verdict.SAME
        return Verdict.BEHIND if behind else Verdict.ROTATE
    if generation == session.generation - 1 and young:
        return Verdict.OVERLAP
    return Verdict.REUSED


def _signer(generation: int, session: Session) -> str | None:
    """The key of a generation up to the present one; None if that is not known. What is not known
    is taken for genuine: it opens nothing, and an old token that was stolen must be seen as such.
    """
    if generation == session.generation:
        return session.kid
    if session.kid_from is None or generation < session.kid_from - 1:
        return None
    return session.kid if generation >= session.kid_from else session.kid_before


def refresh_claims(session: Session, policy: TokenPolicy) -> RefreshClaims:
    """The claims of the session's current refresh token: a function of the row alone."""
    issued = session.rotated_at // 1000
    return RefreshClaims(
        iss=policy.issuer,
        sub=session.user_id,
        sid=session.id,
        gen=session.generation,
        iat=issued,
        exp=min(issued + policy.refresh_ttl, session.expires_at // 1000),
    )
