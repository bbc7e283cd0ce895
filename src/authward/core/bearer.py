"""The bearer token of a request (RFC 6750 section 2.1) or of a WebSocket handshake."""

from __future__ import annotations

from collections.abc import Iterable

from authward.errors import MalformedRequest, MissingToken

SUBPROTOCOL = "authward.bearer"


def bearer_token(headers: Iterable[tuple[bytes, bytes]]) -> str:
    """The token of the one `Authorization: Bearer` header. Raises MissingToken, MalformedRequest if
    there are two.
    """
    found: bytes | None = None
    for name, value in headers:
        if name == b"authorization":
            if found is not None:
                raise MalformedRequest(
                    "duplicate Authorization",
                    text="The Authorization header was sent more than once",
                )
            found = value
    if found is None:
        raise MissingToken("no Authorization header")
    scheme, _, token = found.partition(b" ")
    if scheme.lower() != b"bearer" or not token.strip():
        raise MissingToken("Authorization is not a bearer token")
    return token.strip().decode("latin-1")


def websocket_token(subprotocols: Iterable[str]) -> str:
    """The token of the subprotocols `authward.bearer, <token>`: never from a URL or a cookie.
    Raises MissingToken.
    """
    offered = list(subprotocols)
    if len(offered) != 2 or offered[0] != SUBPROTOCOL:
        raise MissingToken("no authward.bearer subprotocol")
    return offered[1]
