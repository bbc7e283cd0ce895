"""What is limited: which requests, whose, and at what cost."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Sequence
from dataclasses import KW_ONLY, dataclass
from hashlib import blake2b
from typing import Literal

from starlette.types import Scope

from authward.core.clients import Networks
from authward.core.limits import Limit, SlidingWindows
from authward.core.paths import Paths, several
from authward.errors import ConfigurationError

PRINCIPAL = "authward.principal"
"""The key of the scope under which the caller is found, once something has authenticated it."""

_LONGEST_KEY = 64
# Fit for a structured field's string without an escape (RFC 9651 section 3.3.3).
_NAME = re.compile(r"[A-Za-z0-9._/-]{1,64}", re.ASCII)


@dataclass(frozen=True, slots=True)
class Policy:
    """One limit, and which requests it counts.

    | option | what |
    | --- | --- |
    | `limit` | a `Limit`, or text like `100/15m` |
    | `name` | told in headers; no two policies have the same |
    | `paths`, `methods` | those alone; a `*` ends a prefix. GET counts HEAD and handshakes too |
    | `by` | whose: the client's, the principal's, or whatever a function makes of the scope; the |
    | | client's where there is no principal, or the function says None |
    | `cost` | how many places a request takes; one of 0 is not counted |
    | `skip` | requests that are not counted |
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
        if _NAME.fullmatch(policy.name) is None:
            raise ConfigurationError(
                f"name: '{policy.name}' is not 1 to 64 letters, digits and ._/-. Take 'sign-in'"
            )
        self.limit = _limit(policy.limit)
        if isinstance(policy.cost, int) and not 0 < policy.cost <= self.limit.most:
            raise ConfigurationError(
                f"cost: {policy.cost} is not in 1 to {self.limit.most}, the places there are"
            )
        if isinstance(policy.by, str) and policy.by not in ("client", "principal"):
            raise ConfigurationError(
                f"by: '{policy.by}' is unknown. Take 'client', 'principal' or a function"
            )
        self.name = policy.name
        self.written = policy.name.encode()
        self.reports = policy.report_only or report_only
        self.returns = policy.skip_successful
        self.allow = Networks("allow", policy.allow)
        self.deny = Networks("deny", policy.deny)
        windows = SlidingWindows(self.limit, most_keys=most_keys)
        self.take, self.give_back = windows.take, windows.give_back
        self._by = policy.by
        self._cost = policy.cost
        self._skip = policy.skip
        paths = several("paths", policy.paths)
        self._paths = Paths(dict.fromkeys(paths, True), "paths") if policy.paths else None
        self._methods = frozenset(map(str.upper, several("methods", policy.methods)))
        if "GET" in self._methods:
            self._methods |= {"HEAD"}

    def covers(self, scope: Scope) -> bool:
        """Whether the policy is about this request."""
        if self._paths is not None and self._paths.get(scope["path"]) is None:
            return False
        # A handshake is a GET (RFC 6455 section 4.1).
        if self._methods and scope.get("method", "GET") not in self._methods:
            return False
        return self._skip is None or not self._skip(scope)

    def cost(self, scope: Scope) -> int:
        """How many places the request takes."""
        return self._cost if isinstance(self._cost, int) else self._cost(scope)

    def key(self, scope: Scope) -> str | None:
        """Whose request it is, if not simply the client's."""
        if self._by == "client":
            return None
        if self._by == "principal":
            found = getattr(scope.get(PRINCIPAL), "id", None)
        else:
            found = self._by(scope)
        if found is None:
            return None
        # Whatever a client may choose is bounded in length, and never an address.
        if len(found) > _LONGEST_KEY:
            found = blake2b(found.encode("utf-8", "surrogatepass"), digest_size=16).hexdigest()
        return f"id:{found}"


def _limit(given: Limit | str) -> Limit:
    if isinstance(given, Limit):
        return given
    try:
        limit = Limit.parse(given)
    except ValueError as error:
        raise ConfigurationError(f"limit: {error}") from None
    if limit is None:
        raise ConfigurationError("limit: 'off' is none. Leave the policy out")
    return limit
