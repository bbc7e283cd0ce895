"""Bringing the schema up to date. alembic costs a second to import, so it is loaded only when there
is work.
"""

from __future__ import annotations

import asyncio
import threading
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, inspect, text
from sqlalchemy.exc import SQLAlchemyError

from authward.errors import ConfigurationError
from authward.stores.database import Database
from authward.stores.engines import said
from authward.stores.schema import SCHEMA_VERSION

OLDEST: dict[str, tuple[int, ...]] = {"postgresql": (13,), "sqlite": (3, 35)}
"""pg_current_xact_id() and RETURNING came with these."""

MIGRATIONS = Path(__file__).parent / "migrations"

_ALEMBIC = threading.Lock()
"""alembic keeps the migration at hand in module globals: one at a time in a process, whatever the
loop or thread.
"""


async def migrate(database: Database) -> None:
    """Upgrade to `SCHEMA_VERSION`; several processes may try at once. Raises ConfigurationError if
    the database cannot be reached or was made by a newer Authward.
    """
    while not _ALEMBIC.acquire(blocking=False):  # noqa: ASYNC110 — threads may hold it too
        await asyncio.sleep(0.005)
    try:
        await database.prepare()
        await database.run_sync(_upgrade)
    except (SQLAlchemyError, OSError, ValueError) as error:
        raise ConfigurationError(
            f"database_url: the database cannot be used ({said(error)}). "
            "Is it running, and is the address right?"
        ) from error
    finally:
        _ALEMBIC.release()


def _upgrade(connection: Connection) -> None:
    name, found = connection.dialect.name, connection.dialect.server_version_info or ()
    if found < OLDEST[name]:
        needed, here = (".".join(map(str, version)) for version in (OLDEST[name], found))
        raise ConfigurationError(
            f"database_url: {name} {here} is too old. Use {name} {needed} or later"
        )
    if connection.dialect.name == "postgresql":
        connection.execute(text("SELECT pg_advisory_xact_lock(4711746108702)"))
    if inspect(connection).has_table("alembic_version"):
        version = connection.execute(text("SELECT version_num FROM alembic_version")).scalar()
        if version == SCHEMA_VERSION:
            return
        if version is not None and version > SCHEMA_VERSION:
            raise ConfigurationError(
                f"database_url: its schema is version {version}, newer than this Authward "
                f"({SCHEMA_VERSION}). Upgrade Authward"
            )
    _run_alembic(connection)


def _run_alembic(connection: Connection) -> None:
    from alembic import command
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS).replace("%", "%%"))
    attributes: dict[str, Any] = config.attributes
    attributes["connection"] = connection
    command.upgrade(config, SCHEMA_VERSION)
