"""`authward init`."""

from __future__ import annotations

import click


@click.command()
def init() -> None:
    """TODO."""
