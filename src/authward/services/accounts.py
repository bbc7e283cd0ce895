"""Registering, logging in, and one's own profile."""

from __future__ import annotations

import logging

from authward.core.audit import Client, Event
from authward.core.passwords import check_new_password
from authward.core.principal import Principal
from authward.core.users import BadEmail, User, UserChange, canonical_email, new_user_id
from authward.errors import (
    Detail,
    InvalidCredentials,
    NotFound,
    Refusal,
    UserExists,
    ValidationError,
)
from authward.ports import Chance, Clock, NewUser, UserStore
from authward.services.audit import Refusals
from authward.services.hashing import Hasher
from authward.services.sessions import Sessions, SignedIn

DEFAULT_ROLE = "user"

log = logging.getLogger("authward")


class Accounts:
    """Accounts over any store."""

    def __init__(
        self,
        store: UserStore,
        sessions: Sessions,
        hasher: Hasher,
        refusals: Refusals,
        clock: Clock,
        chance: Chance,
        *,
        password_min_length: int,
    ) -> None:
        self._store = store
        self._sessions = sessions
        self._hasher = hasher
        self._refusals = refusals
        self._clock = clock
        self._chance = chance
        self._min_length = password_min_length
        self._upgrading: set[str] = set()

    async def create(
        self,
        email: str,
        password: str,
        name: str,
        client: Client,
        *,
        role: str = DEFAULT_ROLE,
        by_operator: bool = False,
    ) -> User:
        """A new account; `role` must be known. Raises ValidationError, UserExists, Overloaded."""
        canonical = require_email(email)
        check_new_password(password, self._min_length)
        hashed = await self._hasher.hash(password)
        user_id = new_user_id(self._chance)
        user = await self._store.add(
            NewUser(user_id, email, canonical, name, role, hashed),
            Event("user.created", client, subject=user_id)
            if by_operator
            else Event("user.registered", client, actor=user_id, subject=user_id),
        )
        if user is None:
            self._refusals.note("user.registration_refused", client, reason="address taken")
            raise UserExists("address taken")
        return user

    async def register(
        self, email: str, password: str, name: str, client: Client, *, presented: str | None
    ) -> SignedIn:
        """A new account, signed in. The role is `user`, whatever was asked for. Raises as `create`
        does, and Unavailable.
        """
        self._sessions.require_fresh()
        user = await self.create(email, password, name, client)
        signed_in = await self._sessions.open(
            user, client, kind="login.succeeded", replaces=presented
        )
        if signed_in is None:
            raise InvalidCredentials("account changed while it was made")
        return signed_in

    async def login(
        self, email: str, password: str, client: Client, *, presented: str | None
    ) -> SignedIn:
        """Sign in. An unknown account, a wrong password and a disabled account are one answer at
        one time.

        Raises InvalidCredentials, Overloaded, Unavailable.
        """
        self._sessions.require_fresh()
        began = self._clock.monotonic()
        user = await self._find(email)
        # A disabled account is as good as unknown: its right password must cost what a wrong one
        # does.
        known = None if user is None or user.disabled_at is not None else user.password_hash
        verdict = await self._hasher.verify(known, password)
        signed_in = None
        if user is not None and verdict.ok:
            signed_in = await self._sessions.open(
                user, client, kind="login.succeeded", replaces=presented
            )
        if user is None or signed_in is None:
            subject = None if user is None else user.id
            self._refusals.note(
                "login.failed", client, subject=subject, reason=_why(user, verdict.ok)
            )
            await self._hasher.release_failure(began)
            raise InvalidCredentials(_why(user, verdict.ok), audited=True)
        if verdict.outdated:
            await self._upgrade(user, password)
        return signed_in

    async def profile(self, user_id: str) -> User:
        """One's own account. Raises NotFound."""
        user = await self._store.by_id(user_id)
        if user is None:
            raise NotFound("account deleted")
        return user

    async def rename(self, principal: Principal, name: str, client: Client) -> User:
        """Change one's own name, and nothing else. Raises NotFound."""
        event = Event("user.renamed", client, actor=principal.id, subject=principal.id)
        user = await self._store.change(
            principal.id, lambda user: UserChange({"name": name}), event
        )
        if user is None:
            raise NotFound("account deleted")
        return user

    async def _upgrade(self, user: User, password: str) -> None:
        """Hash a verified password anew, once for all sign-ins of the moment. The sign-in stands
        whatever becomes of this: the next one tries again.
        """
        if user.id in self._upgrading:
            return
        self._upgrading.add(user.id)
        try:
            upgraded = await self._hasher.hash(password)
            await self._store.upgrade_hash(user.id, user.password_hash, upgraded)
        except Refusal as busy:
            log.warning("a password hash was not upgraded: %s", busy.reason)
        finally:
            self._upgrading.discard(user.id)

    async def _find(self, email: str) -> User | None:
        try:
            canonical = canonical_email(email)
        except BadEmail:
            return None
        return await self._store.by_email(canonical)


def require_email(email: str) -> str:
    """The canonical form of an address. Raises ValidationError."""
    try:
        return canonical_email(email)
    except BadEmail as error:
        raise ValidationError(details=[Detail("email", "invalid_email", str(error))]) from None


def _why(user: User | None, password_ok: bool) -> str:
    if user is None:
        return "unknown account"
    if user.disabled_at is not None:
        return "account disabled"
    return "account changed meanwhile" if password_ok else "wrong password"
