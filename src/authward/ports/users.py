"""Accounts and roles."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Protocol

from authward.core.audit import Event
from authward.core.granting import Present
from authward.core.permissions import Role
from authward.core.users import User, UserChange


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
