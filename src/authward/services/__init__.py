"""Decisions plus ports. No HTTP, no SQL."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from authward.ports import Clock, Store
    from authward.services.access import Access
    from authward.services.accounts import Accounts
    from authward.services.audit import Refusals
    from authward.services.counts import Counts
    from authward.services.feed import Feed
    from authward.services.keys import Keys
    from authward.services.metrics import Metrics
    from authward.services.passwords import Passwords
    from authward.services.readiness import Readiness
    from authward.services.roles import Roles
    from authward.services.sessions import Sessions
    from authward.services.throttling import Throttling
    from authward.services.tokens import Tokens
    from authward.services.trail import Trail
    from authward.services.users import Users


@dataclass(frozen=True, slots=True)
class Services:
    """What the HTTP floor calls."""

    access: Access
    accounts: Accounts
    clock: Clock
    counts: Counts
    feed: Feed
    keys: Keys
    metrics: Metrics
    passwords: Passwords
    readiness: Readiness
    refusals: Refusals
    roles: Roles
    sessions: Sessions
    store: Store
    throttling: Throttling
    tokens: Tokens
    trail: Trail
    users: Users
