"""Changing and resetting passwords. Both end sessions."""

from __future__ import annotations

from authward.core.audit import Client, Event
from authward.core.passwords import check_new_password
from authward.core.principal import Principal
from authward.core.users import User, UserChange
from authward.errors import InvalidCredentials, NotFound
from authward.ports import Clock, UserStore
from authward.services.audit import Refusals
from authward.services.hashing import Hasher


class Passwords:
    """Passwords over any store."""

    def __init__(
        self, store: UserStore, hasher: Hasher, refusals: Refusals, clock: Clock, *, min_length: int
    ) -> None:
        self._store = store
        self._hasher = hasher
        self._refusals = refusals
        self._clock = clock
        self._min_length = min_length

    async def change(self, principal: Principal, current: str, new: str, client: Client) -> None:
        """Set a new password, knowing the old one. Every other session ends.

        Raises ValidationError, InvalidCredentials, NotFound, Overloaded.
        """
        check_new_password(new, self._min_length, "newPassword")
        began = self._clock.monotonic()
        user = await self._store.by_id(principal.id)
        verdict = await self._hasher.verify(None if user is None else user.password_hash, current)
        if user is None or user.disabled_at is not None or not verdict.ok:
            self._refusals.note(
                "password.change_refused", client, subject=principal.id, reason="wrong password"
            )
            await self._hasher.release_failure(began)
            raise InvalidCredentials("wrong current password", audited=True)
        hashed = await self._hasher.hash(new)

        def decide(now: User) -> UserChange:
            # A reset that came between has the last word: what was verified is no longer the
            # password.
            if now.epoch != user.epoch:
                raise InvalidCredentials("account changed meanwhile")
            return UserChange(
                {"password_hash": hashed}, revoke=True, keep_session=principal.session_id
            )

        event = Event("password.changed", client, actor=principal.id, subject=principal.id)
        if await self._store.change(principal.id, decide, event) is None:
            raise NotFound("account deleted")

    async def reset(
        self, user_id: str, new: str, client: Client, *, actor: str | None = None
    ) -> None:
        """Set a new password without the old one; the caller has the right to. Every session ends.

        Raises ValidationError, NotFound, Overloaded.
        """
        check_new_password(new, self._min_length)
        hashed = await self._hasher.hash(new)
        event = Event("password.reset", client, actor=actor, subject=user_id)
        done = await self._store.change(
            user_id, lambda user: UserChange({"password_hash": hashed}, revoke=True), event
        )
        if done is None:
            raise NotFound("no such account")
