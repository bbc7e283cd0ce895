"""`authward keys`: the signing keys, from the shell of the machine that has the database."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import click

from authward.cli.accounts import on_database, operator, someone_there, table
from authward.cli.common import database_option, json_option, say_json
from authward.cli.sessions import told as sessions_told

if TYPE_CHECKING:
    from authward.core.keys import StoredKey
    from authward.services import Services
    from authward.services.keys import KeyView
    from authward.services.kills import Killed

_HEADS = ["RING", "KEY", "ALGORITHM", "STATE", "AGE", "SESSIONS", "RETIRE"]
_UNITS = (("d", 86_400), ("h", 3600), ("m", 60))


@click.group()
def keys() -> None:
    """List, rotate and retire signing keys."""


@keys.command("list")
@click.option("--retired", "retired_too", is_flag=True, help="Those too that are retired.")
@database_option
@json_option
def list_keys(retired_too: bool, database_url: str | None, as_json: bool) -> None:
    """List the keys of each ring, and from when on an old one can be retired."""

    async def work(services: Services) -> tuple[list[KeyView], int]:
        return await services.keys.views(), int(services.clock.now() * 1000)

    found, now = on_database(database_url, work, as_json=as_json)
    shown = [one for one in found if retired_too or one.key.state != "retired"]
    if as_json:
        from authward.http.keys import key_data

        say_json({"keys": [key_data(one) for one in shown]})
        return
    click.echo(table(_HEADS, [_row(one, now) for one in shown]))


@keys.command()
@click.option("--ring", help="Only this: access, refresh or csrf.")
@database_option
@json_option
def rotate(ring: str | None, database_url: str | None, as_json: bool) -> None:
    """Let the next key of each ring sign. Nobody is signed out."""

    async def work(services: Services) -> list[StoredKey]:
        return await services.keys.rotate(ring, operator())

    signing = on_database(database_url, work, as_json=as_json)
    if as_json:
        say_json({"signing": {key.ring: key.kid for key in signing}})
        return
    for key in signing:
        click.echo(f"{key.ring}: {key.kid} ({key.algorithm}) signs")


@keys.command()
@click.argument("kid", required=False)
@click.option("--compromised", is_flag=True, help="At once: somebody else knows the key.")
@click.option("--all-signing", is_flag=True, help="At once, every key that signs or has signed.")
@click.option("--dry-run", is_flag=True, help="Say what it would be, and change nothing.")
@click.option("--yes", is_flag=True, help="Do not ask.")
@database_option
@json_option
def retire(
    kid: str | None,
    compromised: bool,
    all_signing: bool,
    dry_run: bool,
    yes: bool,
    database_url: str | None,
    as_json: bool,
) -> None:
    """Retire KID, or every key that nothing hangs on any more.

    With --compromised or --all-signing sessions end; it says how many first.
    """
    if all_signing and kid is not None:
        raise click.UsageError("Name a key, or say --all-signing.")
    if compromised and not (all_signing or kid is not None):
        raise click.UsageError("Which key is compromised? Name it, or say --all-signing.")
    if compromised or all_signing:
        _kill(kid, dry_run, yes, database_url, as_json)
        return

    async def work(services: Services) -> list[StoredKey]:
        return await services.keys.retire(kid, operator(), dry_run=dry_run)

    gone = on_database(database_url, work, as_json=as_json)
    if as_json:
        say_json({"retired": [] if dry_run else _kids(gone), "matched": _kids(gone)})
        return
    for key in gone:
        click.echo(f"{key.ring}: {key.kid} {'would be' if dry_run else 'is'} retired")
    if not gone:
        click.echo("Nothing to retire." if kid is None else f"{kid} is retired already.")


def _kill(
    kid: str | None, dry_run: bool, yes: bool, database_url: str | None, as_json: bool
) -> None:
    if not (dry_run or yes or someone_there()):
        raise click.UsageError("This cannot be undone. Say --yes, or --dry-run.")

    async def work(services: Services) -> tuple[Killed, Killed | None]:
        found = await services.keys.count_killed(kid)
        if not as_json or not (dry_run or yes):
            for line in _would(found):
                click.echo(line, err=as_json)
        if dry_run:
            return found, None
        if not yes:
            click.confirm("Retire?", abort=True, err=True)
        return found, await services.keys.kill(kid, operator(), told=found.keys)

    found, done = on_database(database_url, work, as_json=as_json)
    if as_json:
        say_json(
            {
                "retired": [] if done is None else _kids(done.keys),
                "matched": found.matched.sessions,
                "ended": 0 if done is None else done.matched.sessions,
                "accounts": (found if done is None else done).matched.accounts,
            }
        )
    elif done is not None:
        click.echo(f"{len(done.keys)} keys retired, {sessions_told(done.matched)} ended.")


def _would(found: Killed) -> list[str]:
    lines = [f"{key.ring}: {key.kid} ({key.state}) would be retired" for key in found.keys]
    return [*lines, f"{sessions_told(found.matched)} would end."]


def _kids(gone: Sequence[StoredKey]) -> list[str]:
    return [key.kid for key in gone]


def _row(view: KeyView, now: int) -> list[str]:
    key = view.key
    sessions = "" if view.sessions is None else str(view.sessions)
    cells = [key.ring, key.kid, key.algorithm, key.state, _age(now - key.created_at), sessions]
    return [*cells, _when(view, now)]


def _when(view: KeyView, now: int) -> str:
    if view.retirable_at is None:
        return ""
    from authward.core.times import iso_time

    return "now" if view.retirable_at <= now else f"from {iso_time(view.retirable_at)}"


def _age(milliseconds: int) -> str:
    seconds = max(0, milliseconds // 1000)
    for unit, size in _UNITS:
        if seconds >= size:
            return f"{seconds // size}{unit}"
    return f"{seconds}s"
