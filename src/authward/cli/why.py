"""`authward why`: whether an account holds a permission, through what, and where it would come
from.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from authward.cli.accounts import Target, email_or_id
from authward.cli.common import NOT_SO, WRONG_USAGE, database_option, fail, json_option
from authward.core.text import printable

if TYPE_CHECKING:
    from authward.core.users import User
    from authward.core.why import Why
    from authward.services import Services


@click.command()
@click.argument("user")
@click.argument("permission")
@database_option
@json_option
def why(user: str, permission: str, database_url: str | None, as_json: bool) -> None:
    """Say whether USER, an id or an address, holds PERMISSION, and why.

    Exits 0 when it is held, 1 when not.
    """
    from authward.core.grants import BadPermission, check_grant
    from authward.core.why import why as explain

    try:
        needed = check_grant(permission)
    except BadPermission as error:
        fail(f"permission: {error}", WRONG_USAGE, error="validation_error", as_json=as_json)
    which = Target(*email_or_id(user), database_url, as_json)

    async def work(services: Services, user: User) -> Why:
        return explain(needed, user.roles, user.permissions, services.feed.roles)

    account, found = which.run(work)
    which.done(_told(account, found), _data(account, found))
    if not found.held:
        raise SystemExit(NOT_SO)


def _told(user: User, found: Why) -> str:
    who = printable(user.email)
    if found.held:
        lines = [f"{who} holds {found.permission}:", *(f"  {one}" for one in found.sources)]
    else:
        by = ", ".join(found.granted_by)
        lines = [
            f"{who} does not hold {found.permission}.",
            f"Its roles: {', '.join(user.roles)}.",
            f"Roles that grant it: {by}." if by else "No role grants it.",
            "It can be granted directly, too.",
        ]
    if user.disabled_at is not None:
        lines.append("The account is disabled, so it may do nothing at present.")
    return "\n".join(lines)


def _data(user: User, found: Why) -> dict[str, object]:
    return {
        "user": user.id,
        "email": user.email,
        "roles": list(user.roles),
        "disabled": user.disabled_at is not None,
        "permission": found.permission,
        "held": found.held,
        "sources": [{"grant": one.grant, "roles": list(one.roles)} for one in found.sources],
        "grantedBy": list(found.granted_by),
    }
