"""`authward audit verify` and `checkpoint`: proving that nobody edited the audit log."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TextIO

import click

from authward.cli.accounts import on_database
from authward.cli.common import NOT_SO, database_option, json_option, say_json
from authward.cli.progress import Progress

if TYPE_CHECKING:
    from authward.core.anchors import Kept
    from authward.core.chain_proof import Proof
    from authward.services import Services


@click.command()
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
        return await chains.verify(kept.anchors, Progress("verified")), kept

    proof, kept = on_database(database_url, work, as_json=as_json)
    if as_json:
        say_json(_proof_data(proof, kept))
    else:
        _say_proof(proof, kept)
    if not proof.holds:
        raise SystemExit(NOT_SO)


@click.command()
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


def _checkpoints(number: int) -> str:
    return "1 checkpoint" if number == 1 else f"{number} checkpoints"


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
        click.echo(told_of(one.row, one.why), err=True)
    if kept.ignored:
        told = f"--anchor: {_checkpoints(kept.ignored)} ignored, not signed with our key"
        click.echo(told, err=True)
    if proof.unchained:
        told = f"{proof.unchained} rows are older than the chains: nothing proves them"
        click.echo(told, err=True)
    if proof.first is not None:
        first = told_of(proof.first.row, proof.first.why)
        click.echo(f"The log was tampered with, in {proof.bad} places. The first: {first}")
        return
    click.echo(f"{proof.rows} rows in {proof.writers} chains verify")
    if not kept.anchors:
        told = "Without --anchor nobody can tell whether the newest rows were taken away"
        click.echo(told, err=True)


def told_of(row: int | None, why: str) -> str:
    """A problem in words."""
    return why if row is None else f"row {row} {why}"
