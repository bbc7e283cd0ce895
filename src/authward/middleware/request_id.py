"""An id for every request: in the scope, on the answer, in the logs."""

from __future__ import annotations

import logging
import os
import weakref
from collections.abc import Awaitable, Mapping
from contextvars import ContextVar
from typing import Any

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from authward.core.flags import flag
from authward.core.request_id import RequestIds, is_header_name, taken_over
from authward.errors import ConfigurationError
from authward.ports import Chance

REQUEST_ID = "authward.request_id"
"""The key of the scope that holds the id of a request."""
CURRENT: ContextVar[str] = ContextVar("authward.request_id", default="")
"""The id of the request that is being answered here; "" where there is none. It follows the request
into tasks and into the threads of sync endpoints.
"""
_STARTS = frozenset({"http.response.start", "websocket.accept", "websocket.http.response.start"})


def request_id(scope: Mapping[str, Any]) -> str:
    """The id of this request; "" where no `RequestId` is around the app."""
    found: str = scope.get(REQUEST_ID, "")
    return found


class RequestIdFilter(logging.Filter):
    """Gives each record `request_id`: that of the request it was logged for, or "". Put it on a
    handler. `authward serve` needs none.
    """

    def filter(self, record: logging.LogRecord) -> bool:
        """Takes every record."""
        record.request_id = CURRENT.get()
        return True


class RequestId:
    """Gives each request and WebSocket an id of 32 hexadecimal digits, and answers with it in
    `header`. One that the app answers with itself is replaced.

    With `trust_incoming` an id that came with the request is taken over, if it is 8 to 64 letters,
    digits, `.`, `_` or `-`, and came once. That is for a server behind a proxy that sets or strips
    the header: anybody else could make two requests look like one. Raises ConfigurationError.
    """

    def __init__(
        self,
        app: ASGIApp,
        *,
        header: str = "x-request-id",
        trust_incoming: bool = False,
        chance: Chance = os.urandom,
    ) -> None:
        given: object = header
        if not isinstance(given, str) or not is_header_name(given.lower()):
            raise ConfigurationError(
                f"header: '{header}' is not a header's name. Write it like 'x-request-id'"
            )
        self._app = app
        self._header = header.lower().encode()
        self._trust_incoming = flag("trust_incoming", trust_incoming)
        self._mint = prepared_ids(chance)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] not in ("http", "websocket"):
            return await self._app(scope, receive, send)
        name = self._header
        own = self._incoming(scope) if self._trust_incoming else None
        if own is None:
            own = self._mint()
        scope[REQUEST_ID] = own
        added = (name, own.encode())

        def sending(message: Message) -> Awaitable[None]:
            if message["type"] in _STARTS:
                headers = [one for one in message.get("headers", ()) if one[0].lower() != name]
                headers.append(added)
                message = {**message, "headers": headers}
            return send(message)

        current = CURRENT.set(own)
        try:
            await self._app(scope, receive, sending)
        finally:
            CURRENT.reset(current)

    def _incoming(self, scope: Scope) -> str | None:
        found = [value for name, value in scope["headers"] if name == self._header]
        return taken_over(found[0]) if len(found) == 1 else None


def prepared_ids(chance: Chance) -> RequestIds:
    """Ids that a forked process does not share with its parent."""
    ids = RequestIds(chance)
    if hasattr(os, "register_at_fork"):
        # Nothing unregisters; so what is registered keeps nothing alive.
        known = weakref.WeakMethod(ids.forget)
        os.register_at_fork(after_in_child=lambda: _forget(known))
    return ids


def _forget(known: weakref.WeakMethod[Any]) -> None:
    forget = known()
    if forget is not None:
        forget()
