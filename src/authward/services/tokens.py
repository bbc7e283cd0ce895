"""Minting tokens, and verifying access tokens from memory."""

from __future__ import annotations

from base64 import urlsafe_b64encode

from authward.core.csrf import csrf_token
from authward.core.permissions import held_roles
from authward.core.principal import Principal
from authward.core.sessions import Session, refresh_claims
from authward.core.tokens import (
    AccessClaims,
    RefreshClaims,
    TokenPolicy,
    check_access,
    check_refresh,
    mint,
)
from authward.core.users import User
from authward.core.verified import CACHED_TOKENS, VerifiedTokens
from authward.errors import InvalidRefreshToken, TokenExpired, Unavailable
from authward.ports import Chance, Clock
from authward.services.feed import Feed
from authward.services.rings import Rings


class _Memory:
    """What verified under one set of rings. With other rings comes another memory, whole: whoever
    was about to note something notes it in the old one, where nobody looks any more.
    """

    __slots__ = ("_rings", "fresh", "roles_version", "verified", "version")

    def __init__(self, rings: Rings | None, feed: Feed) -> None:
        self._rings = rings
        # By the whole header they come in, so that a request needs one look-up.
        self.verified = VerifiedTokens[bytes]()
        self.roles_version = feed.roles_version
        # Those that nothing spoke against at this state of the feed.
        self.fresh: dict[bytes | None, Principal] = {}
        self.version = feed.version

    @property
    def rings(self) -> Rings:
        """Raises Unavailable where there are none."""
        if self._rings is None:
            raise Unavailable("key rings: one that signed is gone", retry_after=1)
        return self._rings


