"""Limits on requests, by policies that hold side by side."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Sequence
from typing import NamedTuple, get_args

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from authward.clock import SystemClock
from authward.core.clients import ClientRule
from authward.core.envelope import Header
from authward.core.flags import flag
from authward.core.limits import MOST, Decision, HeaderStyle, limit_headers, retry_after
from authward.errors import ConfigurationError, Forbidden, RateLimited, Refusal, Unavailable
from authward.middleware.answers import refuse
from authward.middleware.policies import Policy, Rule
from authward.middleware.reports import Reports
from authward.ports import Clock, RateLimiter

_STYLES = get_args(HeaderStyle)
_BEGINNINGS = frozenset(
    {"http.response.start", "websocket.accept", "websocket.http.response.start"}
)

log = logging.getLogger("authward")


class RateLimit:
    """Refuses what is over a limit: 429 `rate_limited` with `Retry-After`, or the handshake.

    Without policies: 100 requests in 15 minutes for each client. With several, each must have room:
    any of them refuses, and then the request has a place under none. `headers` tell a client where
    it stands under the policy with the fewest places left, unless the app says so itself.

    Counts in memory, in this process, at most `most_keys` under each policy; or in `limiter`, over
    all processes: policies of one name and limit are counted together there. That one gives no
    place back: what a policy refuses keeps its places under those before it. While it is
    Unavailable this process counts by itself, and says so in the log.

    With `report_only` refusals are counted in `reports` and logged, and the request goes on.
    Policies that only report send no headers. Raises ConfigurationError.
    """

    def __init__(
        self,
        app: ASGIApp,
        *policies: Policy | str,
        clients: ClientRule | None = None,
        headers: HeaderStyle | None = "draft-6",
        limiter: RateLimiter | None = None,
        most_keys: int = 100_000,
        report_only: bool = False,
        clock: Clock | None = None,
    ) -> None:
        if headers is not None and headers not in _STYLES:
            raise ConfigurationError(f"headers: '{headers}' is unknown. Take one of {_STYLES}")
        if type(most_keys) is not int or most_keys < 2:
            raise ConfigurationError(f"most_keys: {most_keys} is too few. Take 2 or more")
        if clients is not None and not isinstance(clients, ClientRule):
            raise ConfigurationError(
                f"clients: {clients!r} is no ClientRule. Write ClientRule(trusted_proxies=[…])"
            )
        flag("report_only", report_only)
        self._rules = [
            Rule(_policy(one), most_keys, report_only) for one in policies or ("100/15m",)
        ]
        names = sorted(rule.name for rule in self._rules)
        if len(set(names)) < len(names):
            raise ConfigurationError(f"name: {names} are not all different. Name each policy")
        if limiter is not None:
            _check_limiter(limiter, self._rules)
        self._app = app
        self._clients = ClientRule() if clients is None else clients
        self._style = headers
        self._limiter = limiter
        self._clock = SystemClock() if clock is None else clock
        self._alone = False
        self.reports = Reports()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] not in ("http", "websocket"):
            return await self._app(scope, receive, send)
        extra: tuple[Header, ...] = ()
        now = self._clock.monotonic()
        try:
            asked = self._asked(scope)
            if self._limiter is None:
                taken = [one.take_here(now) for one in asked]
            else:
                taken = await self._take_everywhere(asked, self._limiter, now)
            shown = _shown(taken)
            if shown is not None and self._style is not None:
                extra = limit_headers(shown.decision, self._style, shown.rule.written)
            self._judge(taken, shown, scope)
        except Refusal as refusal:
            return await refuse(scope, receive, send, refusal, self._clock.now(), extra)
        lent = [one for one in taken if one.rule.returns]
        if extra or lent:
            send = _Answer(send, extra, lent)
        await self._app(scope, receive, send)

    def _asked(self, scope: Scope) -> list[_Asked]:
        """What counts this request. Raises Forbidden for a denied address."""
        peer = scope.get("client")
        host, headers = peer[0] if peer else None, scope["headers"]
        asked = []
        for rule in self._rules:
            if not rule.covers(scope):
                continue
            if rule.allow or rule.deny:
                address = self._clients.address(host, headers)
                if address in rule.deny:
                    self._refuse(Forbidden(f"{address} is denied"), rule, scope)
                if address in rule.allow:
                    continue
            cost = rule.cost(scope)
            if cost:
                key = rule.key(scope) or self._clients.key_of(host, headers)
                asked.append(_Asked(rule, key, cost))
        return asked

    async def _take_everywhere(
        self, asked: list[_Asked], limiter: RateLimiter, now: float
    ) -> list[_Taken]:
        taken = []
        for one in asked:
            try:
                decision = await one.take_from(limiter)
            except Unavailable as error:
                found = one.take_here(now)
                if not self._alone:
                    log.warning("rate limits: this process counts by itself: %s", error)
                self._alone = True
            else:
                found = _Taken(one.rule, one.key, one.cost, decision, None)
                self._alone = False
            taken.append(found)
            if not found.decision.allowed and not one.rule.reports:
                break
        return taken

    def _judge(self, taken: list[_Taken], shown: _Taken | None, scope: Scope) -> None:
        """Raise RateLimited if a policy refuses, when what others took is given back."""
        if shown is not None and not shown.decision.allowed:
            for one in taken:
                one.give_back()
            raise shown.refusal()
        for one in taken:
            if not one.decision.allowed:
                self._refuse(one.refusal(), one.rule, scope)

    def _refuse(self, refusal: Refusal, rule: Rule, scope: Scope) -> None:
        """Raise, unless the policy only reports."""
        if not rule.reports:
            raise refusal
        self.reports.note("rate_limit", refusal, scope)


class _Asked(NamedTuple):
    rule: Rule
    key: str
    cost: int

    def take_here(self, now: float) -> _Taken:
        rule, key, cost = self
        fits = cost <= rule.limit.most
        return _Taken(rule, key, cost, rule.take(key, now, cost) if fits else rule.never(), now)

    async def take_from(self, limiter: RateLimiter) -> Decision:
        """Raises Unavailable."""
        rule, key, cost = self
        if cost > rule.limit.most:
            return rule.never()
        # The server's own keys begin otherwise, whatever a policy is called.
        return await limiter.take(f"policy {rule.name} {key}", rule.limit, cost)


class _Taken(NamedTuple):
    """`at` is when it was taken in this process; None if elsewhere."""

    rule: Rule
    key: str
    cost: int
    decision: Decision
    at: float | None

    def give_back(self) -> None:
        if self.at is not None and self.decision.allowed:
            self.rule.give_back(self.key, self.at, self.cost)

    def refusal(self) -> RateLimited:
        most = self.rule.limit.most
        never = f": a cost over {most} never fits" if self.cost > most else ""
        wait = retry_after(self.decision)
        return RateLimited(f"limit {self.rule.name}{never}", retry_after=wait)


def _policy(given: Policy | str) -> Policy:
    if isinstance(given, str):
        return Policy(given)
    if not isinstance(given, Policy):
        raise ConfigurationError(
            f"policies: {given!r} is no policy. Write '100/15m' or Policy('100/15m', …)"
        )
    return given


def _check_limiter(limiter: RateLimiter, rules: Sequence[Rule]) -> None:
    if isinstance(limiter, type) or not callable(getattr(limiter, "take", None)):
        raise ConfigurationError(
            f"limiter: {limiter!r} has no method take. Write RedisLimiter('redis://…'), say"
        )
    most = getattr(limiter, "most", MOST)
    for rule in rules:
        if rule.returns:
            raise ConfigurationError(
                "skip_successful: a limiter over all processes gives no place back. "
                "Leave one of the two out"
            )
        if rule.limit.most > most:
            raise ConfigurationError(
                f"limit: '{rule.name}' has {rule.limit.most} requests, and this limiter takes up "
                f"to {most}. Take fewer, or a RedisLimiter"
            )


def _shown(taken: list[_Taken]) -> _Taken | None:
    """What an answer tells of: the longest refusal, else the one with the fewest places left."""
    binding = [one for one in taken if not one.rule.reports]
    if len(binding) == 1:
        return binding[0]
    refused = [one for one in binding if not one.decision.allowed]
    if refused:
        return max(refused, key=lambda one: one.decision.reset)
    return min(binding, key=lambda one: one.decision.remaining, default=None)


class _Answer:
    """The `send` of one request: adds `headers`, and gives back what was `lent` to a success."""

    __slots__ = ("_headers", "_lent", "_send")

    def __init__(self, send: Send, headers: Sequence[Header], lent: Sequence[_Taken]) -> None:
        self._send = send
        self._headers = headers
        self._lent = lent

    def __call__(self, message: Message) -> Awaitable[None]:
        if message["type"] in _BEGINNINGS:
            if message.get("status", 200) < 400:
                for one in self._lent:
                    one.give_back()
            own = list(message.get("headers", ()))
            # Of two limits around an app, the inner one is nearer to what the client asked for.
            if b"ratelimit-policy" not in dict(own):
                message = {**message, "headers": [*own, *self._headers]}
        return self._send(message)
