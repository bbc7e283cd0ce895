"""For an app's own tests: callers that need no password and no account, and a clock to turn.

Nothing here can be reached by a request; only code that holds the Authward object can use it.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from contextlib import contextmanager
from secrets import token_urlsafe

from authward.app import Authward
from authward.clock import SystemClock
from authward.core.permissions import DEFAULT_ROLES, effective, held_roles
from authward.core.principal import Principal
from authward.core.sessions import Session
from authward.core.users import User
from authward.errors import ConfigurationError, Unavailable

__all__ = ["TurnableClock", "access_token", "as_user"]

_NEVER_SUPERSEDED = 2**53
_DAY_MS = 86_400_000


class TurnableClock:
    """Real time, and what it was turned by. Takes the database's time along: `Authward(clock=…)`.

    `monotonic` is not turned: to the change feed it would look like a standstill.
    """

    def __init__(self) -> None:
        self._real = SystemClock()
        self._turned = 0.0

    @property
    def offset_ms(self) -> int:
        """How far it was turned, in milliseconds."""
        return int(self._turned * 1000)

    def now(self) -> float:
        """Seconds since the epoch."""
        return self._real.now() + self._turned

    def monotonic(self) -> float:
        """Seconds that never run back."""
        return self._real.monotonic()

    def turn(self, seconds: float) -> None:
        """Let `seconds` pass at once; negative ones turn it back."""
        self._turned += seconds


@contextmanager
def as_user(
    auth: Authward,
    *,
    role: str = "user",
    permissions: Collection[str] = (),
    id: str | None = None,
    email: str = "user@example.com",
) -> Iterator[Principal]:
    """Requests and WebSockets without a token come from this caller, until the block ends.

    No account is made. All else is real: each gets an access token that guards and our own routes
    verify. `permissions` are granted beside those of the role. Blocks nest; of two that overlap in
    concurrent tests on one Authward the later one counts. Raises ConfigurationError in production.
    """
    if auth.settings.production:
        raise ConfigurationError("as_user: is for tests, and ENV is production")
    if isinstance(permissions, str):
        raise ConfigurationError(f"as_user: permissions=['{permissions}'], a list")
    try:
        roles = auth.services.feed.roles
    except Unavailable:
        roles = DEFAULT_ROLES
    caller = Principal(
        id=id or f"test-{token_urlsafe(9)}",
        email=email,
        role=role,
        permissions=effective((role,), permissions, roles),
        session_id=f"test-{token_urlsafe(9)}",
        roles=held_roles((role,), roles),
    )
    granted = tuple(permissions)
    admission = auth._admission
    before = admission.stand_in
    admission.stand_in = lambda: _mint(auth, caller, granted)
    try:
        yield caller
    finally:
        admission.stand_in = before


def access_token(auth: Authward, caller: Principal) -> str:
    """A fresh access token for a caller from `as_user`, to be sent by hand: to a real server in
    this process, or to `Authward.renew`. Raises Unavailable before start-up.
    """
    if auth.settings.production:
        raise ConfigurationError("access_token: is for tests, and ENV is production")
    return _mint(auth, caller, tuple(caller.permissions))


def _mint(auth: Authward, caller: Principal, permissions: tuple[str, ...]) -> str:
    now = int(auth.clock.now() * 1000)
    user = User(
        id=caller.id,
        email=caller.email,
        email_canonical=caller.email,
        name="",
        role=caller.role,
        permissions=tuple(sorted(permissions)),
        epoch=0,
        ver=_NEVER_SUPERSEDED,
        password_hash="",
        email_verified=True,
        created_at=now,
        disabled_at=None,
    )
    session = Session(
        id=caller.session_id,
        user_id=caller.id,
        epoch=0,
        generation=0,
        rotated_at=now,
        kid="",
        created_at=now,
        expires_at=now + _DAY_MS,
        auth_time=now,
        last_used_at=now,
        revoked_at=None,
        ip="",
        user_agent="",
    )
    return auth.services.tokens.access(user, session)
