"""Rings, claims and tokens for tests: ours, and hostile ones signed with our own keys.

`forge` signs by hand, with no JOSE library, so that it can write what no library would.
"""

from __future__ import annotations

import hashlib
import hmac
import json
from base64 import urlsafe_b64encode
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Any

import msgspec
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.asymmetric.types import PrivateKeyTypes
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from authward.core.jose import JoseRing, Typ
from authward.core.keys import Algorithm, Key, Ring, State
from authward.core.tokens import (
    MAX_ACCESS_CHARS,
    MAX_REFRESH_CHARS,
    AccessClaims,
    RefreshClaims,
    TokenPolicy,
    check_access,
    check_refresh,
    mint,
)
from authward.errors import (
    InvalidRefreshToken,
    InvalidToken,
    RefreshTokenExpired,
    Refusal,
    TokenExpired,
)

NOW = 1_800_000_000
POLICY = TokenPolicy(
    issuer="https://id.example.com", audience="api.example.com", access_ttl=900, refresh_ttl=604_800
)


def key(
    kid: str = "a-key-of-ours",
    *,
    ring: Ring = "access",
    algorithm: Algorithm = "HS256",
    state: State = "signing",
    material: bytes = bytes(range(32)),
) -> Key:
    return Key(kid, ring, algorithm, state, material, NOW * 1000)


def access_ring(*keys: Key) -> JoseRing:
    return JoseRing(keys, ring="access", typ="at+jwt", max_chars=MAX_ACCESS_CHARS)


def refresh_ring(*keys: Key) -> JoseRing:
    return JoseRing(keys, ring="refresh", typ="rt+jwt", max_chars=MAX_REFRESH_CHARS)


def access_claims(**changes: Any) -> AccessClaims:
    claims = AccessClaims(
        iss=POLICY.issuer,
        aud=POLICY.audience,
        sub="user-0000000001",
        id="user-0000000001",
        sid="session-000000000001",
        ver=3,
        role="user",
        iat=NOW,
        exp=NOW + 900,
        jti="token-0000000001",
        auth_time=NOW - 60,
        email="ada@example.com",
    )
    return msgspec.structs.replace(claims, **changes)


def refresh_claims(**changes: Any) -> RefreshClaims:
    claims = RefreshClaims(
        iss=POLICY.issuer,
        sub="user-0000000001",
        sid="session-000000000001",
        gen=7,
        iat=NOW,
        exp=NOW + 604_800,
    )
    return msgspec.structs.replace(claims, **changes)


@cache
def private_key(kind: str) -> PrivateKeyTypes:
    """A private key, made once: `rsa1024`, `rsa2048`, `p256`, `p384`, `ed25519`."""
    if kind == "ed25519":
        return ed25519.Ed25519PrivateKey.generate()
    if kind.startswith("rsa"):
        return rsa.generate_private_key(65537, int(kind[3:]))
    return ec.generate_private_key({"p256": ec.SECP256R1(), "p384": ec.SECP384R1()}[kind])


def pkcs8(kind: str) -> bytes:
    return private_key(kind).private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())


def b64(raw: bytes) -> str:
    return urlsafe_b64encode(raw).rstrip(b"=").decode()


def hs256(header: bytes, payload: bytes, secret: bytes) -> str:
    """Compact JWS, signed by hand."""
    signed = f"{b64(header)}.{b64(payload)}"
    return f"{signed}.{b64(hmac.new(secret, signed.encode(), hashlib.sha256).digest())}"


def compact(value: object) -> bytes:
    return json.dumps(value, separators=(",", ":")).encode()


@dataclass(frozen=True)
class Kind:
    """A kind of token, and everything that makes or checks one."""

    typ: Typ
    key: Key
    ring: JoseRing
    claims: AccessClaims | RefreshClaims
    check: Callable[..., Any]
    invalid: type[Refusal]
    expired: type[Refusal]

    @property
    def header(self) -> dict[str, Any]:
        return {"alg": "HS256", "typ": self.typ, "kid": self.key.kid}

    @property
    def payload(self) -> bytes:
        return msgspec.json.encode(self.claims)

    @property
    def token(self) -> str:
        return mint(self.claims, self.ring.signing)

    def forge(
        self, *, header: dict[str, Any] | bytes | None = None, payload: bytes | None = None
    ) -> str:
        """A token signed with our own key, whatever it says."""
        written = self.header if header is None else header
        return hs256(
            written if isinstance(written, bytes) else compact(written),
            self.payload if payload is None else payload,
            self.key.material,
        )

    def with_claims(self, **changes: Any) -> bytes:
        """The payload with claims replaced in their places; `...` removes one."""
        claims = {**msgspec.to_builtins(self.claims), **changes}
        return compact({name: value for name, value in claims.items() if value is not ...})

    def read(self, token: str, now: float = NOW) -> Any:
        return self.check(token, self.ring, POLICY, now)

    def refuses(self, token: str, now: float = NOW) -> str:
        """Assert that `token` is refused as invalid; the reason for the log."""
        with pytest.raises(Refusal) as caught:
            self.read(token, now)
        assert type(caught.value) is self.invalid
        return caught.value.reason


def _kinds() -> tuple[Kind, Kind]:
    access, refresh = key(), key("b-key-of-ours", ring="refresh", material=bytes(range(32, 64)))
    return (
        Kind(
            "at+jwt",
            access,
            access_ring(access),
            access_claims(),
            check_access,
            InvalidToken,
            TokenExpired,
        ),
        Kind(
            "rt+jwt",
            refresh,
            refresh_ring(refresh),
            refresh_claims(),
            check_refresh,
            InvalidRefreshToken,
            RefreshTokenExpired,
        ),
    )


ACCESS, REFRESH = _kinds()
each_kind = pytest.mark.parametrize("kind", [ACCESS, REFRESH], ids=["access", "refresh"])
