"""What the shield is made of: the decisions of all protections, and the server it stands before."""

from __future__ import annotations

from asyncio import AbstractEventLoop
from collections.abc import Awaitable, Callable, Container
from dataclasses import dataclass, field
from typing import Protocol

from starlette.types import Scope

from authward.core.bodies import BodyCaps
from authward.core.clients import ClientRule
from authward.core.cors import CorsPolicy
from authward.core.headers import SecurityPolicy
from authward.core.limits import Decision, HeaderStyle, SlidingWindows
from authward.errors import Refusal
from authward.middleware.reports import Reports

Take = Callable[[str], Awaitable[Decision | None]]


class Homed(Protocol):
    """What runs in one event loop, its `home`; None while it does not run."""

    @property
    def home(self) -> AbstractEventLoop | None: ...


class Behind(Protocol):
    """What the shield asks of the server that it protects."""

    def own_origins(self, scope: Scope) -> Container[str]:
        """The origins at which this server itself is reached."""
        ...

    @property
    def running(self) -> Homed:
        """Where it runs. In any other event loop `before` is still to run: where no lifespan ran
        it, it runs ahead of the first request.
        """
        ...

    async def before(self) -> None: ...

    def refused(self, scope: Scope, refusal: Refusal) -> None:
        """Hear of a refusal that reached the shield."""
        ...


@dataclass(frozen=True, slots=True)
class Protections:
    """The decisions, made once. `hosts` None lets any well-formed Host in. `windows` count the
    requests of each client in this process; `shared` counts them for all processes together.
    """

    cors: CorsPolicy
    headers: SecurityPolicy
    https: bool
    hosts: Container[str] | None
    clients: ClientRule
    body: BodyCaps
    windows: SlidingWindows | None = None
    shared: Take | None = None
    style: HeaderStyle | None = "draft-6"
    report_only: frozenset[str] = frozenset()
    reports: Reports = field(default_factory=Reports)
