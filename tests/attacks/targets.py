"""A running server, one kind of token that it takes, and a forger who holds the very key.

What is refused here is refused for what it says: the signature is right.
"""

import json
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any

from authward.core.jose import Typ, payload_segment
from authward.core.keys import Algorithm, Key
from tests.here import Here
from tests.minting import compact
from tests.planting import sign
from tests.serving import Account, error_of

OK = (200, "")
INVALID = {"at+jwt": (401, "invalid_token"), "rt+jwt": (401, "invalid_refresh_token")}
EXPIRED = {"at+jwt": (401, "token_expired"), "rt+jwt": (401, "refresh_token_expired")}


@dataclass
class Target:
    """`account` is signed in at `here`, whose tokens of type `typ` are signed with `key`."""

    here: Here
    account: Account
    key: Key
    typ: Typ

    @property
    def token(self) -> str:
        """The genuine one."""
        return self.account.access if self.typ == "at+jwt" else self.account.cookie

    @property
    def header(self) -> dict[str, Any]:
        return {"alg": self.key.algorithm, "typ": self.typ, "kid": self.key.kid}

    @property
    def payload(self) -> bytes:
        return payload_segment(self.token)

    @property
    def claims(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.payload)
        return found

    def with_claims(self, **changes: Any) -> bytes:
        """The payload with claims replaced in their places; `...` removes one."""
        claims = {**self.claims, **changes}
        return compact({name: value for name, value in claims.items() if value is not ...})

    def forge(
        self, *, header: dict[str, Any] | bytes | None = None, payload: bytes | None = None
    ) -> str:
        """A token signed with the server's own key, whatever it says."""
        written = self.header if header is None else header
        return sign(
            self.key,
            written if isinstance(written, bytes) else compact(written),
            self.payload if payload is None else payload,
        )

    async def answer(self, token: str) -> tuple[int, str]:
        """What the server says to it: at a bearer route, or as the cookie."""
        sent = token.encode("utf-8", "surrogatepass")
        if self.typ == "at+jwt":
            headers = {b"authorization": b"Bearer " + sent}
            return error_of(await self.here.send("GET", "/api/profile", headers=headers))
        headers = {b"cookie": b"refreshToken=" + sent, b"x-csrf-token": self.account.csrf.encode()}
        return error_of(await self.here.send("POST", "/api/auth/refresh-token", headers=headers))

    async def refuses(
        self, tokens: Mapping[Any, str], code: Mapping[str, tuple[int, str]] = INVALID
    ) -> None:
        """Assert that each is refused, and the genuine one is not."""
        assert tokens
        assert await self.answer(self.token) == OK
        answers = {name: await self.answer(token) for name, token in tokens.items()}
        wrong = {name: got for name, got in answers.items() if got != code[self.typ]}
        assert not wrong, wrong
        assert await self.answer(self.token) == OK


TargetOf = Callable[[Algorithm], Awaitable[Target]]
