"""What the shield is made of: the decisions of all protections, and the server it stands before."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Container
from dataclasses import dataclass, field
from typing import Protocol

from starlette.types import Scope

from authward.core.bodies import BodyCaps
from authward.core.clients import ClientRule
from authward.core.cors import CorsPolicy
from authward.core.headers import SecurityPolicy
from authward.core.limits import Decision, HeaderStyle
from authward.errors import Refusal
from authward.middleware.reports import Reports

Take = Callable[[str], Decision | Awaitable[Decision | None]]


class Behind(Protocol):
    """What the shield asks of the server that it protects."""

    def own_origins(self, scope: Scope) -> Container[str]:
        """The origins at which this server itself is reached."""
        ...

    def idle(self) -> bool:
        """Whether `before` is still to run: where no lifespan ran it, it runs ahead of the first
        request.
        """
        ...

    async def before(self) -> None: ...

    def refused(self, scope: Scope, refusal: Refusal) -> None:
        """Hear of a refusal that reached the shield."""
        ...


@dataclass(frozen=True, slots=True)
class Protections:
    """The decisions, made once. `hosts` None lets any well-formed Host in. `take` counts one
    request of a client against the general limit; it may wait for a database that is not here.
    """

    cors: CorsPolicy
    headers: SecurityPolicy
    https: bool
    hosts: Container[str] | None
    clients: ClientRule
    body: BodyCaps
    take: Take | None = None
    style: HeaderStyle | None = "draft-6"
    report_only: frozenset[str] = frozenset()
    reports: Reports = field(default_factory=Reports)