class Tokens:
    """All tokens of this process. Whatever signs or verifies raises Unavailable where the feed is
    too old: the key may have been killed. So it does where the key is known to have been, and no
    other is.
    """

    def __init__(
        self, rings: Rings, policy: TokenPolicy, feed: Feed, clock: Clock, chance: Chance
    ) -> None:
        self._memory = _Memory(rings, feed)
        self._policy = policy
        self._feed = feed
        self._clock = clock
        self._now, self._monotonic = clock.now, clock.monotonic
        self._chance = chance

    def use(self, rings: Rings | None) -> None:
        """Go by these rings from now on (None: by none), and by nothing that verified under others.
        Whoever stays connected looks again: theirs may be among the keys that are gone.
        """
        self._memory = _Memory(rings, self._feed)
        self._feed.watching.tell_all()

    def require_fresh(self) -> None:
        """Refuse where a key may have been killed since the feed was read, or was and there is no
        other. Raises Unavailable.
        """
        _ = self._rings

    @property
    def jwks(self) -> bytes:
        """What others may know of the access ring. Raises Unavailable."""
        return self._rings.jwks

    @property
    def _rings(self) -> Rings:
        # Whatever signs or verifies passes here, or asks by itself.
        self._feed.require_fresh()
        return self._memory.rings

    def verify(self, token: str, *, stale: bool = False) -> Principal:
        """The principal of an access token; no I/O. `stale` goes by what is known of revocations,
        however old that is. Raises TokenExpired, InvalidToken, TokenRevoked, Unavailable.
        """
        feed, memory = self._feed, self._memory
        if not stale:
            feed.require_fresh()
        now = self._clock.now()
        if memory.roles_version != feed.roles_version:
            memory.verified.clear()
            memory.roles_version = feed.roles_version
        header = b"Bearer " + token.encode("utf-8", "surrogatepass")
        principal = memory.verified.get(header)
        if principal is None:
            claims = check_access(token, memory.rings.access, self._policy, now)
            principal = self._principal(claims)
            memory.verified.put(header, principal)
        if principal.expires_at <= now:
            memory.verified.drop(header)
            raise TokenExpired("exp has passed")
        feed.revocations.check(
            principal.id,
            principal.session_id,
            principal.version,
            principal.auth_time,
            principal.roles,
        )
        if memory.version != feed.version or len(memory.fresh) >= CACHED_TOKENS:
            memory.fresh.clear()
            memory.version = feed.version
        memory.fresh[header] = principal
        return principal

    def recall(self, bearer: bytes | None) -> Principal | None:
        """The caller whose token has verified since the feed last told of a change, by the whole
        Authorization header as we would write it; None if anything speaks against it, or it has to
        be looked at again. Reads memory, and changes nothing.
        """
        memory = self._memory
        # Read first: another thread may put the two in order between.
        version = memory.version
        principal = memory.fresh.get(bearer)
        if (
            principal is not None
            and version == self._feed.version
            and principal.expires_at > self._now()
            and self._monotonic() <= self._feed.fresh_until
        ):
            return principal
        return None

    def standing(self, token: str) -> Principal:
        """The principal of a token that was let in, for what may go on when it has expired: as it
        would be now, if its session lives and its rights are not superseded. No I/O. Raises
        InvalidToken, TokenExpired, TokenRevoked, Unavailable.
        """
        principal = self._principal(self.whose(token))
        self._feed.revocations.check(
            principal.id,
            principal.session_id,
            principal.version,
            principal.auth_time,
            principal.roles,
        )
        return principal

    def whose(self, token: str) -> AccessClaims:
        """The claims of a well-signed access token, expired or not. It serves to say whose it was,
        never to let in. Raises InvalidToken.
        """
        return check_access(
            token, self._rings.access, self._policy, self._clock.now(), expired_too=True
        )

    def refresh_claims(self, token: str, *, expired_too: bool = False) -> RefreshClaims:
        """The claims of a refresh token. Raises RefreshTokenExpired, InvalidRefreshToken."""
        return check_refresh(
            token, self._rings.refresh, self._policy, self._clock.now(), expired_too=expired_too
        )

    def access(self, user: User, session: Session) -> str:
        """A new access token; it does not outlive the session's absolute end."""
        now = int(self._clock.now())
        return mint(
            AccessClaims(
                iss=self._policy.issuer,
                aud=self._policy.audience,
                sub=user.id,
                id=user.id,
                sid=session.id,
                ver=user.ver,
                role=user.role,
                iat=now,
                exp=max(now + 1, min(now + self._policy.access_ttl, session.expires_at // 1000)),
                jti=urlsafe_b64encode(self._chance(12)).decode(),
                auth_time=session.auth_time // 1000,
                email=user.email if self._policy.token_email else None,
                permissions=user.permissions,
                roles=user.additional_roles,
            ),
            self._rings.access.signing,
        )

    def refresh(self, session: Session) -> tuple[str, int]:
        """The session's current refresh token, the same bytes each time, and its `exp`. Raises
        InvalidRefreshToken.
        """
        key = self._rings.refresh.by_kid(session.kid)
        if key is None:
            raise InvalidRefreshToken("the session's key is gone")
        claims = refresh_claims(session, self._policy)
        return mint(claims, key), claims.exp

    def signer(self, token: str) -> str:
        """The id of the key that a refresh token, which `refresh_claims` took, is signed with."""
        key = self._rings.refresh.named(token)
        return "" if key is None else key.kid

    @property
    def refresh_kid(self) -> str:
        """The key new generations are signed with."""
        return self._rings.refresh.signing.kid

    def csrf(self, binding: str) -> str:
        """The CSRF token of a session id or anonymous id."""
        return csrf_token(self._rings.csrf[0], binding)

    @property
    def csrf_secrets(self) -> tuple[bytes, ...]:
        return self._rings.csrf

    def _principal(self, claims: AccessClaims) -> Principal:
        given = (claims.role, *claims.roles)
        return Principal(
            id=claims.sub,
            email=claims.email or "",
            role=claims.role,
            permissions=self._feed.permissions(given, claims.permissions),
            session_id=claims.sid,
            version=claims.ver,
            auth_time=claims.auth_time,
            # No token outlives what the feed remembers, however long it was meant to live once.
            expires_at=min(claims.exp, claims.iat + int(self._feed.horizon)),
            roles=held_roles(given, self._feed.roles),
        )
