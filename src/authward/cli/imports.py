"""`authward users import`."""

from __future__ import annotations

from typing import TYPE_CHECKING, BinaryIO

import click

from authward.cli.accounts import on_database, operator
from authward.cli.common import NOT_SO, database_option, fail, json_option, say_json
from authward.core.text import printable

if TYPE_CHECKING:
    from collections import Counter

    from authward.services import Services
    from authward.services.imports import Imported, ImportPlan

STEP = 1000


class Progress:
    """A line on stderr every `STEP` rows: long work says how far it is."""

    def __init__(self, verb: str, total: int) -> None:
        self._verb = verb
        self._total = total
        self._done = 0

    def __call__(self) -> None:
        self._done += 1
        if self._done % STEP == 0:
            click.echo(f"{self._verb} {self._done} of {self._total}", err=True)


@click.command("import")
@click.argument("file", type=click.File("rb"))
@click.option("--default-role", help="The role of rows whose own is missing or unknown here.")
@click.option("--new-ids", is_flag=True, help="Give new ids to rows whose own cannot be kept.")
@click.option("--skip-bad", is_flag=True, help="Import the good rows where others are bad.")
@database_option
@json_option
def import_users(
    file: BinaryIO,
    default_role: str | None,
    new_ids: bool,
    skip_bad: bool,
    database_url: str | None,
    as_json: bool,
) -> None:
    """Import accounts from FILE, with the passwords they have.

    FILE is JSON Lines or one JSON array, as mongoexport writes them; "-" is standard input. Each
    row has an "email", and a bcrypt hash in "password" or "passwordHash"; "_id" or "id", "name" and
    "role" are read too. All rows are checked before the first is written. Accounts that exist are
    left alone, so the same file may be imported again.
    """
    from authward.core.imports import UnreadableImport, documents, read_rows
    from authward.services.imports import Imports

    try:
        rows = documents(file.read())
    except UnreadableImport as error:
        fail(str(error), NOT_SO, error="unreadable", as_json=as_json)

    async def work(services: Services) -> tuple[ImportPlan, Imported | None]:
        import os

        if default_role is not None:
            services.users.require_role(default_role)
        imports = Imports(
            services.store.users, services.store.changes, services.feed.roles, os.urandom
        )
        plan = await imports.plan(
            read_rows(rows, new_ids=new_ids),
            default_role=default_role,
            on_row=Progress("checked", len(rows)),
        )
        if plan.problems and not skip_bad:
            return plan, None
        on_row = Progress("imported", len(plan.ready))
        return plan, await imports.run(plan, operator(), on_row=on_row)

    plan, done = on_database(database_url, work, as_json=as_json, make=True)
    if as_json:
        say_json(_data(plan, done))
    else:
        _say(plan, done, len(rows))
    if done is None or (plan.problems and not plan.ready and not plan.existing):
        raise SystemExit(NOT_SO)


def _data(plan: ImportPlan, done: Imported | None) -> dict[str, object]:
    existing = plan.existing + (done.existing if done else [])
    return {
        "imported": sum(done.roles.values()) if done else 0,
        "roles": dict(done.roles) if done else {},
        "existing": [{"row": row.row, "email": row.email} for row in existing],
        "bad": [
            {"row": bad.row, "field": bad.field, "message": bad.message} for bad in plan.problems
        ],
        "newIds": done.new_ids if done else {},
        "ignoredFields": dict(plan.ignored),
        "costlyHashes": {str(cost): number for cost, number in sorted(plan.costly.items())},
    }


def _warning(costly: Counter[int]) -> str:
    many = ", ".join(f"{number} of cost {cost}" for cost, number in sorted(costly.items()))
    return (
        f"Slow bcrypt hashes: {many}. Until their owners have signed in and the server has been "
        "restarted, every failed sign-in, to any account, costs a hash of each cost there is, so "
        "that its time tells nothing. Cost 12 takes a quarter of a second, each step twice that."
    )


def _say(plan: ImportPlan, done: Imported | None, total: int) -> None:
    for bad in plan.problems:
        click.echo(f"row {bad.row}, {bad.field}: {printable(bad.message)}", err=True)
    bad_rows = len({bad.row for bad in plan.problems})
    if done is None:
        click.echo(
            f"Nothing was imported: {bad_rows} of {total} rows are bad. "
            "Mend them, or leave them out with --skip-bad.",
            err=True,
        )
        return
    for row in plan.existing + done.existing:
        click.echo(f"row {row.row}: {printable(row.email)} exists already, left alone", err=True)
    counts = ", ".join(f"{count} {printable(role)}" for role, count in sorted(done.roles.items()))
    existing = len(plan.existing) + len(done.existing)
    click.echo(
        f"Imported {sum(done.roles.values())} of {total}"
        + (f" ({counts})" if counts else "")
        + (f"; {existing} existed already" if existing else "")
        + (f"; bad and left out: {bad_rows}" if bad_rows else "")
    )
    if plan.costly:
        click.echo(_warning(plan.costly), err=True)
    if done.new_ids:
        click.echo(f"{len(done.new_ids)} have new ids; --json tells which", err=True)
    if plan.ignored:
        fields = ", ".join(printable(name, 60) for name in sorted(plan.ignored))
        click.echo(f"Fields that were not read: {fields}", err=True)
