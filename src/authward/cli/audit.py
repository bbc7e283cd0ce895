"""`authward audit`: reading the audit log, exporting it, and erasing a person from it."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import click

from authward.cli.accounts import email_or_id, on_database, operator, someone_there
from authward.cli.common import NOT_SO, database_option, json_option, say_json
from authward.cli.export import Writer, writer_of
from authward.cli.moments import moment_option
from authward.cli.output import STDOUT, output_to
from authward.cli.progress import Progress
from authward.cli.prune import prune
from authward.cli.verify import checkpoint, verify

if TYPE_CHECKING:
    from authward.ports import AuditQuery, AuditRow, Erased
    from authward.services import Services

_POLL_S = 0.5
_LATE = 200
"""Rows looked at anew: on PostgreSQL one of a lower id may be committed later."""
_WHY_LEFT = "it was edited, or its chain has no head that we signed. Run authward audit verify"


@click.group()
def audit() -> None:
    """Read, export and prove the audit log."""


def _known(context: click.Context, option: click.Parameter, kind: str | None) -> str | None:
    from authward.core.events import EVENT_KINDS, meant

    if kind is not None and kind not in EVENT_KINDS:
        raise click.BadParameter(f"there is no event '{kind}'. {meant(kind)}")
    return kind


def _filters(command: Callable[..., None]) -> Callable[..., None]:
    for option in (
        click.option("--user", help="Only of this account, acting or acted on: id or address."),
        click.option("--kind", callback=_known, help="Only of this kind, like login.failed."),
        click.option("--ip", help="Only from this address."),
        moment_option("--until", "Only before then."),
        moment_option("--since", "Only from then on: 2026-01-31T12:00:00Z, or an age: 2h."),
    ):
        command = option(command)
    return command


@audit.command()
@_filters
@click.option(
    "-n", "lines", type=click.IntRange(0, 10_000), default=20, show_default=True, help="How many."
)
@click.option("-f", "--follow", is_flag=True, help="Go on with what comes, until interrupted.")
@database_option
@json_option
def tail(lines: int, follow: bool, database_url: str | None, as_json: bool, **filters: Any) -> None:
    """Show the latest rows, the newest last."""

    async def work(services: Services) -> None:
        query = await _query(services, **filters)
        rows = await services.store.audit.page(query, lines, before=None) if lines else []
        _show(rows[::-1], as_json=as_json)
        if follow:
            await _follow(services, query, as_json=as_json)

    try:
        on_database(database_url, work, as_json=as_json)
    except KeyboardInterrupt:
        if not follow:
            raise


async def _follow(services: Services, query: AuditQuery, *, as_json: bool) -> None:
    import asyncio

    # Those that are there, whether or not they fit: they are no news.
    seen = {row.id for row in await services.store.audit.latest(_LATE)}
    floor = min(seen, default=0)
    while True:
        await asyncio.sleep(_POLL_S)
        newest = await services.store.audit.latest(_LATE)
        fresh = [row async for row in services.trail.rows(query, last=floor) if row.id not in seen]
        _show(fresh, as_json=as_json)
        # By rows, not by ids: one that somebody moved to the highest must not hide what follows.
        floor = max(floor, newest[-1].id - 1) if len(newest) == _LATE else floor
        seen = {one for one in seen | {row.id for row in fresh} if one > floor}


@audit.command()
@_filters
@click.option(
    "--format", "form", type=click.Choice(["jsonl", "csv"]), default="jsonl", help="jsonl or csv."
)
@click.option("-o", "--output", default="-", help="A file, which only you may read.")
@database_option
@json_option
def export(form: str, output: str, database_url: str | None, as_json: bool, **filters: Any) -> None:
    """Write all rows as JSON Lines or CSV, the oldest first.

    In CSV an apostrophe stands before what a spreadsheet would take for a formula.
    """
    if as_json and output in STDOUT:
        raise click.UsageError("--json says how many there were: it needs -o FILE.")

    async def work(services: Services) -> int:
        query = await _query(services, **filters)
        done, progress = 0, Progress("exported")
        with output_to(output) as file:
            write: Writer = writer_of(form, file)
            async for row in services.trail.rows(query):
                write(row)
                done += 1
                progress(done, None)
        return done

    done = on_database(database_url, work, as_json=as_json)
    if as_json:
        say_json({"exported": done})
    else:
        click.echo(f"Exported {done} rows", err=True)


@audit.command()
@click.argument("user")
@click.option("--yes", is_flag=True, help="Do not ask.")
@database_option
@json_option
def erase(user: str, yes: bool, database_url: str | None, as_json: bool) -> None:
    """Erase what the log tells of USER, an id or an address. Kinds, times and outcomes stay, and
    the log verifies as before.

    Of an account that is deleted already only the id is known.
    """
    if not (yes or someone_there()):
        raise click.UsageError("Erasing cannot be undone. Say --yes.")
    if not yes:
        click.confirm("Erase it?", abort=True, err=True)

    async def work(services: Services) -> Erased:
        return await services.trail.erase(await _user_id(services, user), operator())

    erased = on_database(database_url, work, as_json=as_json)
    if as_json:
        say_json({"erased": erased.rows, "left": erased.left})
    else:
        click.echo(f"Erased from {erased.rows} rows")
        for row in erased.left:
            click.echo(f"row {row} is left: {_WHY_LEFT}", err=True)
    if erased.left:
        raise SystemExit(NOT_SO)


async def _query(
    services: Services,
    *,
    user: str | None,
    kind: str | None,
    ip: str | None,
    since: Callable[[int], int] | None,
    until: Callable[[int], int] | None,
) -> AuditQuery:
    from authward.ports import AuditQuery

    now = int(services.clock.now() * 1000)
    return AuditQuery(
        None if user is None else await _user_id(services, user),
        kind,
        ip,
        since and since(now),
        until and until(now),
    )


async def _user_id(services: Services, user: str) -> str:
    """Of an address the account there is; an id may be that of one deleted long ago."""
    from authward.cli.accounts import find_account

    email, user_id = email_or_id(user)
    return user_id or (await find_account(services, email, None)).id


def _show(rows: list[AuditRow], *, as_json: bool) -> None:
    from authward.services.trail import row_data

    for row in rows:
        data = row_data(row)
        if as_json:
            say_json(data)
        else:
            click.echo(_line(data))


def _line(data: dict[str, Any]) -> str:
    from authward.core.text import printable

    words = [str(data["time"]), str(data["kind"]), str(data["outcome"])]
    # What a command did comes from no address: the user agent says who gave it.
    where = "ip" if data["ip"] else "userAgent"
    told = {name: data[name] for name in ("actor", "subject", "session", where)}
    told |= data["detail"]
    words += [f"{name}={value}" for name, value in told.items() if value not in (None, "")]
    return printable(" ".join(words), 2000)


for _command in (verify, checkpoint, prune):
    audit.add_command(_command)
