"""Accounts: what an e-mail address is, who may touch whom."""

from __future__ import annotations

import re
import unicodedata
from base64 import urlsafe_b64encode
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from authward.core.grants import beyond
from authward.core.text import shows_all
from authward.errors import Forbidden, LastAdmin

USER_ID = re.compile(r"[A-Za-z0-9_-]{8,64}", re.ASCII)
_ID_BYTES = 15
MAX_NAME = 200
MAX_EMAIL = 254
RIGHTS = ("role", "additional_roles", "permissions")
"""What of an account says what it may do."""


@dataclass(frozen=True, slots=True)
class User:
    """An account. Times are milliseconds since the epoch; `permissions` are direct grants,
    `additional_roles` those it holds beside `role`, the one that clients see.
    """

    id: str
    email: str
    email_canonical: str
    name: str
    role: str
    permissions: tuple[str, ...]
    epoch: int
    ver: int
    password_hash: str = field(repr=False)
    email_verified: bool
    created_at: int
    disabled_at: int | None
    additional_roles: tuple[str, ...] = ()

    @property
    def roles(self) -> tuple[str, ...]:
        """Every role it was given."""
        return (self.role, *self.additional_roles)


@dataclass(frozen=True, slots=True)
class UserChange:
    """What happens to an account in one transaction.

    `revoke` ends every session (but `keep_session`) and every access token of it; `supersede` makes
    clients fetch new rights.
    """

    values: Mapping[str, Any] = field(default_factory=dict)
    revoke: bool = False
    supersede: bool = False
    delete: bool = False
    keep_session: str | None = None


def new_user_id(chance: Callable[[int], bytes]) -> str:
    """The id of a new account, of random bytes. None begins with a dash, which commands would take
    for an option.
    """
    found = urlsafe_b64encode(chance(_ID_BYTES)).decode()
    return f"_{found[1:]}" if found.startswith("-") else found


class BadName(ValueError):
    """Not a name that can be shown on one line. The text is public."""


def check_name(name: str) -> str:
    """A name as it may be stored: 1 to 200 characters, not all of them space, none unseen. Raises
    BadName.
    """
    if not name:
        raise BadName("The name is empty.")
    if len(name) > MAX_NAME:
        raise BadName(f"The name is longer than {MAX_NAME} characters.")
    if not shows_all(name):
        raise BadName("The name holds control or invisible characters.")
    if name.isspace():
        raise BadName("The name is blank.")
    return name


class BadEmail(ValueError):
    """Not an address. The text is public."""


def canonical_email(address: str) -> str:
    """The form under which an address is unique: Unicode NFKC, case folded, IDN as A-labels.

    Decided here and never by SQL, whose `lower()` differs between databases. Raises BadEmail.
    """
    if len(address) > MAX_EMAIL:
        raise BadEmail("The address is too long.")
    # Imported late: the first use alone pays for it.
    from email_validator import EmailNotValidError, validate_email

    try:
        parsed = validate_email(address, check_deliverability=False, test_environment=True)
    except EmailNotValidError as error:
        raise BadEmail(str(error)) from None
    local = unicodedata.normalize("NFKC", parsed.local_part).casefold()
    canonical = f"{unicodedata.normalize('NFKC', local)}@{parsed.ascii_domain.lower()}"
    # One character may become eighteen under NFKC; the column holds what an address may be.
    if len(canonical) > MAX_EMAIL:
        raise BadEmail("The address is too long.")
    return canonical


def check_last_admin(user: User, change: UserChange, enabled_admins: int) -> None:
    """Refuse to take away the last enabled admin. Raises LastAdmin."""
    if user.role != "admin" or user.disabled_at is not None or enabled_admins > 1:
        return
    loses = (
        change.delete
        or change.values.get("disabled_at") is not None
        or change.values.get("role", "admin") != "admin"
    )
    if loses:
        raise LastAdmin("no other enabled admin")


def check_may_edit(actor_permissions: frozenset[str], target_permissions: frozenset[str]) -> None:
    """Nobody touches who holds more than they do: the target's effective permissions are covered by
    the actor's. Raises Forbidden.
    """
    lacking = beyond(actor_permissions, target_permissions)
    if lacking:
        raise Forbidden("the target holds permissions the actor lacks", permissions=lacking)
