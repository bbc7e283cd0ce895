"""What an opaque callable holds: the apps behind middleware that walking cannot see through."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from contextlib import suppress
from functools import partial
from itertools import islice
from types import CodeType, FunctionType, MemberDescriptorType, MethodType, ModuleType
from typing import Any

from starlette.applications import Starlette
from starlette.middleware.cors import CORSMiddleware
from starlette.routing import Router
from starlette.types import ASGIApp

from authward.answering import trusted
from authward.middleware.cors import CORS
from authward.middleware.shield import Shield

CORS_MIDDLEWARE = (CORSMiddleware, CORS)
"""Middleware that states CORS."""

_MOST = 10_000  # objects looked at, the nearest first: something may hold a world
_MOST_OF_ONE = 1000  # of a list or dict, lest a cache hides what lies beside it
_APPS = (Starlette, Router, Shield)
_LEAVES = (type, ModuleType, CodeType, str, bytes, bytearray, int, float, complex, type(None))


def held_by(what: object) -> Iterator[ASGIApp]:
    """What `what` is or leads to of `CORS_MIDDLEWARE`, and the Starlette and FastAPI apps, routers
    and shields that it leads to: through attributes, closures, the arguments of partials, lists and
    dicts, and the globals that a function names. What these hold themselves, walking tells.
    """
    seen: dict[int, object] = {id(what): what}  # which keeps ids from being used again
    ahead = deque([what])
    if issubclass(type(what), CORS_MIDDLEWARE):
        yield what  # type: ignore[misc]
    while ahead:
        for part in _parts(ahead.popleft()):
            # By type: asking an object for its class may run code of its own.
            if id(part) in seen or issubclass(type(part), _LEAVES):
                continue
            if len(seen) >= _MOST:
                return
            seen[id(part)] = part
            if issubclass(type(part), (*_APPS, *CORS_MIDDLEWARE)):
                yield part  # type: ignore[misc]
            if not issubclass(type(part), _APPS):
                ahead.append(part)


def _parts(one: object) -> Iterable[object]:
    kind: Any = type(one)
    # By the methods of these themselves: those of a class of somebody's may fetch things, or fail.
    if issubclass(kind, dict):
        return [*islice(dict.values(one), _MOST_OF_ONE)]  # type: ignore[arg-type]
    for base in (list, tuple, set, frozenset):
        if issubclass(kind, base):
            return [*islice(base.__iter__(one), _MOST_OF_ONE)]  # type: ignore[arg-type]
    if issubclass(kind, FunctionType):
        return _of_function(one)  # type: ignore[arg-type]
    if issubclass(kind, MethodType):
        return (one.__self__, one.__func__)  # type: ignore[attr-defined]
    if issubclass(kind, partial):
        return (one.func, one.args, one.keywords)  # type: ignore[attr-defined]
    # Ours that are no middleware lead to an Authward, and by it to all that it serves elsewhere.
    home = f"{kind.__module__}."
    if home.startswith("authward.") and not home.startswith("authward.middleware."):
        return ()
    return _of_instance(one, kind)


def _of_function(function: FunctionType) -> Iterator[object]:
    yield from vars(function).values()  # what it wraps
    yield from function.__defaults__ or ()
    yield from (function.__kwdefaults__ or {}).values()
    for cell in function.__closure__ or ():
        try:
            yield cell.cell_contents
        except ValueError:
            continue  # of a name that has no value yet
    if not trusted(function):
        for name in _names(function.__code__):
            yield function.__globals__.get(name)


def _names(code: CodeType) -> Iterator[str]:
    yield from code.co_names
    for const in code.co_consts:
        if isinstance(const, CodeType):
            yield from _names(const)


def _of_instance(one: object, kind: type) -> Iterator[object]:
    with suppress(Exception):  # slots alone, or a proxy that stands for nothing yet
        yield from [*object.__getattribute__(one, "__dict__").values()]
    called = False
    for home in kind.__mro__:
        for name, value in vars(home).items():
            if isinstance(value, MemberDescriptorType):
                yield value.__get__(one, kind) if _filled(value, one) else None
            elif name == "__call__" and not called:
                called = True
                yield value


def _filled(slot: MemberDescriptorType, one: object) -> bool:
    try:
        slot.__get__(one)
    except AttributeError:
        return False
    return True
