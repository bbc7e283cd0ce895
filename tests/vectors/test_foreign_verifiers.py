"""Tokens of every algorithm, verified by two libraries that are none of ours: PyJWT, and `jose` on
Node; and what these must refuse. So the tokens are what RFC 7515 to 7519 and RFC 8037 say.
"""

import json
import os
import subprocess
from pathlib import Path
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.serialization import load_der_private_key

from authward.core.jwks import jwks
from authward.core.keys import Key
from authward.core.tokens import check_access, mint
from authward.errors import InvalidToken
from authward.services.rings import new_key
from tests.minting import (
    NOW,
    POLICY,
    REFRESH,
    access_claims,
    access_ring,
    b64,
    compact,
    refresh_claims,
)
from tests.node import node, packages

FOLDER = Path(__file__).parents[2] / "examples" / "verify-with-jose"
ALGORITHMS = ("HS256", "EdDSA", "ES256", "RS256")
LATER = 10**6
# In the folder of the example, as Node looks for packages beside the file that asks.
JOSE = """
import { createLocalJWKSet, importJWK, jwtVerify } from "jose";
let text = "";
for await (const part of process.stdin) text += part;
const { keys, alg, iss, aud, tokens, now } = JSON.parse(text);
const local = createLocalJWKSet({ keys });
const secret = alg === "HS256" ? await importJWK(keys[0], alg) : local;
const options = {
  issuer: iss, audience: aud, typ: "at+jwt", algorithms: [alg], currentDate: new Date(now * 1000),
};
const found = [];
for (const token of tokens) {
  try {
    found.push((await jwtVerify(token, secret, options)).payload);
  } catch (error) {
    found.push(error.code ?? error.name);
  }
}
console.log(JSON.stringify(found));
"""


def published(key: Key) -> list[dict[str, Any]]:
    """As a JWK Set; of HS256 the secret, which whoever verifies has to have been given."""
    if key.algorithm == "HS256":
        return [{"kty": "oct", "k": b64(key.material), "alg": "HS256", "kid": key.kid}]
    found: list[dict[str, Any]] = json.loads(jwks(access_ring(key).keys))["keys"]
    return found


def cases(key: Key) -> tuple[str, list[str]]:
    """A good token, and others that are none."""
    claims = access_claims(exp=NOW + LATER)
    ring = access_ring(key)
    good = mint(claims, ring.signing)
    other = access_ring(new_key("access", key.algorithm, "signing", os.urandom)).signing
    head, body, signature = good.split(".")
    bad = [
        mint(claims, other),
        f"{head}.{body}.{'B' if signature[0] == 'A' else 'A'}{signature[1:]}",
        f"{head}.{mint(access_claims(role='admin'), other).split('.')[1]}.{signature}",
        mint(access_claims(exp=NOW - 1), ring.signing),
        mint(access_claims(exp=NOW + LATER, iss="https://evil.example"), ring.signing),
        mint(access_claims(exp=NOW + LATER, aud="another"), ring.signing),
        f"{b64(compact({'alg': 'none', 'typ': 'at+jwt', 'kid': key.kid}))}.{body}.",
        mint(refresh_claims(), REFRESH.ring.signing),
        "junk",
    ]
    return good, bad


def by_pyjwt(key: Key, tokens: list[str]) -> list[Any]:
    found: list[Any] = []
    keys = jwt.PyJWKSet(published(key))
    for token in tokens:
        try:
            head = jwt.get_unverified_header(token)
            known = next((one for one in keys.keys if one.key_id == head.get("kid")), None)
            if known is None or head.get("typ") != "at+jwt":
                raise jwt.InvalidTokenError("none of theirs")
            options: Any = {"verify_exp": False, "verify_iat": False}
            claims = jwt.decode(
                token,
                known,
                algorithms=[key.algorithm],
                issuer=POLICY.issuer,
                audience=POLICY.audience,
                options=options,
            )
            # At a time of the test's own, which PyJWT cannot be given.
            if claims["exp"] <= NOW:
                raise jwt.ExpiredSignatureError
            found.append(claims)
        except jwt.InvalidTokenError as error:
            found.append(type(error).__name__)
    return found


def by_jose(key: Key, tokens: list[str]) -> list[Any]:
    asked = {
        "keys": published(key),
        "alg": key.algorithm,
        "iss": POLICY.issuer,
        "aud": POLICY.audience,
        "tokens": tokens,
        "now": NOW,
    }
    done = subprocess.run(
        [node(), "--input-type=module", "--eval", JOSE],
        cwd=packages(FOLDER),
        input=json.dumps(asked),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    found: list[Any] = json.loads(done.stdout)
    return found


@pytest.mark.parametrize("verify", [by_pyjwt, by_jose])
@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_ours_hold_and_foreign_ones_do_not(algorithm: Any, verify: Any) -> None:
    key = new_key("access", algorithm, "signing", os.urandom)
    good, bad = cases(key)
    first, *others = verify(key, [good, *bad])
    assert first["sub"] == access_claims().sub
    assert first["exp"] == NOW + LATER
    assert [isinstance(one, str) for one in others] == [True] * len(bad), others


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_what_others_sign_is_refused_here(algorithm: Any) -> None:
    """Also with our own key: only what we write is ours, byte for byte."""
    key = new_key("access", algorithm, "signing", os.urandom)
    ring = access_ring(key)
    [claims] = by_pyjwt(key, [mint(access_claims(), ring.signing)])
    stranger = new_key("access", algorithm, "signing", os.urandom)
    for signer in (key, stranger):
        private: Any = signer.material
        if algorithm != "HS256":
            private = load_der_private_key(signer.material, None)
        for more in ({}, {"admin": True}):
            header = {"typ": "at+jwt", "kid": key.kid}
            token = jwt.encode({**claims, **more}, private, algorithm=algorithm, headers=header)
            with pytest.raises(InvalidToken):
                check_access(token, ring, POLICY, NOW)
