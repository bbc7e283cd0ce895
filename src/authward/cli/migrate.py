"""`authward migrate`."""

from __future__ import annotations

import click

from authward.cli.common import (
    WRONG_USAGE,
    database_option,
    fail,
    json_option,
    load_settings,
    say_json,
    shown_database,
)
from authward.errors import ConfigurationError


@click.command()
@database_option
@json_option
def migrate(database_url: str | None, as_json: bool) -> None:
    """Bring the database's schema up to date, making the database if it is an SQLite file.

    `serve` does this too. It needs no secret.
    """
    settings = load_settings(database_url=database_url, as_json=as_json)
    import asyncio

    from authward.clock import SystemClock
    from authward.stores.schema import SCHEMA_VERSION
    from authward.stores.sql import SqlStore

    async def run() -> None:
        store = SqlStore(settings.database_url, SystemClock())
        try:
            await store.open()
        finally:
            await store.close()

    try:
        asyncio.run(run())
    except ConfigurationError as error:
        fail(str(error), WRONG_USAGE, error="configuration_error", as_json=as_json)
    database = shown_database(settings)
    if as_json:
        say_json({"database": database, "schema": SCHEMA_VERSION})
    else:
        click.echo(f"{database} is at schema {SCHEMA_VERSION}")
