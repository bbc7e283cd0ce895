"""`authward routes`: who may call what, without starting anything."""

from __future__ import annotations

import importlib
import os
import sys
from contextlib import redirect_stdout
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from authward.cli.common import NOT_SO, WRONG_USAGE, fail, json_option, load_settings, say_json
from authward.errors import ConfigurationError

if TYPE_CHECKING:
    from authward.cli.listing import Row
    from authward.deny import Known


@click.command()
@click.argument("app", metavar="[MODULE:APP]", required=False)
@click.option("--factory", is_flag=True, help="APP is a function that makes the app.")
@click.option("--check", is_flag=True, help="Fail if a route does not say who may call it.")
@click.option(
    "--snapshot",
    metavar="FILE",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Fail if the routes are not those in FILE.",
)
@click.option("--update", is_flag=True, help="Write the routes to the FILE of --snapshot.")
@json_option
def routes(
    app: str | None,
    factory: bool,
    check: bool,
    snapshot: Path | None,
    update: bool,
    as_json: bool,
) -> None:
    """Show every route with who may call it, its CSRF protection and its limits.

    MODULE:APP is an app with Authward, as uvicorn takes it; without it, our own server. The app is
    imported, not started.
    """
    if update and snapshot is None:
        raise click.UsageError("--update writes the file of --snapshot. Name it: --snapshot FILE")
    if factory and app is None:
        raise click.UsageError("--factory says what MODULE:APP is. Name it")
    target, behind = _own_server(as_json) if app is None else _loaded(app, factory, as_json)
    from authward.cli.listing import rows_of

    try:
        rows = rows_of(target, behind, strict=check)
    except ConfigurationError as error:
        fail(str(error), NOT_SO, error="configuration_error", as_json=as_json)
    failure = (_undeclared(rows) if check else None) or (
        _changed(rows, snapshot, as_json=as_json) if snapshot is not None and not update else None
    )
    if as_json:
        data = {"routes": [row.data() for row in rows]}
        say_json({**failure, **data} if failure else data)
    else:
        _show(rows)
        if failure:
            click.echo(f"authward: {failure['message']}", err=True)
    if failure:
        raise SystemExit(NOT_SO)
    if update and snapshot is not None:
        _write(rows, snapshot, as_json=as_json)


def _own_server(as_json: bool) -> tuple[Any, Known]:
    settings = load_settings(as_json=as_json)
    from authward.app import Authward
    from authward.deny import known

    app = Authward(settings).asgi()
    behind = known(app)
    if behind is None:
        raise RuntimeError("our own server is not known to itself")
    return app, behind


def _loaded(given: str, factory: bool, as_json: bool) -> tuple[Any, Known]:
    """The app that has Authward, and what is known of it. Ends the command if there is none."""

    def wrong(message: str) -> None:
        fail(message, WRONG_USAGE, error="no_app", as_json=as_json)

    name, _, attributes = given.partition(":")
    if not name or not attributes:
        wrong(f"'{given}' names no app. Write MODULE:APP, like main:app")
    if os.getcwd() not in sys.path:
        sys.path.insert(0, os.getcwd())
    app: Any = None
    try:
        with redirect_stdout(sys.stderr):  # what an app prints is not our answer
            app = importlib.import_module(name)
            for attribute in attributes.split("."):
                app = getattr(app, attribute)
            if factory:
                app = app()
    except ModuleNotFoundError as error:
        if error.name is None or not f"{name}.".startswith(f"{error.name}."):
            wrong(f"{name} needs {error.name or 'a module'}, which is not installed: {error}")
        wrong(f"there is no module '{error.name}' here. Run this in the folder that has it")
    except AttributeError as error:
        if app is None or error.obj is not app:
            wrong(f"{given} cannot be loaded: {type(error).__name__}: {error}")
        wrong(f"{name} has no '{attributes}'")
    except ConfigurationError as error:
        wrong(str(error))
    except Exception as error:
        wrong(f"{given} cannot be loaded: {type(error).__name__}: {error}")
    return _with_authward(app, given, as_json)


def _with_authward(app: Any, given: str, as_json: bool) -> tuple[Any, Known]:
    from authward.deny import known

    within: Any = app
    for _ in range(20):  # middleware around it
        behind = known(within)
        if behind is not None:
            return within, behind
        within = getattr(within, "app", None) or getattr(within, "_app", None)
    fail(
        f"{given} has no Authward. Call auth.install(app), or name what auth.wrap(app) made; "
        "of a function that makes the app say --factory",
        WRONG_USAGE,
        error="no_authward",
        as_json=as_json,
    )


def _undeclared(rows: list[Row]) -> dict[str, Any] | None:
    from authward.cli.listing import UNDECLARED

    missing = [row for row in rows if row.who == UNDECLARED]
    if not missing:
        return None
    named = "".join(f"\n  {row.key} ({row.endpoint})" for row in missing)
    return {
        "error": "undeclared_routes",
        "message": f"nothing says who may call{named}\nGive it a guard, or say that it is public",
        "undeclared": [row.data() for row in missing],
    }


def _changed(rows: list[Row], file: Path, *, as_json: bool) -> dict[str, Any] | None:
    from authward.cli.listing import changes

    try:
        before = file.read_text(encoding="utf-8")
    except FileNotFoundError:
        fail(
            f"there is no {file}. Write it with --snapshot {file} --update, and keep it",
            WRONG_USAGE,
            error="no_snapshot",
            as_json=as_json,
        )
    except (OSError, UnicodeDecodeError) as error:
        fail(f"{file} cannot be read: {error}", WRONG_USAGE, error="no_snapshot", as_json=as_json)
    found = changes(before, rows)
    if not any(found):
        return None
    return {
        "error": "routes_changed",
        "message": f"the routes are not those in {file}\n{found}\n"
        f"If that is meant: --snapshot {file} --update",
        "added": found.added,
        "removed": found.removed,
        "changed": [{"route": key, "was": was, "now": now} for key, was, now in found.changed],
    }


def _show(rows: list[Row]) -> None:
    from authward.cli.accounts import table

    heads = ["METHOD", "PATH", "WHO", "CSRF", "LIMITS"]
    shown = [[row.method, row.path, row.who, row.csrf, row.limits] for row in rows]
    click.echo(table(heads, shown))


def _write(rows: list[Row], file: Path, *, as_json: bool) -> None:
    """In one step: who reads it beside us finds the old map or the new one."""
    from authward.cli.listing import snapshot_text

    beside = file.with_name(f".{file.name}.{os.getpid()}")
    try:
        beside.write_bytes(snapshot_text(rows).encode())
        beside.replace(file)
    except OSError as error:
        beside.unlink(missing_ok=True)
        why = error.strerror or error  # without the name of the file beside
        fail(f"{file} cannot be written: {why}", NOT_SO, error="no_snapshot", as_json=as_json)
