"""New access tokens, each checked once a batch: microseconds for one, as JSON.

`theirs` is, for HS256, joserfc's own decode and its claims check with all the claims that we check
too; for EdDSA the signature alone, of parts that are split and decoded already.
"""

from __future__ import annotations

import json
from base64 import urlsafe_b64decode
from collections.abc import Callable

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from joserfc import jwt
from joserfc.jwk import OctKey

from authward.core.jose import JoseRing
from authward.core.keys import Algorithm, Key
from authward.core.tokens import MAX_ACCESS_CHARS, AccessClaims, TokenPolicy, check_access, mint
from bench.within.timing import least

NOW = 1_800_000_000
TOKENS = 2_000
POLICY = TokenPolicy("https://api.example.com", "authward", access_ttl=900, refresh_ttl=604_800)


def tokens(ring: JoseRing) -> list[str]:
    """Of as many users."""
    return [
        mint(
            AccessClaims(
                iss=POLICY.issuer,
                aud=POLICY.audience,
                sub=f"user-{number:011}",
                id=f"user-{number:011}",
                sid=f"session-{number:014}",
                ver=1,
                role="user",
                iat=NOW,
                exp=NOW + 900,
                jti=f"token-{number:010}",
                auth_time=NOW,
                email=f"user{number}@example.com",
            ),
            ring.signing,
        )
        for number in range(TOKENS)
    ]


def ring_of(algorithm: Algorithm, material: bytes) -> JoseRing:
    key = Key("a-key-of-ours", "access", algorithm, "signing", material, NOW * 1000)
    return JoseRing([key], ring="access", typ="at+jwt", max_chars=MAX_ACCESS_CHARS)


def ours(ring: JoseRing, made: list[str]) -> Callable[[], int]:
    def batch() -> int:
        for token in made:
            check_access(token, ring, POLICY, NOW)
        return len(made)

    return batch


def joserfc(secret: bytes, made: list[str]) -> Callable[[], int]:
    key = OctKey.import_key(secret)
    claims = jwt.JWTClaimsRegistry(
        now=lambda: NOW,
        iss={"essential": True, "value": POLICY.issuer},
        aud={"essential": True, "value": POLICY.audience},
        sub={"essential": True},
        iat={"essential": True},
        exp={"essential": True},
    )

    def batch() -> int:
        for token in made:
            claims.validate(jwt.decode(token, key, ["HS256"]).claims)
        return len(made)

    return batch


def signatures(private: Ed25519PrivateKey, made: list[str]) -> Callable[[], int]:
    verify = private.public_key().verify
    parts = []
    for token in made:
        signed, _, signature = token.rpartition(".")
        parts.append((urlsafe_b64decode(f"{signature}=="), signed.encode()))

    def batch() -> int:
        for signature, signed in parts:
            verify(signature, signed)
        return len(parts)

    return batch


def main() -> None:
    secret = bytes(range(32))
    hs256 = ring_of("HS256", secret)
    private = Ed25519PrivateKey.generate()
    eddsa = ring_of(
        "EdDSA", private.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())
    )
    made, signed = tokens(hs256), tokens(eddsa)
    result = {
        "HS256": least({"ours": ours(hs256, made), "theirs": joserfc(secret, made)}),
        "EdDSA": least({"ours": ours(eddsa, signed), "theirs": signatures(private, signed)}),
    }
    print(json.dumps(result))


if __name__ == "__main__":
    main()
