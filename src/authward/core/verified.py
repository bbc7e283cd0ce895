"""Access tokens that verified, remembered so that each is verified once."""

from __future__ import annotations

from typing import Generic, TypeVar

from authward.core.principal import Principal

T = TypeVar("T", str, bytes)

CACHED_TOKENS = 20_000
CACHED_PER_USER = 32


class VerifiedTokens(Generic[T]):
    """Tokens that verified, by their whole text. Successes only, bounded in all and per account,
    oldest out first.

    Whoever asks looks at the time, the key and the revocations again.
    """

    __slots__ = ("_by_user", "_most", "_per_user", "by_token")

    def __init__(self, most: int = CACHED_TOKENS, per_user: int = CACHED_PER_USER) -> None:
        self.by_token: dict[T, Principal] = {}
        self._by_user: dict[str, dict[T, None]] = {}
        self._most = most
        self._per_user = per_user

    def __len__(self) -> int:
        return len(self.by_token)

    def get(self, token: T) -> Principal | None:
        return self.by_token.get(token)

    def put(self, token: T, principal: Principal) -> None:
        own = self._by_user.setdefault(principal.id, {})
        own[token] = None
        self.by_token[token] = principal
        if len(own) > self._per_user:
            self.drop(next(iter(own)))
        if len(self.by_token) > self._most:
            self.drop(next(iter(self.by_token)))

    def drop(self, token: T) -> None:
        principal = self.by_token.pop(token, None)
        if principal is not None:
            own = self._by_user[principal.id]
            del own[token]
            if not own:
                del self._by_user[principal.id]

    def clear(self) -> None:
        self.by_token.clear()
        self._by_user.clear()
