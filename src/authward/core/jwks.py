"""The public halves of keys, for other services to verify by (RFC 7517)."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from authward.core.jose import JoseKey
from authward.core.verifying import _KINDS


def jwks(keys: Iterable[JoseKey]) -> bytes:
    """A JWK Set as JSON: each asymmetric key, and of it what is named here alone. Nothing is ever
    left out of a private key; it is written anew.
    """
    found = []
    for key in keys:
        kind = _KINDS.get(key.key.algorithm)
        if kind is not None:
            public = key.public()
            found.append(
                {
                    **kind.fixed,
                    **{name: str(public[name]) for name in kind.own},
                    "kid": key.kid,
                    "use": "sig",
                    "alg": kind.algorithm,
                }
            )
    return msgspec.json.encode({"keys": found})
