"""Who a connection comes from."""

from __future__ import annotations

from collections.abc import Iterable

from authward.core.audit import Client


def client_of(
    peer: tuple[str, int] | None, headers: Iterable[tuple[bytes, bytes]], request_id: str = ""
) -> Client:
    """The client of a connection: the socket's address, and the user agent it claims."""
    agent = next((value for name, value in headers if name == b"user-agent"), b"")
    return Client.of(peer[0] if peer else "", agent.decode("latin-1"), request_id)
