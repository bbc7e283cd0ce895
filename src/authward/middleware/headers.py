"""Security headers on every answer of an app."""

from __future__ import annotations

import os
from collections.abc import Awaitable, Mapping
from typing import Any

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from authward.core.csp import NONCE_BYTES, Nonce, nonce_of
from authward.core.flags import flag
from authward.core.headers import DEFAULT_POLICY, SecurityPolicy, merged
from authward.errors import ConfigurationError
from authward.ports import Chance

CSP_NONCE = "authward.csp_nonce"
"""The key of the scope that holds the nonce of a request."""

_STARTS = frozenset({"http.response.start", "websocket.http.response.start"})


class SecurityHeaders:
    """Adds the headers of `policy` to every answer of `app`, streamed ones and refused WebSocket
    handshakes too. What the app sets itself is left as it is.

    `https` says how browsers reach us, whatever a proxy speaks to us. Stands outermost: what lies
    around it answers without these headers. Raises ConfigurationError.
    """

    def __init__(
        self,
        app: ASGIApp,
        *,
        policy: SecurityPolicy = DEFAULT_POLICY,
        https: bool = True,
        chance: Chance = os.urandom,
    ) -> None:
        given: object = policy
        if not isinstance(given, SecurityPolicy):
            raise ConfigurationError(
                f"policy: {given!r} is no SecurityPolicy. Make one, like "
                "SecurityPolicy(x_frame_options='DENY'), or leave it out"
            )
        self._app = app
        self._policy = policy
        self._https = flag("https", https)
        self._chance = chance
        self._added = policy.headers(https=https)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] not in ("http", "websocket"):
            return await self._app(scope, receive, send)
        names = self._policy.names
        added = self._added
        if self._policy.uses_nonce:
            nonce = issue_nonce(scope, self._chance)
            added = self._policy.with_nonce(nonce, https=self._https)

        def sending(message: Message) -> Awaitable[None]:
            if message["type"] in _STARTS:
                # A copy: an app may send the same message to everybody.
                headers = merged(message.get("headers", ()), added, names)
                message = {**message, "headers": headers}
            return send(message)

        await self._app(scope, receive, sending)


def issue_nonce(scope: Scope, chance: Chance) -> Nonce:
    """The nonce of this request, made if there is none yet: nested policies share one."""
    nonce: Nonce | None = scope.get(CSP_NONCE)
    if nonce is None:
        nonce = scope[CSP_NONCE] = nonce_of(chance(NONCE_BYTES))
    return nonce


def csp_nonce(scope: Mapping[str, Any]) -> Nonce:
    """The nonce for the `nonce` attribute of scripts and styles in the answer to this request.
    Raises ConfigurationError where no policy with NONCE stands in front of the app.
    """
    nonce: Nonce | None = scope.get(CSP_NONCE)
    if nonce is None:
        raise ConfigurationError(
            "csp_nonce: the policy has no nonce. Put NONCE into its script-src or style-src"
        )
    return nonce
