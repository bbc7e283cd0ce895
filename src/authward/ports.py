"""What services need of the world, as Protocols. The docstrings are the contract; one test class
holds each adapter to it.

Verbs are atomic: each is one transaction, with the audit events and the change it announces, and
ends even if its caller is cancelled. Absence is None. An exception means the store is broken, and
Unavailable that it is away for now; except that what a callback (`decide`, `event`) raises passes
through after a rollback. A callback may be asked twice, as what a dead connection or a deadlock
undid is tried once more: it must not do, only decide.
All times are milliseconds since the epoch in database time, unless a name says otherwise.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Network, IPv6Network
from typing import Literal, NamedTuple, Protocol

from authward.core.anchors import Anchor, Anchors, Kept
from authward.core.audit import Client, Event
from authward.core.chain import AuditKeys, Checkpoint
from authward.core.chain_proof import HeldUp, Proof, Pruned
from authward.core.granting import Present
from authward.core.keys import Ring, StoredKey
from authward.core.limits import Decision, Limit
from authward.core.permissions import Role
from authward.core.sessions import Session, Verdict
from authward.core.users import User, UserChange


class Clock(Protocol):
    """Time. `offset_ms` is how far it has been turned; stores add it to database time, so tests
    turn both at once.
    """

    @property
    def offset_ms(self) -> int: ...

    def now(self) -> float:
        """Seconds since the epoch."""
        ...

    def monotonic(self) -> float:
        """Seconds from an arbitrary start that never run back."""
        ...


class Chance(Protocol):
    """Randomness fit for secrets."""

    def __call__(self, size: int, /) -> bytes:
        """`size` fresh random bytes."""
        ...


@dataclass(frozen=True, slots=True)
class NewUser:
    """An account to be made. `id` is unique already; `role` must be known."""

    id: str
    email: str
    email_canonical: str
    name: str
    role: str
    password_hash: str
    email_verified: bool = False


@dataclass(frozen=True, slots=True)
class UserQuery:
    """One page of accounts, oldest first. `after` is the (created_at, id) of the last one seen."""

    limit: int
    after: tuple[int, str] | None = None
    search: str | None = None
    role: str | None = None


class UserStore(Protocol):
    async def add(self, user: NewUser, event: Event) -> User | None:
        """Store a new account; None if its canonical address is taken. Of two at once, one gets
        None. Raises ValidationError if there is no such role.
        """
        ...

    async def by_id(self, user_id: str) -> User | None: ...

    async def by_email(self, email_canonical: str) -> User | None: ...

    async def page(self, query: UserQuery) -> list[User]:
        """Up to `limit` accounts. `search` is a case-insensitive part of the address or name, taken
        literally.
        """
        ...

    async def change(
        self, user_id: str, decide: Callable[[User], UserChange], event: Event
    ) -> User | None:
        """Lock the account, let `decide` judge its present state, apply what it returns, bump epoch
        and version, announce it on the feed. Returns the account as it now is (as it was, if
        deleted); None if absent.

        Where the change could take an admin away, every admin is locked with the account, in id
        order; raises LastAdmin (a Refusal) rather than do so to the last enabled one, and
        UserExists if a new address is taken. `keep_session` is kept only if it is a live session of
        the account's present epoch.

        Roles are given only if they exist, and cannot be deleted meanwhile: else ValidationError.
        Whatever changes role, additional roles or permissions supersedes the account's tokens.
        """
        ...

    async def administer(
        self,
        user_id: str,
        decide: Callable[[User, Present], UserChange],
        event: Callable[[User, User], Event],
        *,
        actor: str | None,
    ) -> User | None:
        """As `change`, on behalf of the account `actor`: it is locked too, and `decide` sees what
        it and all roles are in this transaction. `event` is told the account before and after.
        """
        ...

    async def upgrade_hash(self, user_id: str, verified: str, replacement: str) -> bool:
        """Replace the hash only where it still is `verified`. Neither epoch nor version move."""
        ...

    async def schemes(self) -> list[str]:
        """The distinct prefixes (7 characters) of the non-argon2 hashes present."""
        ...


class RoleStore(Protocol):
    async def all(self) -> Mapping[str, Role]:
        """Every role there is."""
        ...

    async def change(
        self,
        name: str,
        decide: Callable[[Present], Role | None],
        event: Callable[[Role | None, Role | None], Event],
        *,
        actor: str | None,
    ) -> tuple[Role | None, Role | None]:
        """Lock the account `actor` and all roles, let `decide` say what the role is to be (None: it
        is not to be), store that, announce `roles.changed` if it differs. Returns the role before
        and after, which `event` is told too; nothing happens where both are None.

        Of many at once each sees what the one before left. Raises RoleInUse rather than delete a
        role that an account holds; of giving and deleting at once, one loses.
        """
        ...


@dataclass(frozen=True, slots=True)
class NewSession:
    """A sign-in to be stored. `lifetime` in milliseconds; `epoch` as read with the hash."""

    id: str
    user_id: str
    epoch: int
    kid: str
    lifetime: int
    ip: str
    user_agent: str


@dataclass(frozen=True, slots=True)
class Refreshed:
    """What one refresh came to: the verdict, the session and account after it. `now` is the
    database's.
    """

    verdict: Verdict
    session: Session
    user: User
    now: int


@dataclass(frozen=True, slots=True)
class SessionMatch:
    """Which sessions: all that satisfy each condition given, of those opened until now.

    `holding` names the roles that are or include `role`. `before` is a whole second: opened before
    then. `kids` are refresh keys, one of which signs the session or did before; or could have, as
    it was opened before `signed_before`.
    """

    user_id: str | None = None
    network: IPv4Network | IPv6Network | None = None
    role: str = ""
    holding: frozenset[str] = frozenset()
    before: int | None = None
    kids: frozenset[str] = frozenset()
    signed_before: int = 0

    @property
    def cut(self) -> bool:
        """Whether an access token tells by itself that it matches."""
        return self.user_id is None and self.network is None and not self.kids


@dataclass(frozen=True, slots=True)
class Matched:
    """A number of sessions, and of the accounts they belong to."""

    sessions: int
    accounts: int


class SessionStore(Protocol):
    async def open(self, new: NewSession, event: Event, *, replaces: str | None) -> Session | None:
        """Store a session if the account is enabled and still at `epoch`, in one statement; else
        None. The session `replaces` ends in the same transaction.
        """
        ...

    async def refresh(
        self,
        session_id: str,
        generation: int,
        *,
        kid: str,
        grace: int,
        client: Client,
        event: Callable[[Verdict, Session], Event | None],
        signed_by: str | None = None,
    ) -> Refreshed | None:
        """Rotate by compare-and-set, or judge why not (`core.sessions.judge`); a new generation is
        signed with `kid`, which the session notes with the key before; the one presented was with
        `signed_by`. A rotation notes where `client` is; REUSED revokes the session; anything else
        leaves it as it was. None if there is no such session. Of fifty at once on one generation,
        one rotates.
        """
        ...

    async def revoke(
        self, session_id: str, event: Event, *, user_id: str | None = None
    ) -> Session | None:
        """End a session and announce it; None if absent, revoked or expired already, or not
        `user_id`'s.
        """
        ...

    async def count_matching(self, match: SessionMatch) -> Matched:
        """How many live sessions match now, and of how many accounts."""
        ...

    async def revoke_matching(
        self, match: SessionMatch, began: Event | None, ended: Callable[[Matched], Event]
    ) -> Matched:
        """End the live sessions that match; what was ended.

        Not one transaction, as others must get their turn: `began` is recorded first (None: that
        was done before, and so was what is announced first), then some thousands at a time end, and
        `ended` is recorded last. If tokens can tell (`match.cut`), one change is announced for all,
        or for each role meant, before any session ends; else each part announces the accounts it
        touched, superseded. Sessions opened until the whole second is over are meant too; it is
        waited for, and so is, for a bounded time, whoever was opening one then. Repeating it after
        an error is harmless.
        """
        ...

    async def of_user(self, user_id: str) -> list[Session]:
        """The live sessions of an account, latest first, a hundred at most."""
        ...


@dataclass(frozen=True, slots=True)
class KeyChange:
    """What is to become of the keys: rows to be stored whole, under new ids or those they have.
    `rings` are those whose processes must read them anew. If `before`, a whole second, is not 0,
    access tokens of sessions opened before then are dead.
    """

    put: Sequence[StoredKey] = ()
    rings: Sequence[Ring] = ()
    events: Sequence[Event] = ()
    before: int = 0


class KeyStore(Protocol):
    async def add_first(self, keys: Sequence[StoredKey]) -> list[StoredKey]:
        """Store each key whose ring has none, and return all keys there are now. Of several
        processes at once, one wins. Those that sign have done so since now.
        """
        ...

    async def all(self) -> list[StoredKey]:
        """Every key, in the order they were made."""
        ...

    async def change(
        self, decide: Callable[[Sequence[StoredKey], int], KeyChange | None]
    ) -> list[StoredKey]:
        """Lock all keys, let `decide` say what becomes of them as they are now (and when that is),
        store it, announce `keys.changed` of the rings it names, and `sessions.revoked` if sessions
        are meant too. Returns the keys after that. With None nothing happens.

        Of many at once each sees what the one before left.
        """
        ...

    async def live_sessions(self, *, unused: int, grace: int, late: int) -> Mapping[str, int]:
        """How many live sessions hang on each refresh key that has any, by kid; left out are those
        not refreshed for `unused` milliseconds.

        On a verifying key hang also those refreshed within `grace` that were opened no later than
        `late` after it signed: the token before may be of that key, and may come again.
        """
        ...

    async def longest_session(self) -> int:
        """The longest life that a session which is not over was given, in milliseconds; 0 if there
        is none.
        """
        ...


ChangeKind = Literal[
    "session.revoked",
    "sessions.revoked",
    "user.revoked",
    "user.superseded",
    "roles.changed",
    "scheme.added",
    "keys.changed",
]


@dataclass(frozen=True, slots=True)
class Change:
    """One row of the feed. `subject` is a session or user id; tokens of a user below `ver` are dead
    (revoked) or stale (superseded); `keep_session` is exempt. Of a scheme it is the prefix of its
    hashes, as `UserStore.schemes` tells it. Of many sessions (`sessions.revoked`) it is a role, or
    "" for all, and those opened before `before` are dead. Of keys it is their ring. `at` is when it
    was written.
    """

    kind: ChangeKind
    subject: str
    ver: int
    keep_session: str | None
    at: int
    before: int | None = None


@dataclass(frozen=True, slots=True)
class Cursor:
    """How far a reader has come: all below `head` is seen, but what the transactions write that
    were `running` then. As many of those as the database has connections.
    """

    head: int = 0
    running: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class ChangeBatch:
    """Changes since a cursor, and the cursor to read on from. Applying one twice is harmless.
    `anew`: another database stands there now, and whatever was read of it before is void.
    """

    changes: Sequence[Change]
    cursor: Cursor
    anew: bool = False


class ChangeFeed(Protocol):
    async def since(self, cursor: Cursor, *, horizon: int) -> ChangeBatch:
        """Every change visible now that a reader at `cursor` has not seen. `Cursor()` reads what
        is younger than `horizon` milliseconds. Never skips a late committer, and tells nothing
        twice, however long a transaction stays open; only a replica may.
        """
        ...

    async def roles(self) -> Mapping[str, Role]:
        """Every role there is, now."""
        ...

    async def announce(self, changes: Sequence[Change]) -> None:
        """Write changes that belong to no other transaction. The database sets `at`."""
        ...


class Wakes(Protocol):
    """Word that the feed has news, pushed from process to process. It may come late, twice or
    never: the feed is read at its interval all the same.
    """

    async def start(self, wake: Callable[[], None]) -> None:
        """From now on call `wake` for each word, in this event loop. Waits for nobody."""
        ...

    def tell(self) -> None:
        """A change was committed here. Waits for nobody, raises nothing."""
        ...

    async def stop(self) -> None: ...


@dataclass(frozen=True, slots=True)
class AuditRow:
    """An audit event as stored. `at` in milliseconds, UTC, by the clock of the process that wrote
    it.
    """

    id: int
    at: int
    event: Event


@dataclass(frozen=True, slots=True)
class AuditQuery:
    """Which rows: all that satisfy each condition given. `user` is the actor or the subject;
    `since` is within, `until` is not.
    """

    user: str | None = None
    kind: str | None = None
    ip: str | None = None
    since: int | None = None
    until: int | None = None


class Erased(NamedTuple):
    """How many rows were erased, and the ids of those that could not be."""

    rows: int
    left: tuple[int, ...]


class AuditLog(Protocol):
    def use(self, keys: AuditKeys) -> None:
        """Sign with these keys from now on. Nothing can be recorded before."""
        ...

    async def record(self, events: Sequence[Event]) -> None:
        """Write events that belong to no other transaction."""
        ...

    async def latest(self, limit: int) -> list[AuditRow]:
        """The newest rows, newest first."""
        ...

    async def page(
        self, query: AuditQuery, limit: int, *, before: tuple[int, int] | None
    ) -> list[AuditRow]:
        """Up to `limit` rows, the latest first. `before` is the (at, id) of the last one seen."""
        ...

    async def after(self, query: AuditQuery, limit: int, *, last: int) -> list[AuditRow]:
        """Up to `limit` rows of a higher id than `last`, in the order of ids. On PostgreSQL a row
        of a lower id may still appear later.
        """
        ...

    async def erase(self, user_id: str) -> Erased:
        """Erase what the rows tell of an account: as actor, and as subject. Kinds, times and
        outcomes stay, and so do the chains. A row whose chain has no head of ours is left: nobody
        could tell later that we erased it. Not one transaction.
        """
        ...


class AuditChains(Protocol):
    """The proof that audit rows are as they were written."""

    @property
    def wrote(self) -> bool:
        """Whether this process has recorded anything."""
        ...

    async def begun(self) -> bool:
        """Whether there is any checkpoint, readable or not."""
        ...

    async def latest(self) -> Checkpoint | None:
        """The last checkpoint that we signed; None if there is none yet."""
        ...

    async def checkpoint(self, *, every: int = 0) -> Checkpoint | None:
        """Sign where every chain is, at one moment after the call. Whoever writes need not wait for
        it, however many chains there are. None if none has moved since the last one, or if that is
        younger than `every` milliseconds. The first is to be written before any row is.
        """
        ...

    def anchor(self, made: Checkpoint) -> Anchor:
        """What is kept elsewhere of a checkpoint, signed."""
        ...

    def anchors(self, told: Iterable[Anchor]) -> Kept:
        """Those that we signed, by number, and how many we did not."""
        ...

    async def verify(self, anchors: Anchors, on_rows: Callable[[int, int], None]) -> Proof:
        """Hold the log as it is now against its chains. `on_rows` is told how many rows are done,
        of how many.
        """
        ...

    async def count_older(self, before: int) -> int:
        """How many rows are older than `before`: as many as `prune` would delete, or more."""
        ...

    async def time(self) -> int:
        """The time of the database, in milliseconds."""
        ...

    async def held_up(self, before: int) -> HeldUp | None:
        """What is older than `before` and is not pruned, as chains are from their beginning."""
        ...

    async def prune(self, before: int, on_rows: Callable[[int], None]) -> Pruned:
        """Delete the rows at the beginnings of chains that are older than `before`, in segments
        that verify, each in one transaction with the checkpoint that stands for it. It ends with
        the first row that does not verify. `on_rows` is told how many are deleted so far.
        """
        ...


class RateLimiter(Protocol):
    """Counts over all processes that share it."""

    async def take(self, key: str, limit: Limit, cost: int = 1) -> Decision:
        """Take `cost` places under `key`, all or none: no window of `limit.window` seconds holds
        more than `limit.most` of them, however many ask at once. A request that is refused takes
        none. Keys are apart, whatever they are made of, and each limit of a key has places of its
        own. Raises ValueError for a cost that can never fit.

        If it raises Unavailable, or the caller is cancelled, places may have been taken all the
        same.
        """
        ...


class Store(Protocol):
    """All of it, over one database."""

    @property
    def users(self) -> UserStore: ...

    @property
    def roles(self) -> RoleStore: ...

    @property
    def sessions(self) -> SessionStore: ...

    @property
    def keys(self) -> KeyStore: ...

    @property
    def changes(self) -> ChangeFeed: ...

    @property
    def audit(self) -> AuditLog: ...

    @property
    def chains(self) -> AuditChains: ...

    @property
    def limits(self) -> RateLimiter: ...

    async def open(self) -> None:
        """Connect and bring the schema up to date. Raises ConfigurationError if the database is out
        of reach or newer.
        """
        ...

    async def ping(self) -> None:
        """One trivial statement. Raises Unavailable if the database is away."""
        ...

    async def sweep(self) -> None:
        """Delete what nothing can ask for again: sessions past their absolute end, changes no token
        remembers, places in windows that are over.
        """
        ...

    async def close(self) -> None: ...
