"""What every command does alike: settings, the running services, errors read aloud, JSON."""

from __future__ import annotations

import json
import os
import shlex
import shutil
import sys
from collections.abc import Awaitable, Callable, Coroutine
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn, TypeVar

import click

from authward.errors import ConfigurationError, Refusal, ValidationError

if TYPE_CHECKING:
    from authward.services import Services
    from authward.settings import Settings

T = TypeVar("T")
C = TypeVar("C", bound=Callable[..., Any])

DONE, NOT_SO, WRONG_USAGE = 0, 1, 2
_OPTIONS = {"additionalRoles": "--also"}
"""Fields of the API that the command line calls by another name."""


def fail(message: str, code: int, *, error: str, as_json: bool) -> NoReturn:
    """End the command: one message, no traceback. With `as_json` it is an object on stdout."""
    if as_json:
        say_json({"error": error, "message": message})
    else:
        click.echo(f"authward: {message}", err=True)
    raise SystemExit(code)


def say_json(value: object) -> None:
    """`value` on stdout, on one line, for programs."""
    click.echo(json.dumps(value, ensure_ascii=False))


def json_option(command: C) -> C:
    """`--json`, as `as_json`."""
    return click.option("--json", "as_json", is_flag=True, help="Answer in JSON.")(command)


def database_option(command: C) -> C:
    """`--database-url`; None where it was not given."""
    return click.option(
        "--database-url", metavar="URL", help="sqlite:///authward.db or postgresql://user@host/name"
    )(command)


def load_settings(*, as_json: bool, **given: Any) -> Settings:
    """The settings; options that were given come first. Ends the command if they do not hold."""
    from authward.settings import Settings

    try:
        return Settings(**{name: value for name, value in given.items() if value is not None})
    except ConfigurationError as error:
        fail(str(error), WRONG_USAGE, error="configuration_error", as_json=as_json)


def require_no_lost_secret(settings: Settings, *, as_json: bool) -> None:
    """End the command where a new secret would be made for a database whose keys it cannot open."""
    path, database = settings.secret_path, settings.sqlite_path
    if path is None or settings.secret_file is not None or path.exists():
        return
    if database is not None and not database.exists():
        return
    from authward.clock import SystemClock
    from authward.stores.sql import SqlStore

    async def has_keys() -> bool:
        store = SqlStore(settings.database_url, SystemClock())
        try:
            await store.open()
            return bool(await store.keys.add_first([]))
        finally:
            await store.close()

    if _told(has_keys(), as_json=as_json):
        fail(
            f"secret: the keys in this database need the secret they were made with, and {path} is "
            "not there. Put it back, or name it with AUTHWARD_SECRET_FILE. If it is lost, delete "
            "the rows of the table keys: everybody then signs in anew",
            WRONG_USAGE,
            error="configuration_error",
            as_json=as_json,
        )


def with_services(
    settings: Settings, work: Callable[[Services], Awaitable[T]], *, as_json: bool
) -> T:
    """Run `work` over the services, in this process. A refusal ends the command with its text."""
    require_no_lost_secret(settings, as_json=as_json)
    from authward.app import Authward

    async def run() -> T:
        auth = Authward(settings)
        auth._serves = False  # the shell may not know the server's algorithm
        await auth.startup()
        await auth.services.trail.leave()
        try:
            return await work(auth.services)
        finally:
            await auth.shutdown()

    return _told(run(), as_json=as_json)


def _told(work: Coroutine[Any, Any, T], *, as_json: bool) -> T:
    """What `work` comes to. A refusal ends the command with its text."""
    import asyncio

    try:
        return asyncio.run(work)
    except ConfigurationError as error:
        fail(str(error), WRONG_USAGE, error="configuration_error", as_json=as_json)
    except Refusal as refusal:
        code = WRONG_USAGE if isinstance(refusal, ValidationError) else NOT_SO
        fail(explain(refusal), code, error=refusal.code, as_json=as_json)


def explain(refusal: Refusal) -> str:
    """What a refusal says to an operator."""
    if refusal.details:
        return "\n".join(
            f"{_OPTIONS.get(detail.field, detail.field)}: {detail.message}"
            for detail in refusal.details
        )
    # An operator may read the reason; a client may not.
    reason = f" ({refusal.reason})" if refusal.reason else ""
    return f"{refusal.message}{reason}"


def own_command() -> str:
    """How to call us again from this folder: by name, or by path where PATH leads elsewhere."""
    script = Path(sys.argv[0])
    if script.name == "__main__.py":
        return f"{_shortest(Path(sys.executable))} -m authward"
    found = shutil.which(script.name)
    if found is not None and script.exists() and os.path.samefile(found, script):
        return script.name
    return _shortest(script)


def _shortest(path: Path) -> str:
    return shlex.quote(min(os.path.relpath(path), str(path.absolute()), key=len))


def shown_database(settings: Settings) -> str:
    """The database as it may be shown: the file's full path, or the URL without its password."""
    if settings.sqlite_path is not None:
        return str(settings.sqlite_path)
    from sqlalchemy import make_url

    url = make_url(settings.database_url)
    shown = {key: "***" if "password" in key.lower() else url.query[key] for key in url.query}
    return url.set(query=shown).render_as_string(hide_password=True)
