"""`authward sessions`: ending many at once, when something has leaked."""

from __future__ import annotations

import re
from datetime import datetime
from typing import TYPE_CHECKING

import click

from authward.cli.accounts import email_or_id, find_account, on_database, operator, someone_there
from authward.cli.common import database_option, json_option, say_json
from authward.errors import ConfigurationError

if TYPE_CHECKING:
    from ipaddress import IPv4Network, IPv6Network

    from authward.ports import Matched, SessionMatch
    from authward.services import Services

_AGE = re.compile(r"([0-9]{1,9})([smhd])", re.ASCII)
_UNIT_MS = {"s": 1000, "m": 60_000, "h": 3_600_000, "d": 86_400_000}


@click.group()
def sessions() -> None:
    """End sessions of many accounts."""


@sessions.command()
@click.option("--user", help="Only of this account: an id or an address.")
@click.option("--ip", metavar="NETWORK", help="Only last used from this address or network.")
@click.option("--issued-before", metavar="TIME", help="2026-01-31T12:00:00Z, or an age: 2h.")
@click.option("--role", help="Only of accounts that hold this role.")
@click.option("--all", "everyone", is_flag=True, help="Every session there is.")
@click.option("--dry-run", is_flag=True, help="Say how many it would be, and end none.")
@click.option("--yes", is_flag=True, help="Do not ask.")
@database_option
@json_option
def revoke(
    user: str | None,
    ip: str | None,
    issued_before: str | None,
    role: str | None,
    everyone: bool,
    dry_run: bool,
    yes: bool,
    database_url: str | None,
    as_json: bool,
) -> None:
    """End every session that all the given options fit."""
    given = [one is not None for one in (user, ip, issued_before, role)]
    if everyone == any(given):
        raise click.UsageError("Say which sessions, or --all alone.")
    if not (dry_run or yes or someone_there()):
        raise click.UsageError("Ending sessions cannot be undone. Say --yes, or --dry-run.")
    network = None if ip is None else _network(ip)
    moment = None if issued_before is None else _moment(issued_before)

    async def work(services: Services) -> tuple[Matched, Matched | None]:
        from authward.services import incidents

        match = await _match(services, user, network, role, moment)
        found = await services.store.sessions.count_matching(match)
        if not as_json or not (dry_run or yes):
            click.echo(f"{told(found)} would end.", err=as_json)
        if dry_run or not (yes or found.sessions):
            return found, None  # without any there is nothing to ask
        if not yes:
            click.confirm("End them?", abort=True, err=True)
        return found, await incidents.revoke(services, match, operator())

    found, done = on_database(database_url, work, as_json=as_json)
    if as_json:
        ended = 0 if done is None else done.sessions
        accounts = found.accounts if done is None else done.accounts
        say_json({"matched": found.sessions, "ended": ended, "accounts": accounts})
    elif done is not None:
        click.echo(f"{told(done)} ended.")


async def _match(
    services: Services,
    user: str | None,
    network: IPv4Network | IPv6Network | None,
    role: str | None,
    moment: tuple[int, bool] | None,
) -> SessionMatch:
    from authward.ports import SessionMatch
    from authward.services import incidents

    user_id = None
    if user is not None:
        user_id = (await find_account(services, *email_or_id(user))).id
    before = None
    if moment is not None:
        given, is_age = moment
        at = int(services.clock.now() * 1000) - given if is_age else given
        before = -(-at // 1000) * 1000  # tokens know whole seconds
    if role == "":
        raise click.UsageError("--role is empty.")
    return incidents.matching(
        services, SessionMatch(user_id, network, role or "", frozenset(), before)
    )


def _network(text: str) -> IPv4Network | IPv6Network:
    from authward.core.clients import network_of

    try:
        return network_of("--ip", text)
    except ConfigurationError as error:
        raise click.UsageError(str(error)) from None


def _moment(text: str) -> tuple[int, bool]:
    """Milliseconds, and whether they are an age."""
    if age := _AGE.fullmatch(text):
        return int(age[1]) * _UNIT_MS[age[2]], True
    try:
        parsed = datetime.fromisoformat(text)
    except ValueError:
        parsed = None
    if parsed is None or parsed.tzinfo is None:
        raise click.UsageError(
            f"--issued-before: '{text}' is no time with a zone, like 2026-01-31T12:00:00Z, "
            "and no age, like 2h."
        )
    return int(parsed.timestamp() * 1000), False


def told(found: Matched) -> str:
    """The number of them, in words."""
    sessions = "1 live session" if found.sessions == 1 else f"{found.sessions} live sessions"
    accounts = "1 account" if found.accounts == 1 else f"{found.accounts} accounts"
    return f"{sessions} of {accounts}"
