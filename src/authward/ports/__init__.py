"""What services need of the world, as Protocols. The docstrings are the contract; one test class
holds each adapter to it.

Verbs are atomic: each is one transaction, with the audit events and the change it announces, and
ends even if its caller is cancelled. Absence is None. An exception means the store is broken, and
Unavailable that it is away for now; except that what a callback (`decide`, `event`) raises passes
through after a rollback. A callback may be asked twice, as what a dead connection or a deadlock
undid is tried once more: it must not do, only decide.
All times are milliseconds since the epoch in database time, unless a name says otherwise.
"""

from authward.ports.audit import AuditChains, AuditLog, AuditQuery, AuditRow, Erased
from authward.ports.changes import Change, ChangeBatch, ChangeFeed, ChangeKind, Cursor, Wakes
from authward.ports.keys import KeyChange, KeyStore
from authward.ports.limits import RateLimiter
from authward.ports.sessions import Matched, NewSession, Refreshed, SessionMatch, SessionStore
from authward.ports.store import Store
from authward.ports.users import NewUser, RoleStore, UserQuery, UserStore
from authward.ports.world import Chance, Clock

__all__ = [
    "AuditChains",
    "AuditLog",
    "AuditQuery",
    "AuditRow",
    "Chance",
    "Change",
    "ChangeBatch",
    "ChangeFeed",
    "ChangeKind",
    "Clock",
    "Cursor",
    "Erased",
    "KeyChange",
    "KeyStore",
    "Matched",
    "NewSession",
    "NewUser",
    "RateLimiter",
    "Refreshed",
    "RoleStore",
    "SessionMatch",
    "SessionStore",
    "Store",
    "UserQuery",
    "UserStore",
    "Wakes",
]
