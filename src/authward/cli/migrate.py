"""`authward migrate`."""

from __future__ import annotations

import click


@click.command()
def migrate() -> None:
    """TODO."""
