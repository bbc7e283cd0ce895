"""Moments on the command line: a time with its zone, or an age."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import click

from authward.core.times import milliseconds

_AGE = re.compile(r"([0-9]{1,9})([smhdw])", re.ASCII)
_UNIT_MS = {"s": 1000, "m": 60_000, "h": 3_600_000, "d": 86_400_000, "w": 7 * 86_400_000}
Moment = Callable[[int], int]
"""From now, in milliseconds, to the moment."""


def moment_option(name: str, told: str, *, need: bool = False) -> Callable[[Any], Any]:
    """An option whose value is a `Moment`."""

    def read(context: click.Context, option: click.Parameter, text: str | None) -> Moment | None:
        return None if text is None else _moment(name, text)

    return click.option(name, metavar="TIME", help=told, required=need, callback=read)


def _moment(name: str, text: str) -> Moment:
    if age := _AGE.fullmatch(text):
        back = int(age[1]) * _UNIT_MS[age[2]]
        return lambda now: now - back
    at = milliseconds(text)
    if at is None:
        raise click.UsageError(
            f"{name}: '{text}' is no time with a zone, like 2026-01-31T12:00:00Z, "
            "and no age, like 2h."
        )
    moment: int = at
    return lambda now: moment
