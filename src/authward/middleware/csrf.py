"""CSRF for apps that authenticate by a cookie of their own: pages made on the server, or
single-page apps.
"""

from __future__ import annotations

import os
from collections.abc import Awaitable, Callable, Iterable, Sequence
from uuid import UUID

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from authward.clock import SystemClock
from authward.core.bodies import FORM, media_types
from authward.core.cookies import CookieNames, read_cookie
from authward.core.cors import SAFE_METHODS
from authward.core.csrf import (
    ANONYMOUS_BYTES,
    FormField,
    Provenance,
    anonymous_binding,
    anonymous_cookie,
    check_csrf,
    checked_secrets,
    is_anonymous_id,
    provenance,
    session_binding,
    session_of,
    trusted_origins,
)
from authward.core.csrf import csrf_token as token_of
from authward.core.flags import flag
from authward.core.functions import plain_function
from authward.core.resolved import OpenPaths
from authward.errors import ConfigurationError, MalformedRequest, OriginNotAllowed, Refusal
from authward.middleware.answers import refuse
from authward.middleware.beginning import Beginning
from authward.middleware.reports import Reports
from authward.ports import Chance, Clock

FORM_BYTES = 64 * 1024
"""How far into a form its token is looked for."""

_KEY = "authward.csrf"
_VARY = (b"vary", b"Cookie")
_SITE, _TOKEN = b"sec-fetch-site", b"x-csrf-token"

Binding = Callable[[Scope], str | int | UUID | None]


class Html(str):
    """HTML that a template takes as it is."""

    __slots__ = ()

    def __html__(self) -> str:
        return self


def csrf_token(scope: Scope) -> str:
    """The token for this browser, for `X-CSRF-Token`. Where there is no session its id comes in a
    cookie with this answer, so ask before the answer begins.

    Raises ConfigurationError: too late, or no `CSRF` around the app.
    """
    return _tokens(scope).token()


def csrf_field(scope: Scope) -> str:
    """The token as the hidden field of a form, escaped. Raises ConfigurationError as `csrf_token`
    does, and without `form_field`.
    """
    return Html(_tokens(scope).field())


def _tokens(scope: Scope) -> _Tokens:
    found = scope.get(_KEY)
    if not isinstance(found, _Tokens):
        raise ConfigurationError("csrf_token: there is no CSRF around this app. Wrap it: CSRF(app)")
    return found


