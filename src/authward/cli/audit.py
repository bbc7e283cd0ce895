"""`authward audit`: reading the audit log, exporting it, and proving that nobody edited it."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TextIO

import click

from authward.cli.accounts import email_or_id, on_database, operator, someone_there
from authward.cli.common import NOT_SO, database_option, json_option, say_json
from authward.cli.export import Writer, writer_of
from authward.cli.moments import moment_option
from authward.cli.output import STDOUT, output_to

if TYPE_CHECKING:
    from authward.core.anchors import Kept
    from authward.core.chain_proof import HeldUp, Problem, Proof, Pruned
    from authward.ports import AuditQuery, AuditRow, Erased
    from authward.services import Services

_PROGRESS = 10_000
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

    In CSV a cell that a spreadsheet would take for a formula begins with an apostrophe.
    """
    if as_json and output in STDOUT:
        raise click.UsageError("--json says how many there were: it needs -o FILE.")

    async def work(services: Services) -> int:
        query = await _query(services, **filters)
        done = 0
        with output_to(output) as file:
            write: Writer = writer_of(form, file)
            async for row in services.trail.rows(query):
                write(row)
                done += 1
                if done % _PROGRESS == 0:
                    click.echo(f"exported {done}", err=True)
        return done

    done = on_database(database_url, work, as_json=as_json)
    if as_json:
        say_json({"exported": done})
    else:
        click.echo(f"Exported {done} rows", err=True)


@audit.command()
@click.option(
    "--anchor",
    type=click.File("r", encoding="utf-8", errors="replace"),
    help="A log of the server, or the output of checkpoint: what it tells of must be there.",
)
@database_option
@json_option
def verify(anchor: TextIO | None, database_url: str | None, as_json: bool) -> None:
    """Prove that no row was edited, deleted, added or moved."""
    from authward.core.anchors import anchors_of

    async def work(services: Services) -> tuple[Proof, Kept]:
        chains = services.store.chains
        kept = chains.anchors(anchors_of(anchor or ()))
        if anchor is not None and not kept.anchors:
            raise click.UsageError(
                "--anchor: no checkpoint is told of there that is signed with the key of this "
                f"database, and {_checkpoints(kept.ignored)} without that."
            )
        return await chains.verify(kept.anchors, _Progress("verified")), kept

    proof, kept = on_database(database_url, work, as_json=as_json)
    if as_json:
        say_json(_proof_data(proof, kept))
    else:
        _say_proof(proof, kept)
    if not proof.holds:
        raise SystemExit(NOT_SO)


@audit.command()
@database_option
@json_option
def checkpoint(database_url: str | None, as_json: bool) -> None:
    """Sign the log as it is now, and show the anchor to keep elsewhere."""

    async def work(services: Services) -> str | None:
        # Where nothing happened since the last one, that one is the anchor.
        made = await services.trail.checkpoint() or await services.store.chains.latest()
        return None if made is None else services.trail.anchor_line(made)

    line = on_database(database_url, work, as_json=as_json)
    if line is not None:  # pragma: no branch - whoever starts writes the first
        click.echo(line)


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


@audit.command()
@moment_option("--before", "Rows older than then: 2026-01-31T12:00:00Z, or an age: 90d.", need=True)
@click.option("--dry-run", is_flag=True, help="Say how many it would be, and delete none.")
@click.option("--yes", is_flag=True, help="Do not ask.")
@database_option
@json_option
def prune(
    before: Callable[[int], int],
    dry_run: bool,
    yes: bool,
    database_url: str | None,
    as_json: bool,
) -> None:
    """Delete old rows, as far as they verify. A checkpoint stays in their place."""
    from authward.core.times import iso_time

    if not (dry_run or yes or someone_there()):
        raise click.UsageError("Pruning cannot be undone. Say --yes, or --dry-run.")

    async def work(services: Services) -> _Pruning:
        moment = before(int(services.clock.now() * 1000))
        found, until = await services.store.chains.count_older(moment), iso_time(moment)
        if not as_json or not (dry_run or yes):
            told = f"{_rows(found)} from before {until} would be deleted, as far as they verify."
            click.echo(told, err=as_json)
        if dry_run or not (yes or found):
            return _Pruning(found, until)  # without any there is nothing to ask
        if not yes:
            click.confirm("Delete them?", abort=True, err=True)
        progress = _Progress("pruned")
        done = await services.trail.prune(moment, lambda rows: progress(rows, None), operator())
        # An anchor from after it: those in between are in no log.
        made = await services.trail.checkpoint() if done.rows else None
        anchor = None if made is None else services.trail.anchor_line(made)
        held = None if done.problem else await services.store.chains.held_up(moment)
        return _Pruning(found, until, done, anchor, held)

    pruning = on_database(database_url, work, as_json=as_json)
    if as_json:
        say_json(pruning.data())
    else:
        pruning.say()
    if pruning.problem is not None:
        raise SystemExit(NOT_SO)


