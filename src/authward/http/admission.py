"""Who calls: the question an app asks of any connection."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from contextlib import suppress
from functools import partial
from typing import Any, Protocol, cast

from anyio import NoEventLoopError, from_thread
from starlette.requests import HTTPConnection
from starlette.types import Scope

from authward.core.bearer import bearer_token
from authward.core.clients import client_of
from authward.core.paths import several
from authward.core.permissions import check_access, has_one_of
from authward.core.principal import Principal
from authward.core.requirements import AllOf, AnyOf, Requirement, met, requirements
from authward.errors import ConfigurationError, Forbidden, InvalidToken, Refusal
from authward.http.opening import OPENING, Opening
from authward.middleware.exchange import EXCHANGE, Exchange
from authward.middleware.request_id import request_id
from authward.ports import Clock
from authward.services import Services

ADMISSION = "authward"
"""The key of the scope under which an app finds the Admission it lies behind."""


class Runs(Protocol):
    """What holds the services: `current` is None, and `services` raises Unavailable, before they
    are started.
    """

    @property
    def current(self) -> Services | None: ...

    @property
    def services(self) -> Services: ...


class Admission:
    """Asks the running services who calls. `stand_in` is set by tests alone: it mints the token of
    those who bring none. Where it is not `overridable`, guards are asked whatever an app's
    `dependency_overrides` say.
    """

    def __init__(self, running: Runs, clock: Clock, *, overridable: bool = False) -> None:
        self.clock = clock
        self.overridable = overridable
        self._running = running
        self.stand_in: Callable[[], str] | None = None

    def principal(
        self,
        connection: Mapping[str, Any],
        *,
        roles: Collection[str] = (),
        permissions: Collection[Requirement] = (),
    ) -> Principal:
        """The caller of a request or WebSocket (a scope, or Starlette's object around one), if it
        has one of `roles` (any, if none are named) and all of `permissions`.

        Raises MissingToken, InvalidToken, TokenExpired, TokenRevoked, Forbidden, Unavailable.
        """
        scope = connection if type(connection) is dict else _scope_of(connection)
        # What can be read once would be asked for once, and by the second reader not at all; and of
        # a text any part would do.
        if type(roles) is not tuple:
            roles = several("roles", roles)
        if type(permissions) is not tuple:
            permissions = _needs(permissions)
        # Most tokens have verified before. They are found in memory, from any thread; whatever
        # speaks against one is left for the long way to find and to write down.
        services = self._running.current
        exchange: Exchange | None = scope.get(EXCHANGE)
        if services is not None and exchange is not None and scope["type"] == "http":
            bearer = _authorization(scope)
            known = services.tokens.recall(bearer)
            if (
                known is not None
                and (not roles or known.role in roles or has_one_of(known, roles))
                and (
                    not permissions
                    or known.permissions.issuperset(permissions)
                    or met(known.permissions, permissions)
                )
            ):
                if exchange.asked:
                    exchange.note((self, bearer, roles, permissions))
                else:
                    exchange.asked = ((self, bearer, roles, permissions),)
                return known
        try:
            asyncio.get_running_loop()
        except RuntimeError:
            # A sync endpoint, in a worker thread: the services belong to the event loop.
            asking = partial(self._admit, scope, roles, permissions)
            try:
                return from_thread.run_sync(asking)
            except NoEventLoopError:
                raise ConfigurationError(
                    "principal: asked in a thread that no event loop waits for. Ask in the "
                    "endpoint, and hand the caller on"
                ) from None
        return self._admit(scope, roles, permissions)

    def peek(self, scope: Scope) -> Principal | None:
        """Who calls, where that can be told: nothing is refused, and nothing written down."""
        try:
            return self._running.services.tokens.verify(bearer_token(scope["headers"]))
        except Refusal:
            return None

    def denied(self, scope: Scope, refusal: Refusal) -> None:
        """Audit a refusal that an app raised itself, unless that has been done."""
        services = self._running.current
        if services is None or refusal.audited:
            return
        opening = scope.get(OPENING)
        if isinstance(opening, Opening):
            subject = None if opening.owner is None else opening.owner[0]
        else:
            caller = self.peek(scope)
            subject = None if caller is None else caller.id
        client = client_of(scope.get("client"), scope["headers"], request_id(scope))
        services.access.denied(refusal, client, subject=subject)

    def renew(self, connection: Mapping[str, Any], token: str) -> Principal:
        """Keep a WebSocket open with a newer token of the same session. If this raises, the socket
        still lives as long as the token before. Raises as `principal` does.
        """
        scope = _scope_of(connection)
        opening = scope.get(OPENING)
        if not isinstance(opening, Opening) or opening.owner is None:
            raise ConfigurationError("renew: this is no WebSocket that a guard has let in")
        access = self._running.services.access
        client = partial(client_of, scope.get("client"), scope["headers"], request_id(scope))
        principal = access.admit_token(lambda: token, client)
        if (principal.id, principal.session_id) != opening.owner:
            refusal = InvalidToken("the token of another session")
            access.denied(refusal, client(), principal)
            raise refusal
        for roles, permissions in opening.needs:
            access.admit_token(lambda: token, client, roles=roles, permissions=permissions)
        opening.token = token
        opening.socket.watch(partial(self._left, opening))
        return principal

    def again(
        self,
        scope: Scope,
        bearer: bytes,
        roles: Collection[str],
        permissions: Collection[Requirement],
    ) -> None:
        """Ask once more what a request has passed with this header. Raises as `principal` does."""
        services = self._running.services
        known = services.tokens.recall(bearer)
        if known is not None:
            with suppress(Forbidden):
                return check_access(known, roles, permissions)
        client = partial(client_of, scope.get("client"), scope["headers"], request_id(scope))
        services.access.admit(_headers(bearer), client, roles=roles, permissions=permissions)

    def standing(
        self, bearer: bytes, roles: Collection[str], permissions: Collection[Requirement]
    ) -> None:
        """The same for what may outlive its token. Nothing is written down."""
        check_access(self._standing(bearer), roles, permissions)

    def require_fresh(self) -> None:
        """Raises Unavailable if the view of revocations is too old."""
        self._running.services.feed.require_fresh()

    def follow(self, bearer: bytes, hear: Callable[[], None]) -> Callable[[], None]:
        """Let `hear` know of changes that concern the caller, until what this returns is called.
        Raises as `standing` does.
        """
        principal = self._standing(bearer)
        watching = self._running.services.feed.watching
        return watching.add((principal.id, principal.session_id), hear)

    def _standing(self, bearer: bytes) -> Principal:
        tokens = self._running.services.tokens
        return tokens.recall(bearer) or tokens.standing(bearer_token(_headers(bearer)))

    def _admit(
        self, scope: Scope, roles: Collection[str], permissions: Collection[Requirement]
    ) -> Principal:
        if ADMISSION not in scope:
            raise ConfigurationError(
                "this app is not behind Authward. Call auth.install(app), or serve auth.wrap(app)"
            )
        access = self._running.services.access
        client = partial(client_of, scope.get("client"), scope["headers"], request_id(scope))
        try:
            if scope["type"] != "websocket":
                principal = access.admit(
                    scope["headers"], client, roles=roles, permissions=permissions
                )
                if EXCHANGE in scope:
                    scope[EXCHANGE].note((self, _authorization(scope), roles, permissions))
                return principal
            opening: Opening = scope[OPENING]
            principal = access.admit_token(
                opening.find, client, roles=roles, permissions=permissions
            )
        except Refusal as refusal:
            # It is gone once the answer is complete.
            if EXCHANGE in scope:
                scope[EXCHANGE].refused(refusal)
            raise
        opening.token = opening.find()
        if opening.leave is None:
            watching = self._running.services.feed.watching
            ids = (principal.id, principal.session_id)
            opening.leave = watching.add(ids, opening.socket.wake)
        opening.owner = principal.id, principal.session_id
        if (roles, permissions) not in opening.needs:
            opening.needs.append((roles, permissions))
        opening.socket.watch(partial(self._left, opening))
        return principal

    def _left(self, opening: Opening) -> float:
        """Seconds the token has left. Raises as soon as it would not be let in again."""
        services = self._running.services
        principal = services.tokens.verify(opening.find())
        for roles, permissions in opening.needs:
            check_access(principal, roles, permissions)
        return principal.expires_at - self.clock.now()


def named(guard: str, names: Sequence[str]) -> tuple[str, ...]:
    """`names` as a guard takes them. Raises ConfigurationError if there are none: it would let
    everybody in.
    """
    if not names or any(type(name) is not str or not name for name in names):
        raise ConfigurationError(
            f"{guard}: name at least one, as text: {guard}('…', '…'). "
            "For any signed-in caller use authenticate"
        )
    return tuple(names)


def _needs(permissions: Collection[Requirement]) -> tuple[Requirement, ...]:
    if isinstance(permissions, (str, AnyOf, AllOf)):
        raise ConfigurationError(
            f"permissions: this is a single one. Did you mean permissions=[{permissions!r}]?"
        )
    found = tuple(permissions)
    return requirements("permissions", found) if found else ()


def _scope_of(connection: Mapping[str, Any]) -> Scope:
    if isinstance(connection, HTTPConnection):
        return connection.scope
    return cast(Scope, connection)


def _headers(bearer: bytes) -> Iterable[tuple[bytes, bytes]]:
    return ((b"authorization", bearer),)


def _authorization(scope: Scope) -> bytes:
    """The one Authorization header of a request as it is now, b"" if there are none or several:
    what stands between the shield and a guard may have put another there, and a copy from before
    would let in somebody else.
    """
    found: bytes | None = None
    for name, value in scope["headers"]:
        if name == b"authorization":
            if found is not None:
                return b""
            found = value
    return found or b""
