"""Admitting callers: bearer token to principal, and what the principal may do. Refusals are
audited, folded.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from functools import partial

from authward.core.audit import Client
from authward.core.bearer import bearer_token
from authward.core.permissions import Role, check_access
from authward.core.principal import Principal
from authward.core.requirements import Requirement
from authward.core.why import lacking, missing
from authward.errors import Detail, Forbidden, Refusal
from authward.services.audit import Refusals
from authward.services.counts import Counts
from authward.services.feed import Feed
from authward.services.tokens import Tokens


class Access:
    """Admission to bearer routes. It reads memory only.

    With `explained_by`, whose roles are meant, a refusal tells the client which grant was missing
    and which roles have it: in development alone, as a stranger would learn whom to attack.
    """

    def __init__(
        self,
        tokens: Tokens,
        refusals: Refusals,
        counts: Counts,
        *,
        explained_by: Feed | None = None,
    ) -> None:
        self._tokens = tokens
        self._counts = counts
        self._refusals = refusals
        self._explained_by = explained_by

    def admit(
        self,
        headers: Iterable[tuple[bytes, bytes]],
        client: Callable[[], Client],
        *,
        roles: Collection[str] = (),
        permissions: Collection[Requirement] = (),
        stale: bool = False,
    ) -> Principal:
        """The caller of a request with these headers, if it has one of `roles` (any, if none are
        named) and all of `permissions`. `stale` takes an old view of revocations for good. Raises
        MissingToken, InvalidToken, TokenExpired, TokenRevoked, Forbidden, Unavailable.
        """
        return self.admit_token(
            lambda: bearer_token(headers),
            client,
            roles=roles,
            permissions=permissions,
            stale=stale,
        )

    def admit_token(
        self,
        find: Callable[[], str],
        client: Callable[[], Client],
        *,
        roles: Collection[str] = (),
        permissions: Collection[Requirement] = (),
        stale: bool = False,
    ) -> Principal:
        """The same for a token that comes otherwise, as on a WebSocket. `find` may raise
        MissingToken.
        """
        principal = None
        try:
            principal = self._tokens.verify(find(), stale=stale)
            check_access(principal, roles, permissions)
        except Refusal as refusal:
            if principal is not None:
                self._explain(refusal, partial(missing, principal, roles, permissions))
            self.denied(refusal, client(), principal)
            raise
        return principal

    def denied(
        self,
        refusal: Refusal,
        client: Client,
        principal: Principal | None = None,
        *,
        subject: str | None = None,
    ) -> None:
        """Count and audit a refusal that a client caused, unless that has been done; where refusals
        are explained, explain it. `subject` is whose right was asked for, where no principal is
        known.
        """
        if refusal.status not in (401, 403, 429):
            return
        if not refusal.counted:
            refusal.counted = True
            self._counts.deny(refusal.code)
        if refusal.audited:
            return
        refusal.audited = True
        if isinstance(refusal, Forbidden):
            self._explain(refusal, partial(lacking, refusal))
        self._refusals.note(
            "access.denied",
            client,
            subject=subject if principal is None else principal.id,
            error=refusal.code,
            reason=refusal.reason,
        )

    def _explain(
        self, refusal: Refusal, told: Callable[[Mapping[str, Role]], list[Detail]]
    ) -> None:
        if (
            self._explained_by is not None
            and isinstance(refusal, Forbidden)
            and not refusal.details
        ):
            refusal.details = tuple(told(self._explained_by.roles))