@dataclass(frozen=True, slots=True)
class _Pruning:
    """How many rows are from before a time, and, unless none were to be, what was deleted."""

    found: int
    before: str
    done: Pruned | None = None
    anchor: str | None = None
    held: HeldUp | None = None

    @property
    def problem(self) -> Problem | None:
        return None if self.done is None else self.done.problem

    def data(self) -> dict[str, Any]:
        problem, anchor = self.problem, self.anchor
        return {
            "matched": self.found,
            "before": self.before,
            "pruned": 0 if self.done is None else self.done.rows,
            "problem": None if problem is None else {"row": problem.row, "why": problem.why},
            "anchor": None if anchor is None else json.loads(anchor),
            "heldUp": None if self.held is None else self.held._asdict(),
        }

    def say(self) -> None:
        if self.done is None:
            return
        click.echo(f"Deleted {_rows(self.done.rows)}")
        if self.anchor is not None:
            click.echo(self.anchor)
        if self.problem is not None:
            told = _told(self.problem.row, self.problem.why)
            click.echo(f"It ended there: {told}", err=True)
        if self.held is not None:
            told = f"{_rows(self.held.rows)} of that time stay: row {self.held.behind} comes before"
            click.echo(f"{told} some of them in its chain, and is dated later", err=True)


def _checkpoints(number: int) -> str:
    return "1 checkpoint" if number == 1 else f"{number} checkpoints"


def _rows(number: int) -> str:
    return "1 row" if number == 1 else f"{number} rows"


class _Progress:
    """A line on stderr every ten thousand rows."""

    def __init__(self, verb: str) -> None:
        self._verb = verb
        self._next = _PROGRESS

    def __call__(self, done: int, total: int | None) -> None:
        if done >= self._next:
            self._next = done - done % _PROGRESS + _PROGRESS
            of = "" if total is None else f" of {total}"
            click.echo(f"{self._verb} {done}{of}", err=True)


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


def _proof_data(proof: Proof, kept: Kept) -> dict[str, Any]:
    first = proof.first
    return {
        "holds": proof.holds,
        "rows": proof.rows,
        "chains": proof.writers,
        "checkpoints": proof.checkpoints,
        "olderThanTheChains": proof.unchained,
        "anchors": len(kept.anchors),
        "anchorsIgnored": kept.ignored,
        "last": None if proof.last is None else {"number": proof.last[0], "hash": proof.last[1]},
        "bad": proof.bad,
        "first": None if first is None else {"row": first.row, "why": first.why},
        "problems": [{"row": one.row, "why": one.why} for one in proof.problems],
    }


def _say_proof(proof: Proof, kept: Kept) -> None:
    for one in proof.problems:
        click.echo(_told(one.row, one.why), err=True)
    if kept.ignored:
        told = f"--anchor: {_checkpoints(kept.ignored)} ignored, not signed with our key"
        click.echo(told, err=True)
    if proof.unchained:
        told = f"{proof.unchained} rows are older than the chains: nothing proves them"
        click.echo(told, err=True)
    if proof.first is not None:
        first = _told(proof.first.row, proof.first.why)
        click.echo(f"The log was tampered with, in {proof.bad} places. The first: {first}")
        return
    click.echo(f"{proof.rows} rows in {proof.writers} chains verify")
    if not kept.anchors:
        told = "Without --anchor nobody can tell whether the newest rows were taken away"
        click.echo(told, err=True)


def _told(row: int | None, why: str) -> str:
    return why if row is None else f"row {row} {why}"
