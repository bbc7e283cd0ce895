"""Roles, what they grant, and the ones every installation starts with."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass

from authward.core.grants import EVERYTHING
from authward.core.principal import Principal
from authward.core.requirements import Requirement, unmet
from authward.errors import Forbidden


@dataclass(frozen=True, slots=True)
class Role:
    """What a role grants itself, and the roles it includes."""

    permissions: frozenset[str] = frozenset()
    includes: frozenset[str] = frozenset()


DEFAULT_ROLES: Mapping[str, Role] = {
    "admin": Role(frozenset({EVERYTHING})),
    "moderator": Role(frozenset({"read:users", "update:users"})),
    "user": Role(),
}


def held_roles(roles: Iterable[str], known: Mapping[str, Role]) -> frozenset[str]:
    """`roles`, and all that they include. An unknown role is held, and grants nothing."""
    held: set[str] = set()
    ahead = list(roles)
    while ahead:
        name = ahead.pop()
        if name not in held:
            held.add(name)
            ahead.extend(known.get(name, Role()).includes)
    return frozenset(held)


def effective(
    roles: Iterable[str], direct: Iterable[str], known: Mapping[str, Role]
) -> frozenset[str]:
    """Direct grants, and those of the roles and all that they include."""
    held = held_roles(roles, known)
    return frozenset(direct).union(*(known[name].permissions for name in held if name in known))


def has_one_of(principal: Principal, roles: Collection[str]) -> bool:
    """Whether the caller holds one of `roles`."""
    return principal.role in roles or not principal.roles.isdisjoint(roles)


def check_access(
    principal: Principal, roles: Collection[str], permissions: Collection[Requirement]
) -> None:
    """Refuse who has none of `roles` (if any are named) or lacks one of `permissions`. Raises
    Forbidden.
    """
    if roles and not has_one_of(principal, roles):
        raise Forbidden(f"role {principal.role}")
    lacking = unmet(principal.permissions, permissions)
    if lacking:
        raise Forbidden(f"lacks {lacking[0]}")
