"""How far a long command is."""

from __future__ import annotations

import click

EVERY = 10_000


class Progress:
    """A line on stderr every ten thousand rows."""

    def __init__(self, verb: str) -> None:
        self._verb = verb
        self._next = EVERY

    def __call__(self, done: int, total: int | None) -> None:
        if done >= self._next:
            self._next = done - done % EVERY + EVERY
            of = "" if total is None else f" of {total}"
            click.echo(f"{self._verb} {done}{of}", err=True)
