"""Options that are functions of the app, and are asked while a request waits."""

from __future__ import annotations

from functools import partial
from inspect import isasyncgenfunction, iscoroutinefunction
from typing import TypeVar

from authward.errors import ConfigurationError

T = TypeVar("T")


def plain_function(option: str, given: T, of: str) -> T:
    """The function of `of` that an option was given, or None. Raises ConfigurationError for what is
    none, and for one that would have to be awaited: nobody does, and what it returns counts as
    true.
    """
    if given is not None and not callable(given):
        raise ConfigurationError(
            f"{option}: {given!r} is no function. Write {option}=lambda {of}: …"
        )
    if is_async(given):
        raise ConfigurationError(
            f"{option}: is not awaited. Write def, not async def, and keep what it goes by "
            "in memory"
        )
    return given


def is_async(function: object) -> bool:
    """Whether what this returns has to be awaited, as far as can be told before it is called."""
    while isinstance(function, partial):
        function = function.func
    # An object may have an `async def __call__`.
    whole = (function, getattr(type(function), "__call__", None))  # noqa: B004
    return any(iscoroutinefunction(one) or isasyncgenfunction(one) for one in whole)
