"""`authward roles`: what each role grants, from the shell of the machine that has the database."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any

import click

from authward.cli.accounts import in_vain, on_database, operator, table
from authward.cli.common import database_option, json_option, say_json

if TYPE_CHECKING:
    from authward.core.permissions import Role
    from authward.services import Services


@click.group()
def roles() -> None:
    """List and change roles."""


def _on_role(command: Callable[..., None]) -> Callable[..., None]:
    """ROLE, `--database-url` and `--json`."""
    return click.argument("role")(database_option(json_option(command)))


@roles.command("list")
@database_option
@json_option
def list_roles(database_url: str | None, as_json: bool) -> None:
    """List every role, what it grants, and the roles it includes."""
    found = on_database(database_url, lambda services: services.roles.list(), as_json=as_json)
    data = [_data(name, found[name]) for name in sorted(found)]
    if as_json:
        say_json({"roles": data})
        return
    rows = [
        [str(one["name"]), ", ".join(one["permissions"]), ", ".join(one["includes"])]
        for one in data
    ]
    click.echo(table(["ROLE", "PERMISSIONS", "INCLUDES"], rows, widest=1000))


@roles.command()
@_on_role
@click.argument("permissions", nargs=-1, required=True, metavar="PERMISSION...")
def grant(role: str, permissions: tuple[str, ...], database_url: str | None, as_json: bool) -> None:
    """Grant permissions through ROLE. One that is not there yet is made."""
    _edit(role, database_url, as_json, create=True, grant=permissions)


@roles.command()
@_on_role
@click.argument("permissions", nargs=-1, required=True, metavar="PERMISSION...")
def revoke(
    role: str, permissions: tuple[str, ...], database_url: str | None, as_json: bool
) -> None:
    """Grant these permissions through ROLE no more."""
    _edit(role, database_url, as_json, revoke=permissions)


@roles.command()
@_on_role
@click.argument("others", nargs=-1, required=True, metavar="OTHER...")
def include(role: str, others: tuple[str, ...], database_url: str | None, as_json: bool) -> None:
    """Let ROLE grant what OTHER roles grant, now and later."""
    _edit(role, database_url, as_json, include=others)


@roles.command()
@_on_role
@click.argument("others", nargs=-1, required=True, metavar="OTHER...")
def exclude(role: str, others: tuple[str, ...], database_url: str | None, as_json: bool) -> None:
    """Let ROLE include OTHER roles no more."""
    _edit(role, database_url, as_json, exclude=others)


@roles.command()
@_on_role
def delete(role: str, database_url: str | None, as_json: bool) -> None:
    """Delete ROLE, if no account holds it and no role includes it."""
    on_database(
        database_url,
        lambda services: services.roles.delete(None, role, operator()),
        as_json=as_json,
    )
    if as_json:
        say_json({"deleted": role})
    else:
        click.echo(f"Deleted the role {role}")


def _edit(
    role: str,
    database_url: str | None,
    as_json: bool,
    *,
    create: bool = False,
    **changes: tuple[str, ...],
) -> None:
    from authward.services.roles import RoleEdit

    async def work(services: Services) -> tuple[Role | None, Role]:
        return await services.roles.adjust(
            None, role, RoleEdit(**changes), operator(), create=create
        )

    before, after = on_database(database_url, work, as_json=as_json)
    if as_json:
        say_json(
            {"role": _data(role, after), "created": before is None, "changed": before != after}
        )
        return
    if before is None:
        click.echo(f"Made the role {role}")
    else:
        for line in _in_vain(role, before, after, changes):
            click.echo(line)
    said = f"{role} grants {', '.join(sorted(after.permissions)) or 'nothing itself'}"
    included = f", and what {', '.join(sorted(after.includes))} grants" if after.includes else ""
    click.echo(said + included)


def _in_vain(role: str, before: Role, after: Role, asked: Mapping[str, Iterable[str]]) -> list[str]:
    has, includes = before.permissions, before.includes
    edit = {name: frozenset(names) for name, names in asked.items()}
    none: frozenset[str] = frozenset()
    return in_vain(
        (f"{role} was granted already", edit.get("grant", none) & has),
        (f"{role} was not granted", edit.get("revoke", none) - has),
        (f"{role} included already", edit.get("include", none) & includes),
        (f"{role} did not include", edit.get("exclude", none) - includes),
        changed=before != after,
    )


def _data(name: str, role: Role) -> dict[str, Any]:
    return {
        "name": name,
        "permissions": sorted(role.permissions),
        "includes": sorted(role.includes),
    }
