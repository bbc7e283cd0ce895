"""`authward audit prune`: deleting what is old, as far as it verifies."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import click

from authward.cli.accounts import on_database, operator, someone_there
from authward.cli.common import NOT_SO, database_option, json_option, say_json
from authward.cli.moments import moment_option
from authward.cli.progress import Progress
from authward.cli.verify import told_of

if TYPE_CHECKING:
    from authward.core.chain_proof import HeldUp, Problem, Pruned
    from authward.services import Services


@click.command()
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
        progress = Progress("pruned")
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
            told = told_of(self.problem.row, self.problem.why)
            click.echo(f"It ended there: {told}", err=True)
        if self.held is not None:
            told = f"{_rows(self.held.rows)} of that time stay: row {self.held.behind} comes before"
            click.echo(f"{told} some of them in its chain, and is dated later", err=True)


def _rows(number: int) -> str:
    return "1 row" if number == 1 else f"{number} rows"
