"""The map of an app's routes: who may call each, its CSRF protection and its limits."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from authward.core.cors import SAFE_METHODS
from authward.core.limits import Limit
from authward.core.paths import Paths
from authward.declared import Declared
from authward.deny import Known, known, walk
from authward.middleware import CSRF, RateLimit
from authward.middleware.policies import Policy
from authward.middleware.shield import UNLIMITED
from authward.opened import with_public

if TYPE_CHECKING:
    from starlette.middleware import Middleware
    from starlette.types import ASGIApp

    from authward.settings import Settings

UNDECLARED = "UNDECLARED"
_UNITS = ((86_400, "d"), (3600, "h"), (60, "m"), (1, "s"))
_COMMENT = "# Route | who may call it | CSRF | limits. Compared by `authward routes --snapshot`.\n"


class Row(NamedTuple):
    """One line of the map."""

    path: str
    method: str
    who: str
    csrf: str
    limits: str
    endpoint: str

    @property
    def key(self) -> str:
        return f"{self.method} {self.path}"

    @property
    def told(self) -> str:
        return f"{self.who} | {self.csrf} | {self.limits}"

    def data(self) -> dict[str, Any]:
        return {**self._asdict(), "who": None if self.who == UNDECLARED else self.who}


def rows_of(app: ASGIApp, behind: Known, *, strict: bool) -> list[Row]:
    """The map of `app`, sorted. Raises ConfigurationError for what `public` names in vain."""
    seen = walk(app)
    found = with_public(seen.found, behind.public, behind.pages, strict=strict)
    rows = [_row(one, behind.auth.settings) for one in found]
    for met, path in seen.apps:
        own = known(met)
        if own is not None:
            rows += _own(own, "" if path == "/" else path)
    return sorted(rows)


def _own(behind: Known, prefix: str) -> Iterator[Row]:
    from starlette.routing import Mount, Router

    ours = Router(behind.auth.routes())
    for one in walk(Router([Mount(prefix, ours)]) if prefix else ours).found:
        yield _row(one, behind.auth.settings)


def _row(one: Declared, settings: Settings) -> Row:
    who = UNDECLARED if one.who is None else str(one.who)
    path = f"{one.path.rstrip('/')}/*" if one.below[-1:] == (one.path,) else one.path
    return Row(
        path.replace("/*/*", "/*"),
        one.how,
        who,
        _csrf(one, settings),
        ", ".join(_limits(one, settings)) or "-",
        one.name,
    )


def _csrf(one: Declared, settings: Settings) -> str:
    if one.endpoint is not None and one.endpoint.who == "cookie":
        return _judged("token", "csrf", settings)
    safe = bool(one.methods) and SAFE_METHODS.issuperset(one.methods)
    if one.kind == "websocket":
        return _judged("origin", "cors", settings)
    if safe:
        return "-"
    for _, middleware in one.middleware:
        if _is(middleware, CSRF):
            options: Any = middleware.kwargs
            some = options.get("protects") or options.get("exempt")
            told = "token, not on all routes" if some else "token"
            return f"{told} (reported)" if options.get("report_only") else told
    if one.who is not None and one.who.needs:
        return "-"  # no browser sends the bearer token by itself
    return _judged("origin", "cors", settings)


def _judged(protection: str, name: str, settings: Settings) -> str:
    return f"{protection} (reported)" if name in settings.report_only else protection


def _limits(one: Declared, settings: Settings) -> Iterator[str]:
    reported = " (reported)" if "rate_limit" in settings.report_only else ""
    if settings.rate_limit is not None and one.path not in UNLIMITED:
        yield limit_text(settings.rate_limit) + reported
    if one.endpoint is not None and one.endpoint.credential and settings.auth_rate_limit:
        yield f"credential {limit_text(settings.auth_rate_limit)}{reported}"
    for prefix, middleware in one.middleware:
        if _is(middleware, RateLimit):
            yield from _policies(one, prefix, middleware)


def _is(middleware: Middleware, cls: object) -> bool:
    return middleware.cls == cls


def _policies(one: Declared, prefix: str, middleware: Middleware) -> Iterator[str]:
    options: Any = middleware.kwargs
    path = one.path if not one.path.startswith("//") else "/" + one.path[2:].partition("/")[2]
    path = path.removeprefix(prefix) or "/"
    given: Sequence[Any] = middleware.args or ("100/15m",)
    for policy in given:
        policy = policy if isinstance(policy, Policy) else Policy(policy)
        paths = [policy.paths] if isinstance(policy.paths, str) else policy.paths
        if paths and Paths(dict.fromkeys(paths, True), "paths").get(path) is None:
            continue
        methods = {method.upper() for method in policy.methods}
        if methods and one.methods and not methods.intersection(one.methods):
            continue
        limit = policy.limit if isinstance(policy.limit, Limit) else Limit.parse(policy.limit)
        if limit is not None:
            reported = policy.report_only or options.get("report_only")
            yield f"{policy.name} {limit_text(limit)}{' (reported)' if reported else ''}"


def limit_text(limit: Limit) -> str:
    """`100/15m`, as settings write it."""
    for seconds, unit in _UNITS:
        if limit.window % seconds == 0:
            return f"{limit.most}/{limit.window / seconds:g}{unit}"
    return f"{limit.most}/{limit.window * 1000:g}ms"


def snapshot_text(rows: Iterable[Row]) -> str:
    """The map as a file to be kept and compared: a line a route."""
    return _COMMENT + "".join(f"{row.key} | {row.told}\n" for row in rows)


class Changes(NamedTuple):
    """What differs between two maps: lines, and of those that changed both halves."""

    added: list[str]
    removed: list[str]
    changed: list[tuple[str, str, str]]

    def __str__(self) -> str:
        return "\n".join(
            [f"  + {line}" for line in self.added]
            + [f"  - {line}" for line in self.removed]
            + [f"  ~ {key}\n      was {was}\n      is  {now}" for key, was, now in self.changed]
        )


def changes(before: str, rows: Sequence[Row]) -> Changes:
    """What is otherwise now than in the text `before`."""
    was, now = _by_key(before), _by_key(snapshot_text(rows))
    changed = []
    for key in was.keys() & now.keys():
        if len(was[key]) == len(now[key]):
            pairs = zip(was.pop(key), now.pop(key), strict=True)
            changed += [(key, old, new) for old, new in pairs if old != new]
    return Changes(_less(now, was), _less(was, now), sorted(changed))


def _by_key(text: str) -> dict[str, list[str]]:
    found = defaultdict(list)
    for line in text.splitlines():
        if line.strip() and not line.startswith("#"):
            key, _, told = line.partition(" | ")
            found[key].append(told)
    return found


def _less(lines: dict[str, list[str]], others: dict[str, list[str]]) -> list[str]:
    """The lines that the others lack, as often as they lack them."""
    found = []
    for key, told in lines.items():
        rest = list(others.get(key, ()))
        for one in told:
            if one in rest:
                rest.remove(one)
            else:
                found.append(f"{key} | {one}")
    return sorted(found)
