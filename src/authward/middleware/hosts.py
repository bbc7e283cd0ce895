"""Only the hosts that are served here."""

from __future__ import annotations

from collections.abc import Iterable

from starlette.types import ASGIApp, Receive, Scope, Send

from authward.clock import SystemClock
from authward.core.hosts import HostList
from authward.core.text import printable
from authward.errors import MalformedRequest
from authward.middleware.answers import refuse
from authward.ports import Clock


class TrustedHost:
    """Refuses requests for other hosts with 400 `malformed_request`, and WebSockets: those whose
    Host is not in `hosts`, malformed, missing or there twice.

    `hosts` are exact names, and `*.example.com` for all names below one. This machine's own names
    count only if listed. Raises ConfigurationError.
    """

    def __init__(self, app: ASGIApp, *, hosts: Iterable[str], clock: Clock | None = None) -> None:
        self._app = app
        self._hosts = HostList(hosts)
        self._clock = SystemClock() if clock is None else clock

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] in ("http", "websocket"):
            named = [value for name, value in scope["headers"] if name == b"host"]
            if len(named) != 1 or not self._hosts.allows(named[0]):
                refusal = MalformedRequest(_seen(named), text="This Host is not served here")
                return await refuse(scope, receive, send, refusal, self._clock.now())
        await self._app(scope, receive, send)


def _seen(named: list[bytes]) -> str:
    if len(named) != 1:
        return f"{len(named)} Host headers"
    return f"host {printable(named[0].decode('latin-1'), 100)}"
