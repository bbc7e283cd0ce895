"""What an app can be told of: every kind of audit event there is, and the form it is told in."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from types import MappingProxyType

from authward.core.audit import Event, Outcome
from authward.errors import ConfigurationError

EVERY = "*"
"""What to name for events of every kind."""

_COUNTED = ("reason", "count")
_GRANTS = ("granted", "taken")
_KEY = ("ring", "kid")

EVENT_KINDS: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "access.denied": ("error", *_COUNTED),
        "audit.dropped": ("count",),
        "audit.erased": ("rows",),
        "audit.pruned": ("rows", "before"),
        "key.killed": _KEY,
        "key.published": _KEY,
        "key.retired": _KEY,
        "key.rotated": _KEY,
        "keys.resealed": ("keys",),
        "login.failed": _COUNTED,
        "login.succeeded": ("replaced",),
        "password.change_refused": _COUNTED,
        "password.changed": (),
        "password.reset": (),
        "role.changed": ("role", *_GRANTS, "included", "excluded"),
        "role.deleted": ("role", *_GRANTS, "included", "excluded"),
        "session.all_ended": (),
        "session.ended": (),
        "session.generation_ahead": _COUNTED,
        "session.refresh_overlap": (),
        "session.refresh_refused": _COUNTED,
        "session.refreshed": (),
        "session.reuse_detected": (),
        "sessions.revoked": ("role", "network", "before", "kid", "sessions", "accounts"),
        "sessions.revoking": ("role", "network", "before", "kid", "everyone", "signed_before"),
        "user.created": (),
        "user.deleted": (),
        "user.disabled": (),
        "user.edited": ("fields", "disabled"),
        "user.enabled": (),
        "user.imported": (),
        "user.permissions_set": _GRANTS,
        "user.registered": (),
        "user.registration_refused": _COUNTED,
        "user.renamed": (),
        "user.role_set": ("role", "was", *_GRANTS),
    }
)
"""Every kind of event, with the names of what its detail may hold."""


@dataclass(frozen=True, slots=True)
class AuthEvent:
    """Something that happened, as handlers are told it. `actor` and `subject` are user ids. `at` is
    when this process knew of it, in UTC. `detail` holds what `EVENT_KINDS` names, never a secret.
    """

    kind: str
    outcome: Outcome
    at: datetime
    actor: str | None
    subject: str | None
    session: str | None
    ip: str
    user_agent: str
    request_id: str
    detail: Mapping[str, str | int]

    @classmethod
    def of(cls, event: Event, now: float) -> AuthEvent:
        """An audit event that was committed at `now` (seconds since the epoch)."""
        return cls(
            event.kind,
            event.outcome,
            datetime.fromtimestamp(now, UTC),
            event.actor,
            event.subject,
            event.session,
            event.client.ip,
            event.client.user_agent,
            event.client.request_id,
            # A copy nobody can write to: several handlers are told the same.
            MappingProxyType(dict(event.detail)),
        )


def known_kind(kind: object) -> str:
    """A kind as `auth.on` takes it. Raises ConfigurationError, with the kind that was meant."""
    if isinstance(kind, str) and (kind == EVERY or kind in EVENT_KINDS):
        return kind
    raise ConfigurationError(f"on: there is no event '{kind}'. {meant(str(kind))}")


def meant(kind: str) -> str:
    """What to tell who names a kind that there is not."""
    close = difflib.get_close_matches(kind, EVENT_KINDS, n=1, cutoff=0.5)
    return f"Did you mean '{close[0]}'?" if close else "The page events.md of the docs lists them"
