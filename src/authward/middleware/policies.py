"""What is limited: which requests, whose, and at what cost."""

from __future__ import annotations

import logging
import math
import re
from collections.abc import Callable, Collection, Sequence
from dataclasses import KW_ONLY, dataclass
from hashlib import blake2b
from typing import Literal, Protocol, runtime_checkable
from uuid import UUID

from starlette.types import Scope

from authward.core.clients import Networks
from authward.core.flags import flag
from authward.core.functions import plain_function
from authward.core.limits import Decision, Limit, SlidingWindows
from authward.core.methods import check_method
from authward.core.paths import Paths, below_mount, several
from authward.core.principal import Principal
from authward.errors import ConfigurationError

PRINCIPAL = "authward.principal"
"""The key of the scope under which the caller is found, once something has authenticated it."""
ADMISSION = "authward"
"""The key of the scope under which an app behind Authward finds what can tell who calls."""

_LONGEST_KEY = 64
# Fit for a structured field's string without an escape (RFC 9651 section 3.3.3).
_NAME = re.compile(r"[A-Za-z0-9._/-]{1,64}", re.ASCII)

log = logging.getLogger("authward")


@runtime_checkable
class Admits(Protocol):
    """What knows who calls before anything has asked."""

    def peek(self, scope: Scope) -> Principal | None:
        """The caller with a good token; None for any other. Refuses nobody."""
        ...


@dataclass(frozen=True, slots=True)
class Policy:
    """One limit, and which requests it counts.

    | option | what |
    | --- | --- |
    | `limit` | a `Limit`, or text like `100/15m` |
    | `name` | told in headers; no two policies have the same |
    | `paths`, `methods` | those alone; a `*` ends a prefix. GET counts HEAD and handshakes too |
    | `by` | whose: the client's, the principal's, or whatever a function makes of the scope; the |
    | | client's where there is no principal, or the function says None or an empty text |
    | `cost` | how many places a request takes; one of 0 is not counted, one of more than there |
    | | are is refused |
    | `skip` | requests that are not counted: those it says True of, and nothing that counts as it |
    | `allow`, `deny` | addresses that are not counted, and that get 403 `forbidden` |
    | `skip_successful` | an answer below 400, or an accepted handshake, gives its places back |
    | `report_only` | nothing is refused, only told |
    """

    limit: Limit | str
    _: KW_ONLY
    name: str = "default"
    paths: Sequence[str] = ()
    methods: Collection[str] = ()
    by: Literal["client", "principal"] | Callable[[Scope], str | None] = "client"
    cost: int | Callable[[Scope], int] = 1
    skip: Callable[[Scope], bool] | None = None
    allow: Sequence[str] = ()
    deny: Sequence[str] = ()
    skip_successful: bool = False
    report_only: bool = False


