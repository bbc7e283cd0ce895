"""Giving and taking rights: who may, and what a role or an account may be given."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from authward.core.grants import EVERYTHING, BadPermission, beyond, check_grant
from authward.core.permissions import Role, effective, held_roles
from authward.core.principal import Principal
from authward.core.users import User
from authward.errors import (
    Detail,
    Forbidden,
    RoleInUse,
    TokenExpired,
    TokenRevoked,
    ValidationError,
)

ADMIN = "admin"
DEFAULT = "user"
PERMANENT = frozenset({ADMIN, DEFAULT})
"""Roles that nobody can delete: the last admin is counted by one, new accounts are given the
other.
"""
# Tokens carry these, and a token has at most 8192 characters.
MAX_DIRECT = 32
MAX_ADDITIONAL = 16
MAX_ROLE = 256
_NAME = re.compile(r"[a-z][a-z0-9_-]{0,63}", re.ASCII)


@dataclass(frozen=True, slots=True)
class Present:
    """What holds inside a transaction: every role, and the account that acts. That one is None for
    the operator, and where it is gone.
    """

    roles: Mapping[str, Role]
    actor: User | None


def rights_of(user: User, roles: Mapping[str, Role]) -> frozenset[str]:
    """The effective permissions of an account."""
    return effective(user.roles, user.permissions, roles)


def rights_to_act(actor: Principal | None, present: Present) -> frozenset[str]:
    """What the one who acts holds now; the operator (None) holds everything.

    A token is verified before the transaction begins. Raises TokenRevoked if the account has gone
    or was disabled since, TokenExpired if its sessions were ended or its rights changed since, or
    it has lost some of what the token stood for: its client refreshes, if it still can, and asks
    again with what is left.
    """
    if actor is None:
        return frozenset({EVERYTHING})
    if present.actor is None or present.actor.disabled_at is not None:
        raise TokenRevoked("the account that acts is gone or disabled")
    if actor.version < present.actor.ver:
        raise TokenExpired("the account that acts was signed out, or has other rights now")
    held = rights_of(present.actor, present.roles)
    lost = beyond(held, actor.permissions)
    if lost:
        raise TokenExpired(f"the account that acts has lost {lost[0]}")
    return held


def acts_as_admin(present: Present) -> bool:
    """Whether the one who acts, after `rights_to_act`, has the role admin, or is the operator."""
    return present.actor is None or ADMIN in present.actor.roles


def check_may_move(
    held: frozenset[str], present: Present, before: Iterable[str], after: Iterable[str]
) -> None:
    """Refuse who gives or takes a role that they do not hold, or one that it includes: a guard may
    ask for it by name, whatever it grants. `user`, which everybody begins with, is for anyone to
    give; and whoever holds every permission gives every role. `held` is what `rights_to_act` found.
    Raises Forbidden.
    """
    actor, known = present.actor, present.roles
    if actor is None or EVERYTHING in held:
        return
    moved_roles = held_roles(before, known) ^ held_roles(after, known)
    strange = sorted(moved_roles - held_roles(actor.roles, known) - {DEFAULT})
    if strange:
        raise Forbidden(
            f"gives or takes the role {strange[0]}, which the actor does not hold", roles=strange
        )


def check_role_name(name: str) -> str:
    """The name of a role. Raises ValidationError."""
    if _NAME.fullmatch(name) is None:
        raise _wrong(
            "name",
            "invalid_role",
            "A role is named in 1 to 64 small letters, digits, '-' and '_', a letter first",
        )
    return name


def role_of(
    name: str, permissions: Iterable[str], includes: Iterable[str], known: Mapping[str, Role]
) -> Role:
    """The role `name` as it is to be, beside those `known`. Raises ValidationError."""
    role = Role(_grants(permissions, MAX_ROLE), frozenset(includes))
    for other in sorted(role.includes):
        if other == name:
            raise _wrong("includes", "role_cycle", "A role cannot include itself")
        if other not in known:
            raise _unknown("includes", known)
        if name in held_roles([other], known):
            raise _wrong(
                "includes",
                "role_cycle",
                f"{other} includes {name} already. Leave one of the two out",
            )
    if ADMIN in held_roles(role.includes, known):
        raise _wrong("includes", "admin_is_the_role", "Give admin as the role of an account")
    if name == ADMIN and EVERYTHING not in role.permissions:
        raise _wrong("permissions", "admin_holds_all", f"The role admin keeps {EVERYTHING}")
    return role


def check_deletable(name: str, known: Mapping[str, Role]) -> None:
    """Refuse to delete a role that must stay, or that another includes. Raises RoleInUse."""
    if name in PERMANENT:
        raise RoleInUse(f"{name} stays", text="The roles admin and user cannot be deleted")
    including = sorted(other for other, role in known.items() if name in role.includes)
    if including:
        raise RoleInUse(f"included by {', '.join(including)}")


def additional_of(role: str, additional: Iterable[str]) -> tuple[str, ...]:
    """What an account holds beside `role`, each once, in order. Raises ValidationError."""
    found = tuple(sorted(set(additional) - {role}))
    if ADMIN in found:
        raise _wrong("additionalRoles", "admin_is_the_role", "Give admin as the role")
    if len(found) > MAX_ADDITIONAL:
        raise _wrong(
            "additionalRoles",
            "too_long",
            f"At most {MAX_ADDITIONAL}. Make a role that includes them",
        )
    return found


def direct_of(permissions: Iterable[str]) -> tuple[str, ...]:
    """Direct grants of an account, each once, in order. Raises ValidationError."""
    return tuple(sorted(_grants(permissions, MAX_DIRECT)))


def check_known(role: str, additional: Iterable[str], known: Iterable[str]) -> None:
    """Refuse roles that are none. Raises ValidationError."""
    names = frozenset(known)
    if role not in names:
        raise _unknown("role", names)
    if not names.issuperset(additional):
        raise _unknown("additionalRoles", names)


def moved(before: Iterable[str], after: Iterable[str]) -> dict[str, str]:
    """What was added and taken, for the audit log."""
    was, now = frozenset(before), frozenset(after)
    told = {"granted": now - was, "taken": was - now}
    return {word: ",".join(sorted(names)) for word, names in told.items() if names}


def _grants(permissions: Iterable[str], most: int) -> frozenset[str]:
    try:
        found = frozenset(map(check_grant, permissions))
    except BadPermission as error:
        raise _wrong("permissions", "invalid_permission", str(error)) from None
    if len(found) > most:
        raise _wrong("permissions", "too_long", f"At most {most}. A role may include others")
    return found


def _unknown(field: str, known: Iterable[str]) -> ValidationError:
    return _wrong(field, "unknown_role", f"Use one of: {', '.join(sorted(known))}")


def _wrong(field: str, code: str, message: str) -> ValidationError:
    return ValidationError(details=[Detail(field, code, message)])
