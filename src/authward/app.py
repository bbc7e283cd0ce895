"""The composition root: settings become a running Authward."""

from __future__ import annotations

import asyncio
import logging
import os
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from starlette.routing import Router
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from authward.core.cookies import CookieNames
from authward.core.cors import CorsPolicy
from authward.core.hosts import host_name
from authward.core.keys import MasterSecret
from authward.errors import ConfigurationError, NotFound, Unavailable
from authward.http.endpoint import Site
from authward.http.routes import routes
from authward.middleware.answers import send_refusal
from authward.middleware.shield import Shield
from authward.ports import Clock
from authward.process import Process
from authward.services import Services
from authward.services.keys import make_secret_file, read_secret_file
from authward.settings import Settings
from authward.stores.sql import SqlStore
from authward.ui.pages import api_routes, module_route

if TYPE_CHECKING:
    from starlette.routing import BaseRoute

log = logging.getLogger("authward")


class SystemClock:
    """Real time."""

    offset_ms = 0

    def now(self) -> float:
        return time.time()

    def monotonic(self) -> float:
        return time.monotonic()


class Authward:
    """Authentication and API security for an ASGI app.

    Settings come from `settings`, or from keyword arguments, `AUTHWARD_*` and `authward.toml`, in that order.
    Raises ConfigurationError, naming the setting and the cure.
    """

    def __init__(
        self, settings: Settings | None = None, *, clock: Clock | None = None, **values: Any
    ) -> None:
        self.settings = Settings(**values) if settings is None else settings
        self.clock: Clock = SystemClock() if clock is None else clock
        self._services: Services | None = None
        self._process: Process | None = None
        self._starting = asyncio.Lock()
        self._own = frozenset({self.settings.public_url} if self.settings.public_url else ())
        self._trusted = self._own | frozenset(self.settings.origins)

    @property
    def services(self) -> Services:
        """The running services. Raises Unavailable before start-up."""
        if self._services is None:
            raise Unavailable("not started", retry_after=1)
        return self._services

    async def startup(self) -> None:
        """Open the database, load the keys, follow the feed. Calling it again does nothing. Raises ConfigurationError."""
        async with self._starting:
            if self._services is not None:
                return
            store = SqlStore(self.settings.database_url, self.clock)
            process = Process(
                self.settings, store, MasterSecret(self._secret()), self.clock, os.urandom
            )
            store.database.on_commit = process.committed
            try:
                self._services = await process.start()
            except BaseException:
                await process.stop()
                raise
            self._process = process

    async def shutdown(self) -> None:
        """Write what is pending and let go of everything. Calling it again does nothing."""
        async with self._starting:
            process, self._process, self._services = self._process, None, None
            if process is not None:
                await process.stop()

    def asgi(self) -> ASGIApp:
        """The server's own app: every route of ours, nothing else."""
        nothing = _NoApp(self.clock)
        if not self.settings.serve_docs:
            return self.wrap(nothing)
        pages = api_routes(self.clock, production=self.settings.production)
        return self.wrap(Router(pages, default=nothing, redirect_slashes=False))

    def wrap(self, app: ASGIApp) -> ASGIApp:
        """`app` behind the protections, with our routes beside its own. Works on any ASGI app."""
        inner = Router(self._routes(), default=app, redirect_slashes=False)
        return _Lifespan(self._shielded(inner), app, self)

    def _routes(self) -> list[BaseRoute]:
        return [*routes(lambda: self.services, self.site), module_route(self.clock)]

    def _shielded(self, app: ASGIApp) -> Shield:
        return Shield(
            app,
            cors=CorsPolicy(self.settings.origins),
            hosts=self._hosts(),
            own_origins=self._own_origins,
            clock=self.clock,
            before=self._ensure_started,
        )

    @property
    def site(self) -> Site:
        """How this server is reached."""
        return Site(
            cookies=CookieNames.of(production=self.settings.production),
            trusted_origins=lambda scope: self._trusted | self._own_origins(scope),
            csrf_strict=self.settings.csrf == "strict",
            detailed_health=not self.settings.production,
        )

    async def _ensure_started(self) -> None:
        # Where no lifespan runs (mounted apps, test transports) the first request starts us.
        if self._services is None:
            await self.startup()

    def _own_origins(self, scope: Scope) -> frozenset[str]:
        server = scope.get("server")
        if self.settings.production or not server or server[1] is None:
            return self._own
        # From the socket, never from Host; and in development only loopback Hosts get this far.
        names = ("localhost", "127.0.0.1", "[::1]")
        suffix = "" if server[1] == 80 else f":{server[1]}"
        return self._own | {f"http://{name}{suffix}" for name in names}

    def _hosts(self) -> frozenset[str] | None:
        named = {host_name(host) or host for host in self.settings.hosts}
        if self.settings.public_url:
            named.add(host_name(urlsplit(self.settings.public_url).netloc) or "")
        if self.settings.production and not named:
            log.warning("any Host is served: set AUTHWARD_PUBLIC_URL or AUTHWARD_HOSTS")
            return None
        return frozenset(named)

    def _secret(self) -> str:
        if self.settings.secret is not None:
            return self.settings.secret.get_secret_value()
        if self.settings.secret_file is not None:
            return read_secret_file(self.settings.secret_file)
        if self.settings.production:
            raise ConfigurationError("secret: missing")
        database = self.settings.sqlite_path or Path("authward").absolute()
        return make_secret_file(database.with_name(f"{database.name}.secret"))


class _NoApp:
    """What lies behind our routes when there is no app: 404."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            await send_refusal(scope, send, NotFound(), self._clock.now())
        elif scope["type"] == "websocket":
            await receive()
            await send({"type": "websocket.close", "code": 1008})
        else:
            while (await receive())["type"] != "lifespan.shutdown":
                await send({"type": "lifespan.startup.complete"})
            await send({"type": "lifespan.shutdown.complete"})


class _Lifespan:
    """Starts us before the app's own start-up, stops us after its shutdown."""

    def __init__(self, protected: ASGIApp, app: ASGIApp, auth: Authward) -> None:
        self._protected = protected
        self._app = app
        self._auth = auth

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "lifespan":
            return await self._protected(scope, receive, send)

        async def receiving() -> Message:
            message = await receive()
            if message["type"] == "lifespan.startup":
                await self._auth.startup()
            return message

        async def sending(message: Message) -> None:
            if message["type"].startswith("lifespan.shutdown."):
                await self._auth.shutdown()
            await send(message)

        try:
            await self._app(scope, receiving, sending)
        except ConfigurationError as error:
            await send({"type": "lifespan.startup.failed", "message": str(error)})
