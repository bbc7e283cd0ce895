"""Permission strings `verb:resource`, and the roles every installation starts with."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping

from authward.core.principal import Principal
from authward.errors import Forbidden

DEFAULT_ROLES: Mapping[str, frozenset[str]] = {
    "admin": frozenset(
        {
            "list:users",
            "read:users",
            "update:users",
            "delete:users",
            "assign:roles",
            "manage:roles",
            "read:audit",
            "manage:keys",
        }
    ),
    "moderator": frozenset({"read:users", "update:users"}),
    "user": frozenset(),
}


def effective(
    role: str, direct: Iterable[str], roles: Mapping[str, frozenset[str]]
) -> frozenset[str]:
    """Direct grants and those of the role; an unknown role grants nothing."""
    return roles.get(role, frozenset()).union(direct)


def check_access(
    principal: Principal, roles: Collection[str], permissions: Collection[str]
) -> None:
    """Refuse who has none of `roles` (if any are named) or lacks one of `permissions`. Raises
    Forbidden.
    """
    if roles and principal.role not in roles:
        raise Forbidden(f"role {principal.role}")
    for needed in permissions:
        if needed not in principal.permissions:
            raise Forbidden(f"lacks {needed}")
