"""Accounts as an administrator or moderator sees them."""

from __future__ import annotations

import binascii
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from authward.core.audit import Client, Event
from authward.core.principal import Principal
from authward.core.users import USER_ID, User, UserChange, check_may_edit
from authward.errors import Detail, Forbidden, NotFound, ValidationError
from authward.ports import Clock, UserQuery, UserStore
from authward.services.accounts import require_email
from authward.services.feed import Feed


@dataclass(frozen=True, slots=True)
class Page:
    """Some accounts, and the cursor of the next page if there may be one."""

    users: list[User]
    cursor: str | None


@dataclass(frozen=True, slots=True)
class UserEdit:
    """What to change; None leaves a field alone."""

    name: str | None = None
    disabled: bool | None = None
    email: str | None = None


class Users:
    """Administration of accounts over any store."""

    def __init__(self, store: UserStore, feed: Feed, clock: Clock) -> None:
        self._store = store
        self._feed = feed
        self._clock = clock

    async def page(
        self, *, limit: int, cursor: str | None, search: str | None, role: str | None
    ) -> Page:
        """Accounts, oldest first. Raises ValidationError for a cursor that is none of ours."""
        after = None if cursor is None else _parse_cursor(cursor)
        found = await self._store.page(UserQuery(limit + 1, after, search, role))
        shown = found[:limit]
        more = len(found) > limit
        return Page(shown, _cursor(shown[-1]) if more else None)

    async def get(self, user_id: str) -> User:
        """One account. Raises NotFound."""
        user = await self._store.by_id(user_id) if USER_ID.fullmatch(user_id) else None
        if user is None:
            raise NotFound("no such account")
        return user

    async def edit(self, actor: Principal, user_id: str, edit: UserEdit, client: Client) -> User:
        """Change name, address or standing. A moderator edits only those who may do no more than
        they, and no address.

        Raises NotFound, Forbidden, LastAdmin, UserExists, ValidationError.
        """
        values: dict[str, Any] = {}
        if edit.name is not None:
            values["name"] = edit.name
        if edit.email is not None:
            if not actor.has_role("admin"):
                raise Forbidden("only an admin changes an address")
            values |= {"email": edit.email, "email_canonical": require_email(edit.email)}
        if edit.disabled is not None:
            values["disabled_at"] = int(self._clock.now() * 1000) if edit.disabled else None

        def decide(user: User) -> UserChange:
            check_may_edit(actor.permissions, self._feed.permissions(user.roles, user.permissions))
            moved = values.get("email_canonical", user.email_canonical) != user.email_canonical
            unverified = {"email_verified": False} if moved else {}
            return UserChange(values | unverified, revoke=bool(edit.disabled) or moved)

        event = Event("user.edited", client, actor=actor.id, subject=user_id, detail=_said(edit))
        return await self._change(user_id, decide, event)

    async def set_disabled(
        self, actor: str | None, user_id: str, disabled: bool, client: Client
    ) -> User:
        """Let an account in no more, ending its sessions, or let it in again.

        Raises NotFound, LastAdmin.
        """
        kind = "user.disabled" if disabled else "user.enabled"
        at = int(self._clock.now() * 1000) if disabled else None
        return await self._change(
            user_id,
            lambda user: UserChange({"disabled_at": at}, revoke=disabled),
            Event(kind, client, actor=actor, subject=user_id),
        )

    def require_role(self, role: str) -> None:
        """Raises ValidationError, naming the roles there are, if there is no such role."""
        if role not in self._feed.roles:
            known = ", ".join(sorted(self._feed.roles))
            raise ValidationError(details=[Detail("role", "unknown_role", f"Use one of: {known}")])

    async def set_role(self, actor: str | None, user_id: str, role: str, client: Client) -> User:
        """Give an account another role; it takes effect everywhere within a second.

        Raises NotFound, LastAdmin, ValidationError.
        """
        self.require_role(role)
        event = Event("user.role_set", client, actor=actor, subject=user_id, detail={"role": role})

        def decide(user: User) -> UserChange:
            return UserChange({"role": role}, supersede=user.role != role)

        return await self._change(user_id, decide, event)

    async def delete(self, actor: str | None, user_id: str, client: Client) -> None:
        """Delete an account and its sessions. Raises NotFound, LastAdmin."""
        event = Event("user.deleted", client, actor=actor, subject=user_id)
        await self._change(user_id, lambda user: UserChange(delete=True), event)

    async def _change(
        self, user_id: str, decide: Callable[[User], UserChange], event: Event
    ) -> User:
        user = (
            await self._store.change(user_id, decide, event) if USER_ID.fullmatch(user_id) else None
        )
        if user is None:
            raise NotFound("no such account")
        return user


def _said(edit: UserEdit) -> dict[str, str | int]:
    """What an edit asks for, without personal data."""
    fields = ",".join(name for name in ("name", "email") if getattr(edit, name) is not None)
    said: dict[str, str | int] = {"fields": fields} if fields else {}
    return said if edit.disabled is None else {**said, "disabled": int(edit.disabled)}


def _cursor(user: User) -> str:
    return urlsafe_b64encode(f"{user.created_at}.{user.id}".encode()).rstrip(b"=").decode()


def _parse_cursor(text: str) -> tuple[int, str]:
    try:
        created, _, user_id = (
            urlsafe_b64decode(text + "=" * (-len(text) % 4)).decode("ascii").partition(".")
        )
        if (
            USER_ID.fullmatch(user_id)
            and created.isascii()
            and created.isdigit()
            and len(created) < 16
        ):
            return int(created), user_id
    except (binascii.Error, ValueError):
        pass
    raise ValidationError(
        details=[Detail("cursor", "invalid_cursor", "Use the cursor of the page before")]
    )
