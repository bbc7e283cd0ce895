"""What the `users` commands share: naming an account, passwords, and accounts as they are shown."""

from __future__ import annotations

import functools
import sys
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

import click

from authward.cli.common import (
    NOT_SO,
    WRONG_USAGE,
    database_option,
    fail,
    json_option,
    load_settings,
    own_command,
    say_json,
    with_services,
)
from authward.core.audit import Client
from authward.core.text import printable, storable

if TYPE_CHECKING:
    from authward.core.users import User
    from authward.services import Services

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Target:
    """The account a command is about, and how to answer."""

    email: str | None
    user_id: str | None
    database_url: str | None
    as_json: bool

    def run(self, work: Callable[[Services, User], Awaitable[T]]) -> tuple[User, T]:
        """Do `work` with the account; it is returned as it was. No account ends the command."""

        async def found(services: Services) -> tuple[User, T]:
            user = await find_account(services, self.email, self.user_id)
            return user, await work(services, user)

        return on_database(self.database_url, found, as_json=self.as_json)

    def done(self, text: str, data: dict[str, object]) -> None:
        """Say what was done."""
        if self.as_json:
            say_json(data)
        else:
            click.echo(text)


def target(command: Callable[..., None]) -> Callable[..., None]:
    """`--email` or `--id`, `--database-url` and `--json`, as one `Target`."""

    @functools.wraps(command)
    def wrapped(
        email: str | None,
        user_id: str | None,
        database_url: str | None,
        as_json: bool,
        **options: Any,
    ) -> None:
        if (email is None) == (user_id is None):
            raise click.UsageError("Name the account with --email or with --id.")
        command(Target(email, user_id, database_url, as_json), **options)

    for option in (
        json_option,
        database_option,
        click.option("--id", "user_id", help="The account, by its id."),
        click.option("--email", help="The account, by its address."),
    ):
        wrapped = option(wrapped)
    return wrapped


def email_or_id(text: str) -> tuple[str | None, str | None]:
    """What names an account in one word: as an address, or as an id."""
    # No id of ours has an @, and every address has one.
    return (text, None) if "@" in text else (None, text)


async def find_account(services: Services, email: str | None, user_id: str | None) -> User:
    """The account with the address or, without one, the id. Raises NotFound, ValidationError."""
    from authward.errors import NotFound
    from authward.services.accounts import require_email

    if email is None:
        return await services.users.get(user_id or "")
    user = await services.store.users.by_email(require_email(email))
    if user is None:
        raise NotFound(f"no account has the address {printable(email)}")
    return user


def on_database(
    database_url: str | None,
    work: Callable[[Services], Awaitable[T]],
    *,
    as_json: bool,
    make: bool = False,
) -> T:
    """Run `work` over the services. A database that is not there yet is made only if `make`: in the
    wrong folder, an empty one would be an answer that misleads.
    """
    settings = load_settings(database_url=database_url, as_json=as_json)
    path = settings.sqlite_path
    if path is not None and not path.exists():
        if not make:
            fail(
                f"database_url: there is no database at {path}. Name it with --database-url, "
                f"or make a new one: {own_command()} migrate",
                NOT_SO,
                error="no_database",
                as_json=as_json,
            )
        click.echo(f"New database: {path}", err=True)
    return with_services(settings, work, as_json=as_json)


def operator() -> Client:
    """The client of an audit event that someone caused on this machine."""
    import getpass

    try:
        name = getpass.getuser()
    except (KeyError, OSError):
        name = "unknown"
    return Client.of("", f"authward command line ({name})", "")


def someone_there() -> bool:
    """Whether a question would find somebody to answer it."""
    return sys.stdin.isatty()


def ask_password(from_stdin: bool, *, as_json: bool) -> str:
    """The new password: all of stdin but its last line end, or typed twice and not shown."""
    if not from_stdin and not someone_there():
        raise click.UsageError("Give the password on standard input, with --password-stdin.")
    if not from_stdin:
        return str(click.prompt("Password", hide_input=True, confirmation_prompt=True, err=True))
    try:
        text = sys.stdin.buffer.read().decode()
    except UnicodeDecodeError:
        fail("password: is not UTF-8", WRONG_USAGE, error="validation_error", as_json=as_json)
    password = text.removesuffix("\n").removesuffix("\r")
    if not storable(password):
        fail("password: must not hold NUL", WRONG_USAGE, error="validation_error", as_json=as_json)
    return password


def in_vain(*found: tuple[str, Iterable[str]], changed: bool) -> list[str]:
    """A line for each text whose names are not empty: what was asked for, and was so already."""
    prefix = "" if changed else "Nothing changed: "
    told = ((text, ", ".join(sorted(names))) for text, names in found)
    return [f"{prefix}{text}: {names}" for text, names in told if names]


def user_data(user: User) -> dict[str, object]:
    """An account as `GET /api/users/{id}` shows it."""
    from authward.core.times import iso_time

    return {
        "id": user.id,
        "email": user.email,
        "name": user.name,
        "role": user.role,
        "permissions": list(user.permissions),
        "additionalRoles": list(user.additional_roles),
        "emailVerified": user.email_verified,
        "createdAt": iso_time(user.created_at),
        "disabled": user.disabled_at is not None,
    }


def table(heads: list[str], rows: list[list[str]], *, widest: int = 120) -> str:
    """Columns as wide as they need to be, of cells cut at `widest` characters."""
    shown = [heads, *([printable(cell, widest) for cell in row] for row in rows)]
    widths = [max(len(row[column]) for row in shown) for column in range(len(heads))]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in shown
    )
