"""What contract tests need: a clock to turn, accounts, sessions, events."""

import asyncio
import itertools
import time
from collections.abc import Awaitable, Callable, Iterable
from typing import Any, TypeVar

from authward.core.audit import Client, Event
from authward.core.chain import AuditKeys
from authward.core.sessions import Session, Verdict
from authward.core.users import User, UserChange
from authward.errors import LastAdmin
from authward.ports import Change, Cursor, NewSession, NewUser, Store, UserQuery

T = TypeVar("T")

GRACE = 60_000
LIFETIME = 3_600_000
HORIZON = 3_600_000
START = Cursor()

AUDIT_KEYS = AuditKeys("audit-key-of-tests", {"audit-key-of-tests": bytes(range(32))})

CLIENT = Client("203.0.113.9", "a browser", "r-1")

_numbers = itertools.count(1)


class TurnedClock:
    """The real time, plus what the test says."""

    def __init__(self) -> None:
        self.offset_ms = 0

    def now(self) -> float:
        return time.time() + self.offset_ms / 1000

    def monotonic(self) -> float:
        return time.monotonic() + self.offset_ms / 1000

    def turn(self, milliseconds: int) -> None:
        self.offset_ms += milliseconds


def happened(kind: str = "test.happened", **facts: Any) -> Event:
    return Event(kind, CLIENT, **facts)


def silent(verdict: Verdict, session: Session) -> None:
    """No audit row for this refresh."""


def new_user(email: str | None = None, **values: Any) -> NewUser:
    number = next(_numbers)
    email = email or f"user{number}@example.com"
    given = {
        "id": f"user-{number:08}",
        "email": email,
        "email_canonical": email.lower(),
        "name": f"User {number}",
        "role": "user",
        "password_hash": f"$argon2id$v=19$hash-{number}",
    }
    return NewUser(**{**given, **values})


async def add_user(store: Store, email: str | None = None, **values: Any) -> User:
    user = await store.users.add(new_user(email, **values), happened("user.registered"))
    assert user is not None
    return user


def new_session(user: User, **values: Any) -> NewSession:
    given: dict[str, Any] = {
        "id": f"session-{next(_numbers):08}",
        "user_id": user.id,
        "epoch": user.epoch,
        "kid": "kid-0001",
        "lifetime": LIFETIME,
        "ip": "203.0.113.9",
        "user_agent": "a browser",
    }
    return NewSession(**{**given, **values})


async def open_session(
    store: Store, user: User, *, replaces: str | None = None, **values: Any
) -> Session:
    session = await store.sessions.open(
        new_session(user, **values), happened("login.ok"), replaces=replaces
    )
    assert session is not None
    return session


async def verdict(store: Store, session: Session, generation: int, grace: int = GRACE) -> Verdict:
    """What a refresh comes to. ROTATE and REUSED do happen."""
    found = await store.sessions.refresh(
        session.id, generation, kid="kid-0001", grace=grace, client=CLIENT, event=silent
    )
    assert found is not None
    return found.verdict


def always(**change: Any) -> Callable[[User], UserChange]:
    return lambda user: UserChange(**change)


DEMOTE = always(values={"role": "user"}, supersede=True)
DISABLE = always(values={"disabled_at": 1}, revoke=True)
DELETE = always(delete=True)


async def enabled_admins(store: Store) -> list[User]:
    everyone = await store.users.page(UserQuery(1000, role="admin"))
    return [user for user in everyone if user.disabled_at is None]


async def unless_last(work: Awaitable[T]) -> T | LastAdmin:
    try:
        return await work
    except LastAdmin as refused:
        return refused


async def at_once(works: Iterable[Awaitable[T]]) -> list[T]:
    return await asyncio.gather(*works)


async def changes(store: Store, cursor: Cursor = START) -> list[tuple[str, str, int, str | None]]:
    """All of the feed after `cursor`, without the times."""
    batch = await store.changes.since(cursor, horizon=HORIZON)
    return [plain(change) for change in batch.changes]


def plain(change: Change) -> tuple[str, str, int, str | None]:
    return change.kind, change.subject, change.ver, change.keep_session


async def audited(store: Store) -> list[str]:
    """The kinds of all audit rows, oldest first."""
    return [row.event.kind for row in reversed(await store.audit.latest(10_000))]
