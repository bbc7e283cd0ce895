"""Who is calling."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Principal:
    """The account behind a verified access token.

    `permissions` are the effective ones: direct grants and those of the role. `email` is "" where
    tokens carry none. `version`, `auth_time` and `expires_at` (seconds) are the token's.
    """

    id: str
    email: str
    role: str
    permissions: frozenset[str]
    session_id: str
    version: int = 0
    auth_time: int = 0
    expires_at: int = 0
