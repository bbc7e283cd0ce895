"""What a route is, and how one request travels through it."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Container, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, TypeVar, cast, get_args

from pydantic import BaseModel
from starlette.types import Receive, Scope, Send

from authward.core.audit import Client
from authward.core.clients import client_of
from authward.core.cookies import CookieNames
from authward.core.envelope import JSON, Header, success
from authward.core.limits import retry_after
from authward.core.principal import Principal
from authward.errors import ConfigurationError, MethodNotAllowed, NotFound, RateLimited, Refusal
from authward.http.parse import read_json, read_query
from authward.middleware.answers import send_answer, send_refusal
from authward.middleware.exchange import EXCHANGE, Exchange
from authward.middleware.reports import Reports
from authward.middleware.request_id import request_id
from authward.services import Services

B = TypeVar("B", bound=BaseModel)
Who = Literal["anyone", "cookie", "user"]
_ID = re.compile(r"[A-Za-z0-9_-]{1,64}", re.ASCII)


@dataclass(frozen=True, slots=True)
class Site:
    """How this server is reached: its cookies, the origins that may use them, the CSRF mode, and
    the protections that only report.
    """

    cookies: CookieNames
    trusted_origins: Callable[[Scope], Container[str]]
    csrf_strict: bool
    detailed_health: bool
    report_only: frozenset[str]
    reports: Reports


@dataclass(frozen=True, slots=True)
class Answer:
    """What a handler says. Of another type than JSON, `data` is the body as it is: bytes, without
    an envelope. `kept` says who may keep it, and how long.
    """

    data: Any
    message: str
    status: int = 200
    headers: tuple[Header, ...] = ()
    content_type: bytes = JSON
    kept: bytes = b"no-store"


@dataclass(slots=True)
class Call:
    """One request as handlers see it."""

    scope: Scope
    client: Client
    services: Services
    site: Site
    _body: BaseModel | None = None
    _query: BaseModel | None = None
    _principal: Principal | None = None

    @property
    def principal(self) -> Principal:
        """The caller; there on every route that is not for anyone."""
        return cast(Principal, self._principal)

    def body(self, model: type[B]) -> B:
        return cast(B, self._body)

    def query(self, model: type[B]) -> B:
        return cast(B, self._query)

    def path(self, name: str) -> str:
        """The id in the path. Raises NotFound for what no id of ours looks like."""
        value = str(self.scope["path_params"][name])
        if not _ID.fullmatch(value):
            raise NotFound("not an id")
        return value


Handler = Callable[[Call], Awaitable[Answer]]


@dataclass(frozen=True, slots=True)
class Endpoint:
    """One row of the URL table.

    `who` says who may call, `permission` what they need beside a token. `errors` are the refusals
    of its own, beside those of every route of its kind. `sends` names headers of its success. A
    `credential` route takes something that can be guessed, and has the limit of such. A `stale` one
    lets in by an old view of revocations too. What is `counted` has its outcomes in the metrics.

    One with a `media` type answers `data` as it is, without an envelope; `kept` says who may keep
    it, and whoever has it by its tag gets 304.

    A POST whose fields may all be left out `may_be_bare`: no body says what `{}` says. Not so a
    change of something, which without a body is a mistake.
    """

    method: str
    path: str
    handler: Handler
    who: Who
    summary: str
    data: type[BaseModel] | None = None
    body: type[BaseModel] | None = None
    query: type[BaseModel] | None = None
    permission: str | None = None
    status: int = 200
    errors: tuple[type[Refusal], ...] = ()
    sends: tuple[str, ...] = ()
    credential: bool = False
    stale: bool = False
    counted: str | None = None
    media: str | None = None
    kept: str = "no-store"
    may_be_bare: bool = field(init=False)

    def __post_init__(self) -> None:
        fields = () if self.body is None else self.body.model_fields.values()
        bare = self.method == "POST" and not any(one.is_required() for one in fields)
        object.__setattr__(self, "may_be_bare", bare)
        if self.who not in get_args(Who):
            raise ConfigurationError(
                f"{self.method} {self.path}: who may call it? Say one of {', '.join(get_args(Who))}"
            )
        if self.permission is not None and self.who != "user":
            raise ConfigurationError(
                f"{self.method} {self.path}: nobody would be asked for {self.permission}. "
                "Say who='user'"
            )


@dataclass(frozen=True, slots=True)
class Resource:
    """The endpoints of one path, as an ASGI app. `services` are there once started."""

    endpoints: Mapping[str, Endpoint]
    services: Callable[[], Services]
    site: Site
    allow: bytes = field(init=False)

    def __post_init__(self) -> None:
        methods = [*self.endpoints, *(["HEAD"] if "GET" in self.endpoints else []), "OPTIONS"]
        object.__setattr__(self, "allow", ", ".join(methods).encode())

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        services = self.services()
        method = scope["method"]
        endpoint = self.endpoints.get("GET" if method == "HEAD" else method)
        if endpoint is None:
            return await self._other_method(scope, send, services)
        client = client_of(scope.get("client"), scope["headers"], request_id(scope))
        call = Call(scope, client, services, self.site)
        try:
            answer = await _run(endpoint, call, receive)
        except Refusal as refusal:
            if endpoint.counted is not None:
                services.counts.ended(endpoint.counted, refusal.code)
            services.access.denied(refusal, client, call._principal)
            return await send_refusal(scope, send, refusal, services.clock.now())
        if endpoint.counted is not None:
            services.counts.ended(endpoint.counted)
        body = (
            success(answer.status, answer.data, answer.message)
            if answer.content_type is JSON
            else cast(bytes, answer.data)
        )
        await send_answer(
            send,
            answer.status,
            [
                (b"content-type", answer.content_type),
                (b"cache-control", answer.kept),
                *answer.headers,
            ],
            body,
        )

    async def _other_method(self, scope: Scope, send: Send, services: Services) -> None:
        allow = [(b"allow", self.allow)]
        if scope["method"] == "OPTIONS":
            return await send_answer(send, 204, allow, b"")
        await send_refusal(scope, send, MethodNotAllowed(), services.clock.now(), allow)


async def _run(endpoint: Endpoint, call: Call, receive: Receive) -> Answer:
    scope = call.scope
    if endpoint.credential:
        await _limit(endpoint, call)
    _admit(endpoint, call)
    if endpoint.query is not None:
        call._query = read_query(scope, endpoint.query)
    if endpoint.body is not None:
        call._body = await read_json(
            scope, receive, endpoint.body, may_be_bare=endpoint.may_be_bare
        )
        # Whoever held the token may be signed out by the time a slow body is here (CWE-367).
        _admit(endpoint, call)
    return await endpoint.handler(call)


def _admit(endpoint: Endpoint, call: Call) -> None:
    if endpoint.who == "user":
        needed = () if endpoint.permission is None else (endpoint.permission,)
        call._principal = call.services.access.admit(
            call.scope["headers"], lambda: call.client, permissions=needed, stale=endpoint.stale
        )


async def _limit(endpoint: Endpoint, call: Call) -> None:
    """Count a request to a credential route. Raises RateLimited."""
    exchange: Exchange = call.scope[EXCHANGE]
    decision = await call.services.throttling.take(endpoint.path, exchange.client)
    if decision is None:
        return
    exchange.decision = decision
    if not decision.allowed:
        refusal = RateLimited(
            f"credential limit of {endpoint.path}", retry_after=retry_after(decision)
        )
        if "rate_limit" not in call.site.report_only:
            raise refusal
        call.site.reports.note("rate_limit", refusal, call.scope)
