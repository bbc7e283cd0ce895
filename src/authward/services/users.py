"""Accounts as an administrator or moderator sees them."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from typing import Any

from authward.core.audit import Client, Event
from authward.core.cursors import cursor_of, parse_cursor
from authward.core.granting import (
    ADMIN,
    Present,
    acts_as_admin,
    additional_of,
    check_known,
    check_may_move,
    direct_of,
    moved,
    rights_of,
    rights_to_act,
)
from authward.core.principal import Principal
from authward.core.users import RIGHTS, USER_ID, User, UserChange, check_may_edit
from authward.errors import Forbidden, NotFound
from authward.ports import Clock, RoleStore, UserQuery, UserStore
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


@dataclass(frozen=True, slots=True)
class Rights:
    """An account, and the permissions it holds by direct grants and through its roles."""

    user: User
    effective: frozenset[str]


class Users:
    """Administration of accounts over any store. Nobody touches who holds more than they do, nor
    gives or takes what they do not hold; `actor` None is the operator, who may.
    """

    def __init__(self, store: UserStore, roles: RoleStore, feed: Feed, clock: Clock) -> None:
        self._store = store
        self._roles = roles
        self._feed = feed
        self._clock = clock

    async def page(
        self, *, limit: int, cursor: str | None, search: str | None, role: str | None
    ) -> Page:
        """Accounts, oldest first. Raises ValidationError for a cursor that is none of ours."""
        after = None if cursor is None else parse_cursor(cursor, USER_ID)
        found = await self._store.page(UserQuery(limit + 1, after, search, role))
        shown = found[:limit]
        more = len(found) > limit
        return Page(shown, cursor_of(shown[-1].created_at, shown[-1].id) if more else None)

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
            values |= {"email": edit.email, "email_canonical": require_email(edit.email)}
        if edit.disabled is not None:
            values["disabled_at"] = int(self._clock.now() * 1000) if edit.disabled else None

        def decide(user: User) -> UserChange:
            address = values.get("email_canonical", user.email_canonical)
            elsewhere = address != user.email_canonical
            unverified = {"email_verified": False} if elsewhere else {}
            return UserChange(values | unverified, revoke=bool(edit.disabled) or elsewhere)

        event = Event("user.edited", client, actor=actor.id, subject=user_id, detail=_said(edit))
        return await self._change(actor, user_id, decide, lambda before, after: event)

    async def set_disabled(
        self, actor: Principal | None, user_id: str, disabled: bool, client: Client
    ) -> User:
        """Let an account in no more, ending its sessions, or let it in again.

        Raises NotFound, LastAdmin, Forbidden.
        """
        kind = "user.disabled" if disabled else "user.enabled"
        at = int(self._clock.now() * 1000) if disabled else None
        event = Event(kind, client, actor=_id(actor), subject=user_id)
        return await self._change(
            actor,
            user_id,
            lambda user: UserChange({"disabled_at": at}, revoke=disabled),
            lambda before, after: event,
        )

    def require_role(self, role: str) -> None:
        """Raises ValidationError, naming the roles there are, if there is no such role."""
        check_known(role, (), self._feed.roles)

    async def set_role(
        self,
        actor: Principal | None,
        user_id: str,
        role: str,
        client: Client,
        *,
        additional: Iterable[str] = (),
    ) -> User:
        """Give an account another role, and those it holds beside it; it takes effect everywhere
        within a second.

        Raises NotFound, LastAdmin, Forbidden, ValidationError.
        """
        others = additional_of(role, additional)

        def event(before: User, after: User) -> Event:
            told = moved(before.additional_roles, after.additional_roles)
            detail = {"role": after.role, "was": before.role, **told}
            return Event("user.role_set", client, actor=_id(actor), subject=user_id, detail=detail)

        return await self._change(
            actor,
            user_id,
            lambda user: UserChange({"role": role, "additional_roles": others}),
            event,
        )

    async def permissions_of(self, user_id: str) -> Rights:
        """An account, and all that it holds. Raises NotFound."""
        user = await self.get(user_id)
        return Rights(user, await self._effective(user))

    async def set_permissions(
        self, actor: Principal | None, user_id: str, permissions: Iterable[str], client: Client
    ) -> Rights:
        """Replace what an account is granted directly.

        Raises NotFound, Forbidden, ValidationError.
        """
        direct = direct_of(permissions)
        return await self._set_direct(actor, user_id, lambda user: direct, client)

    async def adjust_permissions(
        self,
        actor: Principal | None,
        user_id: str,
        client: Client,
        *,
        grant: Iterable[str] = (),
        take: Iterable[str] = (),
    ) -> Rights:
        """Add to what an account is granted directly, and take from it. Raises what
        `set_permissions` raises.
        """
        given, taken = frozenset(grant), frozenset(take)
        return await self._set_direct(
            actor, user_id, lambda user: direct_of({*user.permissions} - taken | given), client
        )

    async def delete(self, actor: Principal | None, user_id: str, client: Client) -> None:
        """Delete an account and its sessions. Raises NotFound, LastAdmin, Forbidden."""
        event = Event("user.deleted", client, actor=_id(actor), subject=user_id)
        await self._change(
            actor, user_id, lambda user: UserChange(delete=True), lambda before, after: event
        )

    async def _set_direct(
        self,
        actor: Principal | None,
        user_id: str,
        direct: Callable[[User], tuple[str, ...]],
        client: Client,
    ) -> Rights:
        def event(before: User, after: User) -> Event:
            detail = moved(before.permissions, after.permissions)
            return Event(
                "user.permissions_set", client, actor=_id(actor), subject=user_id, detail=detail
            )

        user = await self._change(
            actor, user_id, lambda user: UserChange({"permissions": direct(user)}), event
        )
        return Rights(user, await self._effective(user))

    async def _effective(self, user: User) -> frozenset[str]:
        # From the database: the feed tells of a role that changed only a moment later.
        return rights_of(user, await self._roles.all())

    async def _change(
        self,
        actor: Principal | None,
        user_id: str,
        decide: Callable[[User], UserChange],
        event: Callable[[User, User], Event],
    ) -> User:
        def judge(user: User, present: Present) -> UserChange:
            held = rights_to_act(actor, present)
            check_may_edit(held, rights_of(user, present.roles))
            change = decide(user)
            rights = {name: change.values[name] for name in RIGHTS if name in change.values}
            if "email" in change.values and not acts_as_admin(present):
                raise Forbidden("only an admin changes an address", roles=(ADMIN,))
            edited = replace(user, **rights)
            check_may_edit(held, rights_of(edited, present.roles))
            check_may_move(held, present, user.roles, edited.roles)
            return change

        if not USER_ID.fullmatch(user_id):
            raise NotFound("no such account")
        user = await self._store.administer(user_id, judge, event, actor=_id(actor))
        if user is None:
            raise NotFound("no such account")
        return user


def _id(actor: Principal | None) -> str | None:
    return None if actor is None else actor.id


def _said(edit: UserEdit) -> dict[str, str | int]:
    """What an edit asks for, without personal data."""
    fields = ",".join(name for name in ("name", "email") if getattr(edit, name) is not None)
    said: dict[str, str | int] = {"fields": fields} if fields else {}
    return said if edit.disabled is None else {**said, "disabled": int(edit.disabled)}
