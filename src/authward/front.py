"""The half of a process that stands before its services: settings become the shield's decisions."""

from __future__ import annotations

import logging
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from urllib.parse import urlsplit

from starlette.types import Scope

from authward.core.bodies import BodyCaps
from authward.core.clients import client_of
from authward.core.cors import EXPOSED_HEADERS, CorsPolicy
from authward.core.headers import SecurityPolicy
from authward.core.hosts import IN_PROCESS, host_name
from authward.core.limits import Decision, SlidingWindows
from authward.errors import ConfigurationError, Refusal, Unavailable
from authward.middleware.protections import Homed, Protections
from authward.middleware.reports import Reports
from authward.middleware.request_id import CURRENT, request_id
from authward.ports import Clock
from authward.running import Running
from authward.settings import Settings

log = logging.getLogger("authward")


class Origins:
    """The origins whose pages may use the cookie routes: our own, and those that CORS lets in with
    cookies.
    """

    def __init__(self, own: frozenset[str], cors: CorsPolicy) -> None:
        self._own = own
        self._cors = cors

    def __contains__(self, origin: object) -> bool:
        return isinstance(origin, str) and (origin in self._own or self._cors.trusts(origin))


class Front:
    """What an Authward shows to the outside; `Behind` of its shields. Raises ConfigurationError."""

    def __init__(
        self,
        settings: Settings,
        running: Running,
        clock: Clock,
        *,
        headers: SecurityPolicy,
        cors: CorsPolicy | None,
    ) -> None:
        _check_class("headers", headers, SecurityPolicy)
        if cors is not None:
            _check_class("cors", cors, CorsPolicy)
        if cors is not None and settings.origins:
            raise ConfigurationError(
                "cors: would replace origins, which are set too. Name them in the policy, "
                "or leave cors out"
            )
        if cors is not None and settings.production and not settings.dangerously_plain_http:
            cors = cors.https_only()
        self._settings = settings
        self._running = self.running = running
        self._clock = clock
        self._own = frozenset({settings.public_url} if settings.public_url else ())
        self.reports = Reports()
        limit, windows = settings.rate_limit, None
        if limit is not None and settings.redis_url is None:
            windows = SlidingWindows(limit, most_keys=settings.rate_limit_clients)
        self.protections = Protections(
            cors=cors or CorsPolicy(settings.origins, exposed_headers=_exposed(settings)),
            headers=headers,
            https=settings.production and not settings.dangerously_plain_http,
            hosts=_hosts(settings),
            clients=settings.clients,
            body=BodyCaps(most=settings.body_limit),
            windows=windows,
            shared=self._take_shared if limit is not None and windows is None else None,
            style=settings.rate_limit_headers,
            report_only=frozenset(settings.report_only),
            reports=self.reports,
        )

    async def before(self) -> None:
        # What is started now goes on when this request is over, and must not log as part of it.
        current = CURRENT.set("")
        try:
            await self._running.start()
        except ConfigurationError as error:
            # As without a database: nobody is let in, and it may be mended while we are asked.
            log.error("not started: %s", error)
            raise Unavailable(f"not started: {error}", retry_after=1) from error
        finally:
            CURRENT.reset(current)

    def own_origins(self, scope: Scope) -> frozenset[str]:
        server = scope.get("server")
        if self._settings.production or not server or server[1] is None:
            return self._own
        # From the socket, never from Host; and in development only loopback Hosts get this far.
        names = ("localhost", "127.0.0.1", "[::1]")
        suffix = "" if server[1] == 80 else f":{server[1]}"
        return self._own | {f"http://{name}{suffix}" for name in names}

    def trusted_origins(self, scope: Scope) -> Origins:
        """The origins whose pages may use the cookie routes."""
        return Origins(self.own_origins(scope), self.protections.cors)

    def refused(self, scope: Scope, refusal: Refusal) -> None:
        # Before start-up there is nobody to tell.
        with suppress(Unavailable):
            client = client_of(scope.get("client"), scope["headers"], request_id(scope))
            self._running.services.access.denied(refusal, client)

    async def _take_shared(self, client: str) -> Decision | None:
        return await self._running.services.throttling.take_general(client)


@dataclass(frozen=True, slots=True)
class _Nowhere:
    home: None = None


_NOWHERE = _Nowhere()


class Checked:
    """A front whose first start is preceded by `check`, which may refuse it."""

    def __init__(self, front: Front, check: Callable[[], None]) -> None:
        self._front = front
        self._check = check
        self._checked = False
        self.running: Homed = _NOWHERE
        self.own_origins = front.own_origins
        self.refused = front.refused

    async def before(self) -> None:
        if not self._checked:
            self._check()
            self._checked = True
            self.running = self._front.running
        await self._front.before()


class Watched(Checked):
    """A checked front that asks with every request whether all is still `intact`; if not, it checks
    again, and serves nothing that `check` refuses.
    """

    def __init__(self, front: Front, check: Callable[[], None], intact: Callable[[], bool]) -> None:
        super().__init__(front, check)
        self._intact = intact

    @property
    def running(self) -> Homed:
        return self._front.running if self._checked and self._intact() else _NOWHERE

    @running.setter
    def running(self, value: Homed) -> None:
        """What it is, `intact` alone says."""

    async def before(self) -> None:
        self._checked = self._checked and self._intact()
        await super().before()


def _check_class(option: str, given: object, kind: type) -> None:
    if not isinstance(given, kind):
        raise ConfigurationError(
            f"{option}: {given!r} is no {kind.__name__}. Make one, or leave it out"
        )


def _exposed(settings: Settings) -> tuple[str, ...]:
    style = settings.rate_limit_headers
    return (
        ("RateLimit", "RateLimit-Policy", "Retry-After") if style != "draft-6" else EXPOSED_HEADERS
    )


def _hosts(settings: Settings) -> frozenset[str] | None:
    named = {host_name(host) or host for host in settings.hosts}
    if settings.public_url:
        named.add(host_name(urlsplit(settings.public_url).netloc) or "")
    if settings.production and not named:
        log.warning("any Host is served: set AUTHWARD_PUBLIC_URL or AUTHWARD_HOSTS")
        return None
    return frozenset(named if settings.production else named | IN_PROCESS)
