"""A ring that verifies and never signs: keys of an Authward server as another service has them.

Public keys come as JWKs (RFC 7517), as that server publishes them; a shared secret as a `Key`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from joserfc.errors import JoseError
from joserfc.jwk import ECKey, OKPKey, RSAKey
from joserfc.util import base64_to_int, json_b64encode

from authward.core.jose import _REGISTRIES, JoseKey, JoseRing
from authward.core.keys import RSA_BITS, Algorithm, Key, check_key
from authward.core.tokens import MAX_ACCESS_CHARS
from authward.errors import ConfigurationError

Jwk = Mapping[str, Any]


class _Kind(NamedTuple):
    """What a public key of one algorithm is made of: members with one value, and its own."""

    algorithm: Algorithm
    jwk: type[OKPKey] | type[ECKey] | type[RSAKey]
    fixed: Mapping[str, str]
    own: tuple[str, ...]


_KINDS = {
    "EdDSA": _Kind("EdDSA", OKPKey, {"kty": "OKP", "crv": "Ed25519"}, ("x",)),
    "ES256": _Kind("ES256", ECKey, {"kty": "EC", "crv": "P-256"}, ("x", "y")),
    "RS256": _Kind("RS256", RSAKey, {"kty": "RSA"}, ("n", "e")),
}
_KID = re.compile(r"[A-Za-z0-9_-]{8,64}", re.ASCII)
_SECRET = frozenset({"d", "p", "q", "dp", "dq", "qi", "oth", "k"})


class PublicKey(JoseKey):
    """The public half of an access key. It cannot mint. Raises ConfigurationError."""

    __slots__ = ()

    def __init__(self, jwk: Jwk) -> None:
        self.kid = _kid(jwk)
        if not _SECRET.isdisjoint(jwk):
            raise ConfigurationError(
                f"keys: '{self.kid}' holds a secret, and whoever reads it can sign. "
                "Take the public key; a shared HS256 secret goes in as authward.core.keys.Key"
            )
        kind = _kind(jwk, self.kid)
        try:
            # No other member is looked at: jku, x5u and x5c least of all.
            own = {name: jwk[name] for name in kind.own}
            bits = base64_to_int(own["n"]).bit_length() if kind.jwk is RSAKey else RSA_BITS[0]
            if not RSA_BITS[0] <= bits <= RSA_BITS[1]:
                raise ConfigurationError(
                    f"keys: '{self.kid}' has {bits} bits. RSA needs {RSA_BITS[0]} to {RSA_BITS[1]}"
                )
            self._jwk = kind.jwk.import_key({**kind.fixed, **own})
        except (JoseError, ValueError, TypeError, KeyError) as error:
            raise ConfigurationError(
                f"keys: '{self.kid}' cannot be read: {type(error).__name__}"
            ) from None
        self._registry = _REGISTRIES[kind.algorithm]
        # The header that the server writes for this key, byte for byte.
        header = {"alg": kind.algorithm, "typ": "at+jwt", "kid": self.kid}
        self.header = json_b64encode(header).decode()


class VerifyingRing(JoseRing):
    """Verifies access tokens by any of `keys`, but the retired ones. A pending key counts: it may
    sign before we hear of it.

    Raises ConfigurationError for a weak, private or misnamed key, a duplicate kid, or none at all.
    """

    __slots__ = ()

    def __init__(self, keys: Iterable[Key | Jwk]) -> None:
        self.max_chars = MAX_ACCESS_CHARS
        self._by_kid: dict[str, JoseKey] = {}
        for key in _several(keys):
            parsed = _shared(key) if isinstance(key, Key) else PublicKey(key)
            if parsed is None:
                continue
            if parsed.kid in self._by_kid:
                raise ConfigurationError(
                    f"keys: '{parsed.kid}' is there twice. Drop one of the two"
                )
            self._by_kid[parsed.kid] = parsed
        if not self._by_kid:
            raise ConfigurationError(
                "keys: there is none, so every token would be refused. "
                "Take the server's public keys, as JWKs"
            )
        self._by_header = {parsed.header: parsed for parsed in self._by_kid.values()}


def _several(keys: Iterable[Key | Jwk]) -> Iterable[Key | Jwk]:
    if isinstance(keys, Mapping):
        raise ConfigurationError("keys: takes the list. Did you mean keys=jwks['keys']?")
    given: object = keys
    if not isinstance(given, Iterable):
        raise ConfigurationError(f"keys: {given!r} is no list. Write keys=jwks['keys']")
    return keys


def _shared(key: Key) -> JoseKey | None:
    if key.ring != "access":
        raise ConfigurationError(
            f"keys: '{key.kid}' is of the {key.ring} ring. Only access tokens leave the server"
        )
    check_key(key)
    return None if key.state == "retired" else JoseKey(key, "at+jwt")


def _kid(jwk: Any) -> str:
    kid = jwk.get("kid") if isinstance(jwk, Mapping) else None
    if not isinstance(kid, str) or not _KID.fullmatch(kid):
        raise ConfigurationError(
            "keys: one has no kid of 8 to 64 characters of A-Z a-z 0-9 _ -. "
            "Take the server's public keys as it names them"
        )
    return kid


def _kind(jwk: Jwk, kid: str) -> _Kind:
    # One algorithm for each key, and the key says which (RFC 8725 section 3.1).
    stated = jwk.get("alg")
    kind = _KINDS.get(stated) if isinstance(stated, str) else None
    if kind is None:
        raise ConfigurationError(
            f"keys: '{kid}' states no alg that is verified here: {', '.join(_KINDS)}"
        )
    fits = all(jwk.get(name) == value for name, value in kind.fixed.items())
    if not fits or jwk.get("use", "sig") != "sig":
        raise ConfigurationError(f"keys: '{kid}' is not a key to verify {stated} with")
    return kind
