"""Deny by default: an app does not start on a route that does not say who may call it, and takes
none later.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, SupportsIndex
from weakref import WeakKeyDictionary

from starlette.applications import Starlette
from starlette.routing import BaseRoute, Route
from starlette.types import ASGIApp

from authward.declared import Declared
from authward.errors import ConfigurationError
from authward.middleware.shield import Shield
from authward.opened import Opened, with_public
from authward.settings import Settings
from authward.setups import check_setups
from authward.walking import Walk


class Knows(Protocol):
    """What can be told of an Authward."""

    @property
    def settings(self) -> Settings: ...

    def routes(self) -> list[Route]: ...


@dataclass(frozen=True, slots=True)
class Known:
    """The Authward of an app, and what `install` was told. `app` is what a shield stands before."""

    auth: Knows
    public: tuple[Opened, ...] = ()
    pages: frozenset[str] = frozenset()
    deny_by_default: bool = False
    app: ASGIApp | None = None


_known: WeakKeyDictionary[object, Known] = WeakKeyDictionary()


def know(app: Starlette | Shield, what: Known) -> None:
    """Remember it, for `known`."""
    _known[app] = what


def known(app: object) -> Known | None:
    """What was remembered of an app. Others may not even be hashable."""
    return _known.get(app) if isinstance(app, Starlette | Shield) else None


def walk(app: ASGIApp, instead: Mapping[int, Sequence[BaseRoute]] | None = None) -> Walk:
    """Every route below `app`."""
    return Walk(app, _opened, instead)


def _opened(app: ASGIApp) -> ASGIApp:
    what = known(app)
    return app if what is None or what.app is None else what.app


def keep_overrides(seen: Walk) -> list[tuple[object, str]]:
    """See to it that nothing that was seen overrides a guard of FastAPI in production. What holds
    such overrides, and under which name. Raises ConfigurationError.
    """
    if "fastapi" not in sys.modules:
        return []
    from authward.guards import keep_guards

    return keep_guards(seen.providers)


def undeclared(found: Iterable[Declared]) -> list[Declared]:
    return [one for one in found if one.who is None]


def require_declared(found: Iterable[Declared]) -> None:
    """Raises ConfigurationError, which names what does not say who may call it."""
    missing = undeclared(found)
    if not missing:
        return
    listed = "".join(f"\n  {one}" for one in missing)
    raise ConfigurationError(
        f"deny_by_default: nothing says who may call{listed}\n"
        "Give it a guard. If anyone may: dependencies=[auth.public] in FastAPI, the decorator "
        "public of authward.starlette, or its path in install(…, public=[…]), which is the way "
        "for what is mounted and for frontends too"
    )


class Denying:
    """Keeps an app to what it has declared."""

    def __init__(
        self,
        app: Starlette,
        public: tuple[Opened, ...],
        pages: frozenset[str],
        *,
        production: bool = False,
    ) -> None:
        self._app = app
        self._production = production
        self._public = public
        self._pages = pages
        self._watched: tuple[tuple[dict[str, Any], str, object], ...] = ()

    def check(self) -> None:
        """Raises ConfigurationError, which names every undeclared route. From then on none can be
        added.
        """
        if not self._watched or not self.intact():
            self._keep(self._examined({}, strict=True))

    def intact(self) -> bool:
        """Whether the routers still have the lists that were checked."""
        for holder, name, value in self._watched:  # noqa: SIM110 - asked by every request
            if holder.get(name) is not value:
                return False
        return True

    def allow(self, routes: Kept, candidate: Sequence[BaseRoute]) -> None:
        """Raises ConfigurationError if `routes` may not become `candidate`."""
        self._keep(self._examined({id(routes): candidate}, strict=False))

    def _examined(self, instead: Mapping[int, Sequence[BaseRoute]], *, strict: bool) -> Walk:
        seen = walk(self._app, instead)
        require_declared(with_public(seen.found, self._public, self._pages, strict=strict))
        return seen

    def _keep(self, seen: Walk) -> None:
        check_setups(seen, production=self._production)
        overrides = keep_overrides(seen) if self._production else []
        for holder, name in seen.lists:
            routes = getattr(holder, name)
            if not isinstance(routes, Kept):
                setattr(holder, name, routes := Kept(routes))
            routes.kept_by(self)
        self._watched = tuple(
            {
                (id(holder), name): (vars(holder), name, getattr(holder, name))
                for holder, name in (*seen.lists, *seen.fixed, *overrides)
            }.values()
        )


class Kept(list[BaseRoute]):
    """A list of routes that takes declared ones alone. What would change it is asked for first, so
    that no request meets a route that is refused.
    """

    def __init__(self, routes: Iterable[BaseRoute]) -> None:
        super().__init__(routes)
        self._keepers: list[Denying] = []

    def kept_by(self, keeper: Denying) -> None:
        if keeper not in self._keepers:
            self._keepers.append(keeper)

    def _become(self, candidate: list[BaseRoute]) -> None:
        for keeper in self._keepers:
            keeper.allow(self, candidate)
        super().__setitem__(slice(None), candidate)

    def append(self, route: BaseRoute) -> None:
        self._become([*self, route])

    def extend(self, routes: Iterable[BaseRoute]) -> None:
        self._become([*self, *routes])

    def insert(self, index: SupportsIndex, route: BaseRoute) -> None:
        candidate = [*self]
        candidate.insert(index, route)
        self._become(candidate)

    def __setitem__(self, index: Any, value: Any) -> None:
        candidate = [*self]
        candidate[index] = value
        self._become(candidate)

    def __iadd__(self, routes: Iterable[BaseRoute]) -> Kept:  # type: ignore[misc,override]
        self.extend(routes)
        return self
