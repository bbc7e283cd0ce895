"""What a route says about who may call it."""

from __future__ import annotations

import functools
import inspect
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Literal

from starlette.middleware import Middleware

from authward.http.endpoint import Endpoint

Kind = Literal["http", "websocket", "mount", "frontend"]

_MARK = "__authward_who__"
_TYPED = re.compile(r"{(\w+):\w+}")


@dataclass(frozen=True, slots=True)
class Need:
    """What a guard asks: one of `roles` (any, if none are named), and all of `permissions`."""

    roles: tuple[str, ...] = ()
    permissions: tuple[object, ...] = ()

    def texts(self) -> Iterator[str]:
        if self.roles:
            yield f"role {' or '.join(self.roles)}"
        if self.permissions:
            told = [str(one) for one in self.permissions]
            if len(told) > 1:
                told = [f"({one})" if " " in one else one for one in told]
            yield f"permission {' and '.join(told)}"


@dataclass(frozen=True, slots=True)
class Who:
    """Who may call: whoever meets all `needs`, so anyone where there are none."""

    needs: tuple[Need, ...] = ()

    def __add__(self, other: Who | None) -> Who:
        """What both ask. Declaring a route public takes nothing away from its guards."""
        return self if other is None else Who(self.needs + other.needs)

    def __str__(self) -> str:
        if not self.needs:
            return "anyone"
        return "; ".join(dict.fromkeys(t for one in self.needs for t in one.texts())) or "signed in"


ANYONE = Who()


@dataclass(frozen=True, slots=True, eq=False)
class _Mark:
    who: Who
    on: object = field(repr=False)


def mark(target: object, who: Who) -> None:
    """Write on an endpoint function, or on an object that FastAPI calls as a dependency, who may
    call.
    """
    setattr(target, _MARK, _Mark(who, target))


def marked(target: object) -> Who | None:
    """What `mark` wrote on this very object. `functools.wraps` copies it to a wrapper, which may
    answer before it asks what it wraps.
    """
    if inspect.ismethod(target):
        target = target.__func__
    found = getattr(target, _MARK, None)
    return found.who if isinstance(found, _Mark) and found.on is target else None


@dataclass(frozen=True, slots=True)
class Declared:
    """A route, or what is mounted and cannot be looked into. `who` is None where it does not say.

    `path` is the whole one, from `//host` on where only one host has it. No `methods` are all of
    them. `below` are the mounts it lies behind, itself if it is one. `middleware` is that of the
    apps on the way, each with the path of its app. `endpoint` is there for a route of ours.
    """

    kind: Kind
    methods: tuple[str, ...]
    path: str
    name: str
    who: Who | None
    below: tuple[str, ...] = ()
    endpoint: Endpoint | None = None
    middleware: tuple[tuple[str, Middleware], ...] = field(default=(), compare=False)

    def __str__(self) -> str:
        return f"{self.how} {self.path} ({self.name})"

    @property
    def how(self) -> str:
        """Its methods, or what it is."""
        return ",".join(self.methods) or "ANY" if self.kind == "http" else self.kind


def plain(path: str) -> str:
    """A path without the types of its parameters."""
    return _TYPED.sub(r"{\1}", path)


def bare(endpoint: Any) -> Any:
    """What a partial is made of."""
    while isinstance(endpoint, functools.partial):
        endpoint = endpoint.func
    return endpoint


def said(function: object) -> Who | None:
    """What a decorator of ours wrote on a function. Of any other object it would say nothing about
    what it does when called.
    """
    function = bare(function)
    if inspect.isfunction(function) or inspect.ismethod(function):
        return marked(function)
    return None


def asked(route: Any, endpoint: object) -> Who | None:
    """What is asked before and by an endpoint."""
    own, before = said(endpoint), depends(getattr(route, "dependant", None))
    return before if own is None else own + before


def depends(dependant: Any) -> Who | None:
    """What FastAPI is sure to ask before the endpoint, at any depth. A decorated function is no
    guard there: it answers, and nobody sends its answer.
    """
    found: Who | None = None
    for one in () if dependant is None else dependant.dependencies:
        own = None if inspect.isroutine(one.call) else marked(one.call)
        for who in (own, depends(one)):
            found = who if found is None else found + who
    return found
