"""Audit events: who did what to whom, from where. Never a secret."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from authward.core.text import printable
from authward.core.times import iso_time

Outcome = Literal["ok", "refused"]


@dataclass(frozen=True, slots=True)
class Client:
    """Where a request came from, safe to store: no control characters, bounded."""

    ip: str = ""
    user_agent: str = ""
    request_id: str = ""

    @classmethod
    def of(cls, ip: str, user_agent: str, request_id: str) -> Client:
        """Neutralise what the network said."""
        return cls(printable(ip, 64), printable(user_agent, 256), printable(request_id, 64))


@dataclass(frozen=True, slots=True)
class Event:
    """One audit row. `kind` is `subject.verb`, like `login.failed`; `actor` and `subject` are user
    ids.
    """

    kind: str
    client: Client
    outcome: Outcome = "ok"
    actor: str | None = None
    subject: str | None = None
    session: str | None = None
    detail: Mapping[str, str | int] = field(default_factory=dict)


def fields_of(event: Event, at: int) -> dict[str, object]:
    """An event that happened at `at` (milliseconds) as it is shown, but for its detail."""
    return {
        "time": iso_time(at),
        "kind": event.kind,
        "outcome": event.outcome,
        "actor": event.actor,
        "subject": event.subject,
        "session": event.session,
        "ip": event.client.ip,
        "userAgent": event.client.user_agent,
        "requestId": event.client.request_id,
    }
