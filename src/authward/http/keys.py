"""Signing keys, for those who run the server; and their public halves, for everyone."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from authward.core.times import iso_time
from authward.http.endpoint import Answer, Call
from authward.http.fields import Exact, Identifier, Model, Text, Time
from authward.http.tags import entity_tag, has_tag
from authward.services.keys import PUBLISHED_S, KeyView

JWK_SET = "application/jwk-set+json"
KEPT = f"public, max-age={PUBLISHED_S}"


class RotateBody(Exact):
    ring: Text | None = Field(default=None, max_length=16, examples=["access"])


class RetireBody(Exact):
    compromised: bool = Field(default=False, strict=True)
    dry_run: bool = Field(default=False, strict=True)


class KeyData(Model):
    id: Identifier
    ring: str = Field(examples=["access"])
    algorithm: str = Field(examples=["EdDSA"])
    state: str = Field(examples=["verifying"])
    created_at: Time
    signing_since: Time | None
    verifying_since: Time | None
    retired_at: Time | None
    sessions: int | None = Field(examples=[12])
    retirable_at: Time | None


class KeysData(Model):
    keys: list[KeyData]


class RetiredData(Model):
    retired: list[Identifier]
    sessions: int = Field(examples=[12])
    accounts: int = Field(examples=[4])


class JwkData(Model):
    """What keys of every kind have (RFC 7517 section 4)."""

    kid: Identifier
    use: Literal["sig"]


class OkpKeyData(JwkData):
    kty: Literal["OKP"]
    crv: Literal["Ed25519"]
    alg: Literal["EdDSA"]
    x: str = Field(examples=["11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"])


class EcKeyData(JwkData):
    kty: Literal["EC"]
    crv: Literal["P-256"]
    alg: Literal["ES256"]
    x: str = Field(examples=["f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU"])
    y: str = Field(examples=["x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0"])


class RsaKeyData(JwkData):
    kty: Literal["RSA"]
    alg: Literal["RS256"]
    n: str = Field(examples=["sXchDaQebHnPiGvyDOAT4saGEUetSyo9MKLOoWFsueri23bOdgWp4Dy1Wl"])
    e: str = Field(examples=["AQAB"])


class JwkSetData(Model):
    keys: list[OkpKeyData | EcKeyData | RsaKeyData]


def _time(at: int | None) -> str | None:
    return None if at is None else iso_time(at)


def key_data(view: KeyView) -> dict[str, object]:
    """A key as it is shown: never what it is made of."""
    key = view.key
    return {
        "id": key.kid,
        "ring": key.ring,
        "algorithm": key.algorithm,
        "state": key.state,
        "createdAt": iso_time(key.created_at),
        "signingSince": _time(key.signing_at),
        "verifyingSince": _time(key.verifying_at),
        "retiredAt": _time(key.retired_at),
        "sessions": view.sessions,
        "retirableAt": _time(view.retirable_at),
    }


async def list_keys(call: Call) -> Answer:
    views = await call.services.keys.views()
    return Answer({"keys": [key_data(view) for view in views]}, "Keys")


async def rotate_keys(call: Call) -> Answer:
    ring = call.body(RotateBody).ring
    keys = call.services.keys
    await keys.rotate(ring, call.client, actor=call.principal.id)
    return Answer({"keys": [key_data(view) for view in await keys.views()]}, "Keys rotated")


async def retire_key(call: Call) -> Answer:
    kid, body, keys = call.path("kid"), call.body(RetireBody), call.services.keys
    said = "Would be retired" if body.dry_run else "Key retired"
    if not body.compromised:
        gone = await keys.retire(kid, call.client, actor=call.principal.id, dry_run=body.dry_run)
        data = {"retired": [key.kid for key in gone], "sessions": 0, "accounts": 0}
        return Answer(data, said if gone else "Nothing to retire")
    killed = await (
        keys.count_killed(kid)
        if body.dry_run
        else keys.kill(kid, call.client, actor=call.principal.id)
    )
    data = {
        "retired": [key.kid for key in killed.keys],
        "sessions": killed.matched.sessions,
        "accounts": killed.matched.accounts,
    }
    if not killed.keys:
        # One that was retired before anybody knew that it had leaked ends sessions all the same.
        ends = "Sessions would end" if body.dry_run else "Sessions ended"
        said = ends if killed.matched.sessions else "Nothing to retire"
    return Answer(data, said)


async def jwks(call: Call) -> Answer:
    """The public keys of access tokens, pending ones too: a JWK Set (RFC 7517 section 5)."""
    body = call.services.tokens.jwks
    tag = entity_tag(body)
    status, headers = 200, ((b"etag", tag),)
    if has_tag(call.scope["headers"], tag):
        status, body = 304, b""
    return Answer(body, "", status, headers, JWK_SET.encode(), KEPT.encode())
