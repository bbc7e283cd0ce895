"""Who is calling."""

from __future__ import annotations

from dataclasses import dataclass

from authward.core.requirements import Requirement, met


@dataclass(frozen=True, slots=True)
class Principal:
    """The account behind a verified access token.

    `role` is the account's, `roles` are all it holds: that one, those it was given beside it, and
    those they include. `permissions` are the effective ones: direct grants and those of the roles,
    wildcards among them; `can` reads them. `email` is "" where tokens carry none. `version`,
    `auth_time` and `expires_at` (seconds) are the token's.
    """

    id: str
    email: str
    role: str
    permissions: frozenset[str]
    session_id: str
    version: int = 0
    auth_time: int = 0
    expires_at: int = 0
    roles: frozenset[str] = frozenset()

    def can(self, need: Requirement) -> bool:
        """Whether this caller holds a permission, itself or by a wildcard; or any or all of several
        (`any_of`, `all_of`). No I/O.
        """
        return need in self.permissions or met(self.permissions, (need,))

    def has_role(self, role: str) -> bool:
        """Whether this caller holds a role, by itself or through another that includes it."""
        return role == self.role or role in self.roles
