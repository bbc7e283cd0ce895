"""Guards as FastAPI's dependencies, and which of them an app may override."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from typing import Any

from fastapi.dependencies.models import Dependant
from fastapi.dependencies.utils import get_dependant
from fastapi.openapi.models import HTTPBearer
from fastapi.params import Security
from fastapi.security.base import SecurityBase
from starlette.requests import HTTPConnection
from starlette.types import Scope

from authward.core.principal import Principal
from authward.core.requirements import Requirement
from authward.declared import ANYONE, Need, Who, mark, marked
from authward.errors import ConfigurationError
from authward.http.admission import Admission
from authward.http.shapes import PREFIX

Overrides = Mapping[Callable[..., Any], Callable[..., Any]]


class Guard(SecurityBase):
    """Lets a request or WebSocket in, or raises a Refusal. Equal guards ask the same."""

    model = HTTPBearer(bearerFormat="JWT")
    scheme_name = f"{PREFIX}Bearer"

    def __init__(
        self, admission: Admission, roles: tuple[str, ...], permissions: tuple[Requirement, ...]
    ) -> None:
        self._asked = (admission, roles, permissions)
        self.admit: Callable[[Scope], Principal] = functools.partial(
            admission.principal, roles=roles, permissions=permissions
        )
        """The caller. Raises a Refusal."""
        mark(self, Who((Need(roles, permissions),)))

    async def __call__(self, connection: HTTPConnection) -> Principal:
        return self.admit(connection.scope)

    @property
    def overridable(self) -> bool:
        return self._asked[0].overridable

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Guard) and self._asked == other._asked

    def __hash__(self) -> int:
        return hash(self._asked)


def guard(
    admission: Admission, *, roles: tuple[str, ...] = (), permissions: tuple[Requirement, ...] = ()
) -> Security:
    """A guard as FastAPI takes it: in `Annotated[…]`, `dependencies=[…]` or as a default."""
    return Security(Guard(admission, roles, permissions))


class Public:
    """Lets anyone in, and says so."""

    def __init__(self) -> None:
        mark(self, ANYONE)

    async def __call__(self) -> None:
        """Nothing to ask."""


def public() -> Security:
    """What says that anyone may call, as FastAPI takes it."""
    return Security(Public())


def guards_of(dependant: Dependant, overrides: Overrides) -> Iterator[Guard]:
    """Every guard that is sure to be asked."""
    for one in dependant.dependencies:
        if one.call in overrides:
            continue
        if isinstance(one.call, Guard):
            yield one.call
        yield from guards_of(one, overrides)


class KeptOverrides(dict[Callable[..., Any], Callable[..., Any]]):
    """An app's `dependency_overrides` in production. To set one that would take a guard away raises
    ConfigurationError, and changes nothing. Others work as ever.
    """

    def __init__(self, given: Overrides) -> None:
        super().__init__()
        self.update(given)

    def __setitem__(self, key: Callable[..., Any], by: Callable[..., Any]) -> None:
        _require_no_guard(key)
        super().__setitem__(key, by)

    def setdefault(self, key: Any, by: Any = None) -> Any:
        if key not in self:
            self[key] = by
        return self[key]

    def update(self, *given: Any, **also: Any) -> None:
        new = dict(*given, **also)
        for key in new:
            _require_no_guard(key)
        super().update(new)

    def __ior__(self, given: Any) -> KeptOverrides:  # type: ignore[override,misc]
        self.update(given)
        return self


def keep_guards(providers: Iterable[object]) -> list[tuple[object, str]]:
    """See to it that no overrides of these (FastAPI apps, or what a router names in their place)
    take a guard away, now or later. What holds them, and under which name. Raises
    ConfigurationError.
    """
    held: list[tuple[object, str]] = []
    for one in providers:
        given = getattr(one, "dependency_overrides", None)
        if given is None:
            continue
        kept = given if type(given) is KeptOverrides else KeptOverrides(given)
        # A property, say, cannot be set: then what it gives now is looked at, and no more.
        with suppress(AttributeError):
            setattr(one, "dependency_overrides", kept)  # noqa: B010 - what it is, nobody knows
        if "dependency_overrides" in getattr(one, "__dict__", {}):
            held.append((one, "dependency_overrides"))
    return held


def require_kept(overrides: Overrides) -> None:
    """Raises ConfigurationError if one of these takes a guard away that is to be asked."""
    if type(overrides) is not KeptOverrides:
        for key in overrides:
            _require_no_guard(key)


def _require_no_guard(key: Callable[..., Any]) -> None:
    for guard in _asked_by(key):
        if not guard.overridable:
            what = "" if key is guard else f"{getattr(key, '__qualname__', key)}, with "
            raise ConfigurationError(
                f"dependency_overrides: {what}the guard '{marked(guard)}' would not be asked, and "
                "ENV is production. Overrides of guards are for tests: set them where "
                "AUTHWARD_ENV is development"
            )


def _asked_by(key: Callable[..., Any]) -> Iterator[Guard]:
    if isinstance(key, Guard):
        yield key
        return
    try:
        dependant = get_dependant(path="/", call=key)
    except Exception:
        return  # FastAPI cannot call it either
    yield from guards_of(dependant, {})
