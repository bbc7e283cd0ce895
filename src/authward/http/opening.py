"""What a WebSocket was opened with."""

from __future__ import annotations

from collections.abc import Callable, Collection

from authward.core.bearer import websocket_token
from authward.core.requirements import Requirement
from authward.middleware.websocket import Socket

OPENING = "authward.opening"
"""The key of the scope under which a guard finds the Opening."""


class Opening:
    """The token that counts now, whose it is, and what it was asked for."""

    def __init__(self, socket: Socket, token: str | None) -> None:
        self.socket = socket
        self.token = token
        self.owner: tuple[str, str] | None = None
        self.needs: list[tuple[Collection[str], Collection[Requirement]]] = []
        self.leave: Callable[[], None] | None = None

    def find(self) -> str:
        """The token. Raises MissingToken, InvalidToken."""
        return websocket_token(self.socket.offered) if self.token is None else self.token
