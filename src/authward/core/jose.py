"""joserfc, wrapped once: compact JWS signed by our own rings and by nothing else.

We verify only what we minted, so a header is never parsed to decide anything. It must equal, byte
for byte, the header a key of the ring writes for this `typ`. That settles algorithm, kid, typ,
`crit` and embedded keys in one lookup (RFC 8725 sections 3.1, 3.10 and 3.11).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any, Literal

from joserfc import jws
from joserfc.errors import JoseError
from joserfc.jwa import EdDSAAlgorithm
from joserfc.jwk import ECKey, OctKey, OKPKey, RSAKey
from joserfc.util import urlsafe_b64decode

from authward.core.keys import Algorithm, Key, Ring, check_ring
from authward.errors import ConfigurationError

Typ = Literal["at+jwt", "rt+jwt"]

_COMPACT = re.compile(r"[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+", re.ASCII)
_KINDS: Mapping[Algorithm, type[OctKey] | type[OKPKey] | type[ECKey] | type[RSAKey]] = {
    "HS256": OctKey,
    "EdDSA": OKPKey,
    "ES256": ECKey,
    "RS256": RSAKey,
}


class _EdDSA(EdDSAAlgorithm):
    """`EdDSA` without the warning that RFC 9864 renamed it: the older verifiers of others know no
    other name, and `check_key` holds ours to Ed25519.
    """

    security_warning = ""


class _Registry(jws.JWSRegistry):
    """Our four algorithms and no other, `none` least of all."""

    algorithms = {  # noqa: RUF012  (typed in joserfc)
        **{name: jws.JWSRegistry.algorithms[name] for name in ("HS256", "ES256", "RS256")},
        "EdDSA": _EdDSA(),
    }


_REGISTRIES: Mapping[Algorithm, _Registry] = {name: _Registry(algorithms=[name]) for name in _KINDS}


class BadToken(ValueError):
    """A token that is not ours. The text is a reason for the log and holds no part of the token."""


class JoseKey:
    """A key parsed once, bound to one algorithm and one `typ`."""

    __slots__ = ("_jwk", "_protected", "_registry", "header", "key", "kid")

    def __init__(self, key: Key, typ: Typ) -> None:
        self.key = key
        self.kid = key.kid
        self._registry = _REGISTRIES[key.algorithm]
        self._protected = {"alg": key.algorithm, "typ": typ, "kid": key.kid}
        self._jwk = _KINDS[key.algorithm].import_key(key.material)
        self.header = self.mint(b"{}").partition(".")[0]

    def mint(self, payload: bytes) -> str:
        """Sign `payload` as compact JWS. HS256 output is a function of key and payload alone."""
        return jws.serialize_compact(self._protected, payload, self._jwk, registry=self._registry)

    def public(self) -> Mapping[str, Any]:
        """The members of the public half, as a JWK. Raises ConfigurationError for a secret, which
        has none.
        """
        if isinstance(self._jwk, OctKey):
            raise ConfigurationError(f"key {self.kid}: an HS256 key is a secret whole")
        return self._jwk.as_dict(private=False)

    def verified(self, token: str) -> bytes:
        """The payload of `token`. Raises BadToken if the signature is not this key's."""
        try:
            return jws.deserialize_compact(token, self._jwk, registry=self._registry).payload
        except (JoseError, ValueError) as error:
            raise BadToken(f"signature: {type(error).__name__}") from None


class JoseRing:
    """The keys of one ring and one `typ`: one signs, all but the retired ones verify. The pending
    one does, too: other processes may have heard before us that it signs.

    Raises ConfigurationError for a weak key, a duplicate kid, or a ring without exactly one signing
    key.
    """

    __slots__ = ("_by_header", "_by_kid", "max_chars", "signing")

    def __init__(self, keys: Iterable[Key], *, ring: Ring, typ: Typ, max_chars: int) -> None:
        own = [key for key in keys if key.ring == ring and key.state != "retired"]
        check_ring(own)
        usable = [JoseKey(key, typ) for key in own]
        self.max_chars = max_chars
        self.signing = next(parsed for parsed in usable if parsed.key.state == "signing")
        self._by_header = {parsed.header: parsed for parsed in usable}
        self._by_kid = {parsed.kid: parsed for parsed in usable}

    def by_kid(self, kid: str) -> JoseKey | None:
        """The key of this id that signs, has signed or is to sign."""
        return self._by_kid.get(kid)

    @property
    def keys(self) -> Iterable[JoseKey]:
        """All of them."""
        return self._by_kid.values()

    def payload(self, token: str) -> bytes:
        """The signed bytes of `token`. Size and shape are checked before anything is split or
        decoded.

        Raises BadToken.
        """
        if len(token) > self.max_chars:
            raise BadToken("too long")
        if not _COMPACT.fullmatch(token):
            raise BadToken("not compact JWS")
        parsed = self.named(token)
        if parsed is None:
            raise BadToken("header is none of ours (alg, typ, kid or an extra field)")
        return parsed.verified(token)

    def named(self, token: str) -> JoseKey | None:
        """The key whose header `token` has, whoever signed it."""
        return self._by_header.get(token.partition(".")[0])


def payload_segment(token: str) -> bytes:
    """The decoded middle of a compact JWS, unverified. For tests and diagnostics only."""
    return urlsafe_b64decode(token.split(".")[1].encode("ascii"))
