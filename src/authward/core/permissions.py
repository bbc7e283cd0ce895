"""Permission strings `verb:resource`, and the roles every installation starts with."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

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
