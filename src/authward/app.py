"""The composition root: settings become a running Authward."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Collection, Mapping
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from starlette.routing import Router
from starlette.types import ASGIApp

from authward.clock import SystemClock
from authward.core.cookies import CookieNames
from authward.core.cors import CorsPolicy
from authward.core.events import known_kind
from authward.core.flags import flag
from authward.core.headers import DEFAULT_POLICY, SecurityPolicy
from authward.core.keys import MasterSecret
from authward.core.policies import Policies
from authward.core.principal import Principal
from authward.core.requirements import Requirement, requirements
from authward.deny import Known, keep_overrides, know, require_declared, walk
from authward.errors import ConfigurationError
from authward.front import Checked, Front, Watched
from authward.http.admission import Admission, named
from authward.http.endpoint import Site
from authward.http.entrance import Entrance
from authward.http.routes import routes
from authward.middleware.answers import NoApp
from authward.middleware.lifespan import Lifespan
from authward.middleware.shield import Shield
from authward.ports import Clock
from authward.process import Process
from authward.running import Running
from authward.services import Services
from authward.services.handlers import Handler, Wanted
from authward.services.secrets import make_secret_file, read_secret_file
from authward.settings import Settings
from authward.setups import check_setups
from authward.stores.sql import SqlStore
from authward.ui.pages import api_routes, module_route

if TYPE_CHECKING:
    from fastapi.params import Security
    from fastapi.routing import APIRoute
    from starlette.applications import Starlette
    from starlette.routing import Route as OwnRoute

H = TypeVar("H", bound=Handler)

log = logging.getLogger("authward")


class Authward:
    """Authentication and API security for an ASGI app.

    Settings come from `settings`, or from keyword arguments, `AUTHWARD_*` and `authward.toml`, in
    that order. `headers` are the security headers of every answer. `cors` replaces the list of
    `origins` with a policy of your own. Raises ConfigurationError, naming the setting and the cure.
    """

    def __init__(
        self,
        settings: Settings | None = None,
        *,
        headers: SecurityPolicy = DEFAULT_POLICY,
        cors: CorsPolicy | None = None,
        clock: Clock | None = None,
        **values: Any,
    ) -> None:
        self.settings = Settings(**values) if settings is None else settings
        self.clock: Clock = SystemClock() if clock is None else clock
        self.policies = Policies(log.warning)
        self._wanted: list[Wanted] = []
        self._serves = True  # a command of ours does not
        self._running = Running(self._process)
        self._admission = Admission(
            self._running, self.clock, overridable=not self.settings.production
        )
        self._front = Front(self.settings, self._running, self.clock, headers=headers, cors=cors)

    @property
    def services(self) -> Services:
        """The running services. Raises Unavailable before start-up."""
        return self._running.services

    async def startup(self) -> None:
        """Open the database, load the keys, follow the feed. Calling it again does nothing. Raises
        ConfigurationError.

        It belongs to the event loop it is called in, and ends with it, should nobody call
        `shutdown`.
        """
        await self._running.start()

    async def shutdown(self) -> None:
        """Write what is pending and let go of everything. Calling it again does nothing."""
        await self._running.stop()

    def asgi(self) -> ASGIApp:
        """The server's own app: every route of ours, `/docs` and `/openapi.json` unless switched
        off, nothing else.
        """
        nothing = NoApp(self.clock)
        if not self.settings.serve_docs:
            return self.wrap(nothing)
        pages = api_routes(self.clock, production=self.settings.production)
        app = Router(pages, default=nothing, redirect_slashes=False)
        require_declared(walk(app).found)
        return self.wrap(app)

    def wrap(self, app: ASGIApp) -> ASGIApp:
        """`app` behind the protections, with our routes beside its own. Works on any ASGI app."""

        production = self.settings.production

        def check() -> None:
            seen = walk(app)
            check_setups(seen, production=production)
            if production:
                keep_overrides(seen)

        async def startup() -> None:
            check()
            await self.startup()

        shield = self.protect(app, check, lifespan=Lifespan(app, startup, self.shutdown))
        know(shield, Known(self, app=app))
        return shield

    def install(
        self, app: Starlette, *, deny_by_default: bool = False, public: Collection[str] = ()
    ) -> None:
        """Put a FastAPI or Starlette app behind the protections, with our routes, error envelopes,
        start-up and shutdown. Call it once, before the app serves. Raises ConfigurationError.

        With `deny_by_default` the app does not start on a route that does not say who may call it,
        and takes none later. `public` are the paths of routes, mounts and frontends for anyone,
        each perhaps behind a method or a kind: "GET /health", "mount /files".
        """
        from authward.starlette import install

        flag("deny_by_default", deny_by_default)
        install(app, self, deny_by_default=deny_by_default, public=public)

    def on(self, kind: str) -> Callable[[H], H]:
        """Call the decorated function, sync or async, with each `AuthEvent` of this kind that this
        process commits; `"*"` is every kind. It is called later, in the background: in order, one
        event at a time, a sync one in a thread of its own. What it raises is logged. Raises
        ConfigurationError for a kind that there is not.
        """
        known_kind(kind)

        def register(handler: H) -> H:
            if not callable(handler):
                raise ConfigurationError(f"on: {handler!r} cannot be called. Give it a function")
            self._wanted.append(Wanted(kind, handler))
            return handler

        return register

    def principal(
        self,
        connection: Mapping[str, Any],
        *,
        roles: Collection[str] = (),
        permissions: Collection[Requirement] = (),
    ) -> Principal:
        """The caller of a request or WebSocket (a scope, or Starlette's object around one), if it
        has one of `roles` (any, if none are named) and all of `permissions`. Raises a Refusal,
        which is answered for you.
        """
        return self._admission.principal(connection, roles=roles, permissions=permissions)

    def renew(self, connection: Mapping[str, Any], token: str) -> Principal:
        """Keep a WebSocket open with a newer access token of its session. Raises a Refusal; the
        socket then lives as long as the token before.
        """
        return self._admission.renew(connection, token)

    @cached_property
    def public(self) -> Security:
        """FastAPI: anyone may call, as in `dependencies=[auth.public]`. It says so, and switches no
        guard off.
        """
        from authward.guards import public

        return public()

    @cached_property
    def authenticate(self) -> Security:
        """FastAPI: any signed-in caller, as in `me: Annotated[Principal, auth.authenticate]`."""
        from authward.guards import guard

        return guard(self._admission)

    def authorize(self, *roles: str) -> Security:
        """FastAPI: a caller with one of these roles."""
        from authward.guards import guard

        return guard(self._admission, roles=named("authorize", roles))

    def require(self, *permissions: Requirement) -> Security:
        """FastAPI: a caller with all of these permissions, granted directly or through the role."""
        from authward.guards import guard

        return guard(self._admission, permissions=requirements("require", permissions))

    @property
    def Route(self) -> type[APIRoute]:
        """FastAPI: for `APIRouter(route_class=auth.Route)`; guards are then checked before the body
        is read.
        """
        from authward.fastapi import Route

        return Route

    def protect(
        self,
        app: ASGIApp,
        check: Callable[[], None],
        *,
        intact: Callable[[], bool] | None = None,
        lifespan: ASGIApp | None = None,
        raises: bool = False,
    ) -> Shield:
        """`app` behind the protections and beside our routes. `check` runs once, ahead of the first
        request, and again as soon as something is no longer `intact`. Start-up and shutdown are
        what `lifespan` makes of them; if None, the app's own. `raises`: see `Shield`.
        """
        behind = (
            Checked(self._front, check) if intact is None else Watched(self._front, check, intact)
        )
        ours = self.routes()
        require_declared(walk(Router(ours)).found)
        return Shield(
            Entrance(self._admission, ours, app),
            self._front.protections,
            behind,
            self.clock,
            os.urandom,
            lifespan=lifespan,
            raises=raises,
        )

    def routes(self) -> list[OwnRoute]:
        """Our own routes, as they stand beside an app's."""
        return [*routes(lambda: self.services, self.site), module_route(self.clock)]

    @property
    def site(self) -> Site:
        """How this server is reached."""
        return Site(
            cookies=CookieNames.of(production=self.settings.production),
            trusted_origins=self._front.trusted_origins,
            csrf_strict=self.settings.csrf == "strict",
            detailed_health=not self.settings.production,
            report_only=frozenset(self.settings.report_only),
            reports=self._front.reports,
        )

    def _process(self) -> Process:
        store = SqlStore(self.settings.database_url, self.clock)
        process = Process(
            self.settings,
            store,
            MasterSecret(self._secret()),
            self.clock,
            os.urandom,
            self._wanted,
            self._front.reports.counts,
            serves=self._serves,
        )
        store.database.on_commit = process.committed
        return process

    def _secret(self) -> str:
        if self.settings.secret is not None:
            return self.settings.secret.get_secret_value()
        if self.settings.secret_file is not None:
            return read_secret_file(self.settings.secret_file)
        if self.settings.production:
            raise ConfigurationError("secret: missing")
        database = self.settings.sqlite_path or Path("authward").absolute()
        return make_secret_file(database.with_name(f"{database.name}.secret"))
