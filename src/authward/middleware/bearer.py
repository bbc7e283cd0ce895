"""Access tokens of an Authward server, verified in another service without asking that server."""

from __future__ import annotations

from collections.abc import Iterable

from starlette.types import ASGIApp, Receive, Scope, Send

from authward.clock import SystemClock
from authward.core.bearer import bearer_token, websocket_token
from authward.core.keys import Key
from authward.core.principal import Principal
from authward.core.resolved import OpenPaths
from authward.core.tokens import TokenPolicy, check_access
from authward.core.verified import VerifiedTokens
from authward.core.verifying import Jwk, VerifyingRing
from authward.errors import ConfigurationError, Refusal, TokenExpired
from authward.middleware.answers import refuse
from authward.middleware.websocket import Socket
from authward.ports import Clock

PRINCIPAL = "authward.principal"
"""The key of the scope that holds who calls."""


class BearerAuth:
    """Lets in only requests with a valid access token, and WebSockets with the subprotocols
    `authward.bearer, <token>`. Who calls is in `scope["authward.principal"]`.

    `keys` are the server's public keys as JWKs, or `Key`s that are shared with it.
    `issuer` and `audience` are the server's settings. `public` names paths that need no token and
    have no principal, exactly or with `*` at the end, below the place where the app is mounted.
    Refusals: 401 `missing_token`, `token_expired`, `invalid_token`; 400 `malformed_request` for two
    tokens.

    A principal's permissions are those the token names: what its role grants only the server knows.
    So it is with sessions that have ended: their tokens are good here until they expire. A
    WebSocket is closed with 4401 when its token expires. Raises ConfigurationError.
    """

    def __init__(
        self,
        app: ASGIApp,
        *,
        keys: Iterable[Key | Jwk],
        issuer: str,
        audience: str,
        public: Iterable[str] = (),
        clock: Clock | None = None,
    ) -> None:
        for option, value in (("issuer", issuer), ("audience", audience)):
            named: object = value
            if not isinstance(named, str) or not named:
                shown = f"{named!r} is no text" if named else "missing"
                raise ConfigurationError(
                    f"{option}: {shown}. Say what the server's AUTHWARD_{option.upper()} says"
                )
        self._app = app
        self._policy = TokenPolicy(issuer, audience, access_ttl=0, refresh_ttl=0)
        self._public = OpenPaths(public, "public")
        self._clock = SystemClock() if clock is None else clock
        self.use_keys(keys)

    def use_keys(self, keys: Iterable[Key | Jwk]) -> None:
        """From now on only these keys count: for a rotation without a restart. What they do not
        verify ends at once, open WebSockets within a second. Raises ConfigurationError, and then
        the keys before still count.
        """
        # One thing, as another thread may be verifying by the keys before: it must not note what
        # it finds where those of the new ones are noted.
        self._known = (VerifyingRing(keys), VerifiedTokens[str]())

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        kind = scope["type"]
        if kind not in ("http", "websocket"):
            return await self._app(scope, receive, send)
        if self._public.hold(scope["path"], scope.get("root_path", "")):
            return await self._app(scope, receive, send)
        now = self._clock.now()
        offered = scope.get("subprotocols", ())
        try:
            token = bearer_token(scope["headers"]) if kind == "http" else websocket_token(offered)
            scope[PRINCIPAL] = self._principal(token, now)
        except Refusal as refusal:
            return await refuse(scope, receive, send, refusal, now)
        if kind == "http":
            return await self._app(scope, receive, send)
        socket = Socket(receive, send, offered)
        socket.watch(lambda: self._left(token))
        await socket.run(self._app, scope)

    def _principal(self, token: str, now: float) -> Principal:
        ring, verified = self._known
        principal = verified.get(token)
        if principal is None:
            claims = check_access(token, ring, self._policy, now)
            principal = Principal(
                id=claims.sub,
                email=claims.email or "",
                role=claims.role,
                permissions=frozenset(claims.permissions),
                session_id=claims.sid,
                version=claims.ver,
                auth_time=claims.auth_time,
                expires_at=claims.exp,
            )
            verified.put(token, principal)
        if principal.expires_at <= now:
            verified.drop(token)
            raise TokenExpired("exp has passed")
        return principal

    def _left(self, token: str) -> float:
        """Seconds the token has left. Raises as soon as it would not be let in again."""
        now = self._clock.now()
        return self._principal(token, now).expires_at - now
