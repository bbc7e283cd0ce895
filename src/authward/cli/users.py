"""`authward users`: accounts, from the shell of the machine that has the database.

Running servers learn what is done here from the change feed, within a second.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from authward.cli.accounts import (
    Target,
    ask_password,
    in_vain,
    on_database,
    operator,
    someone_there,
    table,
    target,
    user_data,
)
from authward.cli.common import WRONG_USAGE, database_option, fail, json_option, say_json
from authward.cli.imports import import_users
from authward.core.text import printable

if TYPE_CHECKING:
    from authward.core.users import User
    from authward.services import Services
    from authward.services.users import Page, Rights

_PASSWORD_STDIN = click.option(
    "--password-stdin", is_flag=True, help="Read the password from standard input."
)


@click.group()
def users() -> None:
    """Make, list, change, import and delete accounts."""


users.add_command(import_users)


@users.command()
@click.option("--email", required=True)
@click.option("--name", help="[default: what the address begins with]")
@click.option("--role", default="user", show_default=True)
@_PASSWORD_STDIN
@database_option
@json_option
def create(
    email: str,
    name: str | None,
    role: str,
    password_stdin: bool,
    database_url: str | None,
    as_json: bool,
) -> None:
    """Make an account."""
    from authward.core.users import BadName, check_name

    try:
        shown = check_name(email.partition("@")[0] if name is None else name)
    except BadName as error:
        fail(f"name: {error}", WRONG_USAGE, error="validation_error", as_json=as_json)
    password = ask_password(password_stdin, as_json=as_json)

    async def work(services: Services) -> User:
        services.users.require_role(role)
        return await services.accounts.create(
            email, password, shown, operator(), role=role, by_operator=True
        )

    user = on_database(database_url, work, as_json=as_json, make=True)
    if as_json:
        say_json({"user": user_data(user)})
    else:
        click.echo(f"Made {user.email}, {user.role}, id {user.id}")


@users.command("list")
@click.option("--role", help="Only accounts of this role.")
@click.option("--search", help="Only accounts whose address or name holds this.")
@click.option("--limit", type=click.IntRange(1, 10_000), default=100, show_default=True)
@click.option("--cursor", help="Go on where the page before ended.")
@database_option
@json_option
def list_users(
    role: str | None,
    search: str | None,
    limit: int,
    cursor: str | None,
    database_url: str | None,
    as_json: bool,
) -> None:
    """List accounts, oldest first."""

    async def work(services: Services) -> Page:
        return await services.users.page(limit=limit, cursor=cursor, search=search, role=role)

    page = on_database(database_url, work, as_json=as_json)
    data = [user_data(user) for user in page.users]
    if as_json:
        say_json({"users": data, "nextCursor": page.cursor})
        return
    heads = ["ID", "EMAIL", "NAME", "ROLE", "CREATED", ""]
    keys = ("id", "email", "name", "role", "createdAt")
    rows = [
        [*(str(one[key]) for key in keys), "disabled" if one["disabled"] else ""] for one in data
    ]
    click.echo(table(heads, rows))
    if page.cursor is not None:
        click.echo(f"There are more: --cursor {page.cursor}", err=True)


@users.command("set-role")
@target
@click.option("--role", required=True, help="The one that clients see.")
@click.option("--also", multiple=True, help="A role beside it, as often as you like.")
def set_role(which: Target, role: str, also: tuple[str, ...]) -> None:
    """Give an account another role, and those of --also beside it. It holds no others then."""
    _, user = which.run(
        lambda services, user: services.users.set_role(
            None, user.id, role, operator(), additional=also
        )
    )
    beside = f", and {', '.join(user.additional_roles)} beside it" if user.additional_roles else ""
    which.done(f"{user.email} is {user.role} now{beside}", {"user": user_data(user)})


@users.command()
@target
@click.option("--grant", multiple=True, help="A permission to grant, as often as you like.")
@click.option("--take", multiple=True, help="One to grant directly no more.")
def permissions(which: Target, grant: tuple[str, ...], take: tuple[str, ...]) -> None:
    """Show what an account may do. Grant it permissions directly, and take such grants back."""
    both = sorted({*grant} & {*take})
    if both:
        raise click.UsageError(f"--grant and --take name the same: {', '.join(both)}")

    async def work(services: Services, user: User) -> Rights:
        if not grant and not take:
            return await services.users.permissions_of(user.id)
        return await services.users.adjust_permissions(
            None, user.id, operator(), grant=grant, take=take
        )

    user, rights = which.run(work)
    direct, effective = list(rights.user.permissions), sorted(rights.effective)
    had, changed = frozenset(user.permissions), user.permissions != rights.user.permissions
    lines = [
        *in_vain(
            (f"{user.email} was granted directly already", had.intersection(grant)),
            (f"{user.email} was not granted directly", frozenset(take) - had),
            changed=changed,
        ),
        f"{user.email} is granted directly: {', '.join(direct) or 'nothing'}",
        f"With its roles ({', '.join(rights.user.roles)}): {', '.join(effective) or 'nothing'}",
    ]
    which.done(
        "\n".join(lines),
        {"user": user_data(rights.user), "effective": effective, "changed": changed},
    )


@users.command()
@target
def disable(which: Target) -> None:
    """Let an account in no more, and end its sessions."""
    _, user = which.run(
        lambda services, user: services.users.set_disabled(None, user.id, True, operator())
    )
    which.done(f"{user.email} is disabled, its sessions have ended", {"user": user_data(user)})


@users.command()
@target
def enable(which: Target) -> None:
    """Let a disabled account in again."""
    _, user = which.run(
        lambda services, user: services.users.set_disabled(None, user.id, False, operator())
    )
    which.done(f"{user.email} is enabled", {"user": user_data(user)})


@users.command()
@target
def sessions(which: Target) -> None:
    """List the live sessions of an account."""
    from authward.core.times import iso_time

    _, found = which.run(lambda services, user: services.sessions.list(user.id))
    data = [
        {
            "id": session.id,
            "createdAt": iso_time(session.created_at),
            "lastUsedAt": iso_time(session.last_used_at),
            "ip": session.ip,
            "userAgent": session.user_agent,
        }
        for session in found
    ]
    heads = ["ID", "CREATED", "LAST USED", "IP", "USER AGENT"]
    which.done(table(heads, [list(row.values()) for row in data]), {"sessions": data})


@users.command()
@target
@click.option("--session", help="Only this session.")
def revoke(which: Target, session: str | None) -> None:
    """End all sessions of an account, or one of them."""

    async def work(services: Services, user: User) -> int:
        if session is not None:
            await services.sessions.end_of(user.id, session, operator(), actor=None)
            return 1
        live = len(await services.sessions.list(user.id))
        await services.sessions.end_all_of(user.id, operator(), actor=None)
        return live

    user, ended = which.run(work)
    ending = "1 session" if ended == 1 else f"{ended} sessions"
    which.done(f"{user.email}: {ending} ended", {"ended": ended})


@users.command("reset-password")
@target
@_PASSWORD_STDIN
def reset_password(which: Target, password_stdin: bool) -> None:
    """Set a new password, and end all sessions of the account."""
    password = ask_password(password_stdin, as_json=which.as_json)
    user, _ = which.run(
        lambda services, user: services.passwords.reset(user.id, password, operator())
    )
    which.done(
        f"{user.email} has a new password, its sessions have ended", {"user": user_data(user)}
    )


@users.command()
@target
@click.option("--yes", is_flag=True, help="Do not ask.")
def delete(which: Target, yes: bool) -> None:
    """Delete an account and its sessions."""
    if not yes:
        if not someone_there():
            raise click.UsageError("Deleting cannot be undone. Say --yes.")
        name = printable(which.email or which.user_id or "")
        click.confirm(f"Delete {name} for good?", abort=True, err=True)
    user, _ = which.run(lambda services, user: services.users.delete(None, user.id, operator()))
    which.done(f"{user.email} is deleted", {"deleted": user.id})
