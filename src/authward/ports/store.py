"""All of it, over one database."""

from __future__ import annotations

from typing import Protocol

from authward.ports.audit import AuditChains, AuditLog
from authward.ports.changes import ChangeFeed
from authward.ports.keys import KeyStore
from authward.ports.limits import RateLimiter
from authward.ports.sessions import SessionStore
from authward.ports.users import RoleStore, UserStore


class Store(Protocol):
    """All of it, over one database."""

    @property
    def users(self) -> UserStore: ...

    @property
    def roles(self) -> RoleStore: ...

    @property
    def sessions(self) -> SessionStore: ...

    @property
    def keys(self) -> KeyStore: ...

    @property
    def changes(self) -> ChangeFeed: ...

    @property
    def audit(self) -> AuditLog: ...

    @property
    def chains(self) -> AuditChains: ...

    @property
    def limits(self) -> RateLimiter: ...

    async def open(self) -> None:
        """Connect and bring the schema up to date. Raises ConfigurationError if the database is out
        of reach or newer.
        """
        ...

    async def ping(self) -> None:
        """One trivial statement. Raises Unavailable if the database is away."""
        ...

    async def sweep(self) -> None:
        """Delete what nothing can ask for again: sessions past their absolute end, changes no token
        remembers, places in windows that are over.
        """
        ...

    async def close(self) -> None: ...