class CSRF:
    """Refuses requests of other sites' pages, and WebSockets they open.

    `origins` are those your pages are served from, this app's own included. `binding` says which
    session a request belongs to, as text, a whole number or a UUID: what the token is bound to, so
    that a new session has a new one. Without a session it is bound to an anonymous id in a cookie
    of ours. `secrets` sign tokens: the first makes them, all of them verify. `form_field` names the
    hidden field a urlencoded form may carry the token in. `protects` and `exempt` say which routes
    do not go by the cookie; those of `exempt` are paths below the place where the app is mounted.
    `secure=False` is for development without https.

    Refusals: 403 `origin_not_allowed`, 403 `csrf_failed`, 400 `malformed_request` for a header or
    cookie that decides and was sent twice. With `report_only` they are counted in `reports` and
    logged, and the request goes on. Raises ConfigurationError.
    """

    def __init__(
        self,
        app: ASGIApp,
        *,
        secrets: Sequence[bytes],
        origins: Iterable[str],
        binding: Binding | None = None,
        form_field: str | None = None,
        protects: Callable[[Scope], bool] | None = None,
        exempt: Iterable[str] = (),
        strict: bool = False,
        secure: bool = True,
        report_only: bool = False,
        clock: Clock | None = None,
        chance: Chance = os.urandom,
    ) -> None:
        self._app = app
        self._secure = flag("secure", secure)
        self._strict = flag("strict", strict)
        self._report_only = flag("report_only", report_only)
        self._secrets = checked_secrets(secrets)
        self._trusted = trusted_origins(origins, secure=secure)
        self._binding = plain_function("binding", binding, "scope")
        self._field = None if form_field is None else FormField(form_field)
        self._protects = plain_function("protects", protects, "scope")
        self._exempt = OpenPaths(exempt, "exempt")
        self._cookie = CookieNames.of(production=secure).csrf
        self._clock = SystemClock() if clock is None else clock
        self._chance = chance
        self.reports = Reports()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        kind = scope["type"]
        checked = kind == "websocket"
        if kind == "http":
            tokens = scope[_KEY] = _Tokens(self, scope, send)
            send = tokens.send
            checked = scope["method"] not in SAFE_METHODS
        if not checked or not self._concerns(scope):
            return await self._app(scope, receive, send)
        refusal, receive = await self._judged(scope, receive)
        if refusal is not None:
            if not self._report_only:
                return await refuse(scope, receive, send, refusal, self._clock.now())
            self.reports.note("csrf", refusal, scope)
        await self._app(scope, receive, send)

    def session(self, scope: Scope) -> str | None:
        """The session of a request; None without one. Raises ConfigurationError if `binding` found
        anything else.
        """
        return None if self._binding is None else session_of(self._binding(scope))

    def browser(self, scope: Scope) -> str | None:
        """The anonymous id of a browser; None without one. Raises MalformedRequest if there are
        two: one of them was planted.
        """
        found = read_cookie(scope["headers"], self._cookie)
        return found if found is not None and is_anonymous_id(found) else None

    def new_browser(self) -> str:
        """An anonymous id that nobody has."""
        return self._chance(ANONYMOUS_BYTES).hex()

    def sign(self, binding: str) -> str:
        """The token of a binding."""
        return token_of(self._secrets[0], binding)

    def remember(self, anonymous_id: str) -> tuple[bytes, bytes]:
        """The header that gives a browser its anonymous id."""
        return b"set-cookie", anonymous_cookie(self._cookie, anonymous_id, secure=self._secure)

    @property
    def field(self) -> FormField:
        """The hidden field. Raises ConfigurationError if there is to be none."""
        if self._field is None:
            raise ConfigurationError(
                "form_field: None, so no form is read. Use CSRF(app, form_field='_csrf')"
            )
        return self._field

    def _concerns(self, scope: Scope) -> bool:
        if self._exempt.hold(scope["path"], scope.get("root_path", "")):
            return False
        # What forgets to return, and says None, lets nothing alone.
        return self._protects is None or self._protects(scope) is not False

    async def _judged(self, scope: Scope, receive: Receive) -> tuple[Refusal | None, Receive]:
        """What a request is refused with, if it is, and what the app is to receive from."""
        try:
            origin, site, token = _told(scope)
            where = provenance(origin, site, self._trusted)
            if where is Provenance.REFUSED:
                raise OriginNotAllowed("a page of another site")
        except Refusal as refusal:
            return refusal, receive
        if scope["type"] == "websocket":
            return None, receive
        if token is None and self._field is not None and FORM in media_types(scope["headers"]):
            beginning = Beginning(receive)
            # What the body itself is refused with is somebody else's to answer.
            body, whole = await beginning.read(FORM_BYTES)
            token = self._field.read(body, whole=whole)
            receive = beginning.receive
        try:
            binding = self._bound(scope)
            secrets = () if binding is None else self._secrets
            check_csrf(where, token, binding or "", secrets, strict=self._strict)
        except Refusal as refusal:
            return refusal, receive
        return None, receive

    def _bound(self, scope: Scope) -> str | None:
        session = self.session(scope)
        if session is not None:
            return session_binding(session)
        browser = self.browser(scope)
        return None if browser is None else anonymous_binding(browser)


class _Tokens:
    """The tokens of one request, and its `send`, which brings the cookie along."""

    __slots__ = ("_asked", "_browser", "_csrf", "_scope", "_send", "_started")

    def __init__(self, csrf: CSRF, scope: Scope, send: Send) -> None:
        self._csrf = csrf
        self._scope = scope
        self._send = send
        self._browser: str | None = None
        self._asked = False
        self._started = False

    def token(self) -> str:
        session = self._csrf.session(self._scope)
        bound = anonymous_binding(self._known()) if session is None else session_binding(session)
        self._asked = True
        return self._csrf.sign(bound)

    def field(self) -> str:
        return self._csrf.field.html(self.token())

    def send(self, message: Message) -> Awaitable[None]:
        # Not `async` itself, which would cost a frame a message.
        if message["type"] == "http.response.start":
            self._started = True
            if self._asked:
                added = [_VARY]
                if self._browser is not None:
                    added.append(self._csrf.remember(self._browser))
                message = {**message, "headers": [*message.get("headers", ()), *added]}
        return self._send(message)

    def _known(self) -> str:
        if self._browser is None:
            try:
                found = self._csrf.browser(self._scope)
            except MalformedRequest:
                # The page is shown all the same; what it sends will be refused.
                found = None
            if found is None:
                if self._started:
                    raise ConfigurationError(
                        "csrf_token: the answer has begun, so its cookie comes too late. "
                        "Ask for the token before"
                    )
                found = self._csrf.new_browser()
            self._browser = found
        return self._browser


def _told(scope: Scope) -> tuple[str | None, str | None, str | None]:
    """`Origin`, `Sec-Fetch-Site` and `X-CSRF-Token`. Raises MalformedRequest."""
    origin: bytes | None = None
    single: dict[bytes, bytes] = {}
    for name, value in scope["headers"]:
        if name == b"origin":
            # Two Origins are no origin at all.
            origin = value if origin is None else b"null"
        elif name in (_SITE, _TOKEN):
            if name in single:
                raise MalformedRequest(
                    "duplicate header", text=f"The header {name.decode()} was sent more than once"
                )
            single[name] = value
    return _text(origin), _text(single.get(_SITE)), _text(single.get(_TOKEN))


def _text(value: bytes | None) -> str | None:
    return None if value is None else value.decode("latin-1")