class Rule:
    """A policy made ready, with the requests counted under it in this process. Raises
    ConfigurationError.
    """

    def __init__(self, policy: Policy, most_keys: int, report_only: bool) -> None:
        name: object = policy.name
        if not isinstance(name, str) or _NAME.fullmatch(name) is None:
            raise ConfigurationError(
                f"name: '{name}' is not 1 to 64 letters, digits and ._/-. Take 'sign-in'"
            )
        self.limit = _limit(policy.limit)
        _check_functions(policy, self.limit)
        self.name = name
        self.written = name.encode()
        self.reports = flag("report_only", policy.report_only) or report_only
        self.returns = flag("skip_successful", policy.skip_successful)
        allow = several("allow", policy.allow)
        self.allow = Networks("allow", allow)
        if self.allow.everyone:
            raise ConfigurationError(
                f"allow: {[*allow]} has every address of its kind, and nothing would be "
                "limited. List your own networks, or leave the policy out"
            )
        self.deny = Networks("deny", several("deny", policy.deny))
        windows = SlidingWindows(self.limit, most_keys=most_keys)
        self.take, self.give_back = windows.take, windows.give_back
        self._by = policy.by
        self._cost = policy.cost
        self._skip = policy.skip
        self._strange: set[str] = set()
        paths = several("paths", policy.paths)
        self._paths = Paths(dict.fromkeys(paths, True), "paths") if paths else None
        self._methods = frozenset(
            check_method(one.upper()) for one in several("methods", policy.methods)
        )
        if "GET" in self._methods:
            self._methods |= {"HEAD"}

    def covers(self, scope: Scope) -> bool:
        """Whether the policy is about this request."""
        if self._paths is not None:
            path = below_mount(scope["path"], scope.get("root_path", ""))
            if self._paths.get(path) is None:
                return False
        # A handshake is a GET (RFC 6455 section 4.1).
        if self._methods and scope.get("method", "GET") not in self._methods:
            return False
        if self._skip is None:
            return True
        said: object = self._skip(scope)
        if said and said is not True:
            # A coroutine counts as true, and a lambda around an async function returns one.
            self._complain("skip", said, "The request is counted")
        return said is not True

    def cost(self, scope: Scope) -> int:
        """How many places the request takes; more than there are if it can never fit."""
        if isinstance(self._cost, int):
            return self._cost
        cost: object = self._cost(scope)
        if isinstance(cost, int | float) and cost >= 0:
            return math.ceil(min(cost, self.limit.most + 1))
        self._complain("cost", cost, "The request takes 1 place")
        return 1

    def never(self) -> Decision:
        """What is decided where a request takes more places than there are."""
        return Decision(False, self.limit, 0, self.limit.window)

    def key(self, scope: Scope) -> str | None:
        """Whose request it is, if not simply the client's."""
        if self._by == "client":
            return None
        by = self._by
        found: object = _principal(scope) if by == "principal" else by(scope)
        if isinstance(found, UUID) or type(found) is int:
            found = str(found)
        if not found:
            return None
        if not isinstance(found, str):
            # Of most objects the text is an address in memory: each request would be alone.
            self._complain("by", found, "The request is counted by its client")
            return None
        # Whatever a client may choose is bounded in length, and never an address.
        if len(found) > _LONGEST_KEY:
            found = blake2b(found.encode("utf-8", "surrogatepass"), digest_size=16).hexdigest()
        return f"id:{found}"

    def _complain(self, option: str, made: object, so: str) -> None:
        """Say once what a function made that is no use."""
        if option not in self._strange:
            self._strange.add(option)
            kind = type(made).__name__
            log.error("rate limits: %s of '%s' made a useless %s. %s", option, self.name, kind, so)


def _check_functions(policy: Policy, limit: Limit) -> None:
    by, cost, skip = policy.by, policy.cost, policy.skip
    if not callable(cost) and (type(cost) is not int or not 0 < cost <= limit.most):
        raise ConfigurationError(
            f"cost: {cost!r} is not in 1 to {limit.most}, the places there are"
        )
    if not callable(by) and by not in ("client", "principal"):
        raise ConfigurationError(f"by: {by!r} is unknown. Take 'client', 'principal' or a function")
    for option, function in (("by", by), ("cost", cost)):
        if callable(function):
            plain_function(option, function, "scope")
    plain_function("skip", skip, "scope")


def _principal(scope: Scope) -> object:
    """The id of who calls, as far as anything knows."""
    caller = scope.get(PRINCIPAL)
    if caller is None:
        admission = scope.get(ADMISSION)
        if isinstance(admission, Admits):
            caller = admission.peek(scope)
    return getattr(caller, "id", None)


def _limit(given: Limit | str) -> Limit:
    if isinstance(given, Limit):
        return given
    if not isinstance(given, str):
        raise ConfigurationError(f"limit: {given!r} is no limit. Write it like '100/15m'")
    try:
        limit = Limit.parse(given)
    except ValueError as error:
        raise ConfigurationError(f"limit: {error}") from None
    if limit is None:
        raise ConfigurationError("limit: 'off' is none. Leave the policy out")
    return limit
