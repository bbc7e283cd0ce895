"""The signing and reading of others: PyJWT, joserfc and, on Node, jose."""

from __future__ import annotations

import json
import subprocess
from base64 import b64encode
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from shutil import which
from typing import Any

import jwt
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from joserfc import jws
from joserfc import jwt as joserfc_jwt
from joserfc.jwk import ECKey, OctKey, OKPKey, RSAKey
from jwt.api_jws import PyJWS

from authward.core.keys import Algorithm, Key
from tests.needs import require
from tests.planting import private_of

ROOT = Path(__file__).parents[2]
_JOSE = ROOT / "clients" / "js" / "node_modules" / "jose" / "dist" / "webapi" / "index.js"
_JOSERFC: dict[Algorithm, Any] = {"HS256": OctKey, "EdDSA": OKPKey, "ES256": ECKey, "RS256": RSAKey}
Claims = dict[str, Any]


@dataclass(frozen=True)
class Order:
    """A token to be made: claims, or a payload that no writer of claims would write."""

    header: dict[str, Any]
    claims: Claims
    key: Key
    raw: bytes | None = None


Signer = Callable[[Sequence[Order]], list[str]]


@dataclass(frozen=True)
class Reading:
    """A token to be verified with `key`, and what its reader expects."""

    token: str
    key: Key
    issuer: str
    audience: str


class _HeaderAsGiven(json.JSONEncoder):
    """PyJWT writes `typ` first, whatever order it is given. Nothing else of it is changed."""

    def encode(self, o: Any) -> str:
        if isinstance(o, dict) and {"alg", "typ"} <= o.keys():
            o = {"alg": o["alg"], "typ": o["typ"], **o}
        return super().encode(o)


def pem(key: Key) -> str:
    private: Any = private_of(key)
    return str(
        private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()), encoding="ascii"
    )


def sign_with_pyjwt(orders: Sequence[Order]) -> list[str]:
    made = []
    for order in orders:
        alg = order.header["alg"]
        key: Any = order.key.material if order.key.algorithm == "HS256" else private_of(order.key)
        header = {"typ": None, **order.header}
        payload = order.raw or json.dumps(order.claims, separators=(",", ":")).encode()
        made.append(
            PyJWS().encode(
                payload,
                None if alg == "none" else key,  # type: ignore[arg-type]
                alg,
                header,
                json_encoder=_HeaderAsGiven,
                sort_headers=False,
            )
        )
    return made


def sign_with_joserfc(orders: Sequence[Order]) -> list[str]:
    made = []
    for order in orders:
        key = _JOSERFC[order.key.algorithm].import_key(order.key.material)
        registry = _Lax(algorithms=[order.header["alg"]], strict_check_header=False)
        if order.raw is None:
            made.append(
                joserfc_jwt.encode(
                    order.header, order.claims, key, registry=registry, default_type=None
                )
            )
        else:
            made.append(jws.serialize_compact(order.header, order.raw, key, registry=registry))
    return made


class _Lax(jws.JWSRegistry):
    def check_header(self, header: Any) -> None:
        """A forger does not care."""


def sign_with_jose(orders: Sequence[Order]) -> list[str]:
    jobs = []
    for order in orders:
        job: dict[str, Any] = {
            "header": order.header,
            "claims": order.claims,
            "key": _for_node(order.key),
        }
        if order.raw is not None:
            job["raw"] = b64encode(order.raw).decode()
        jobs.append(job)
    return [str(one) for one in _node(jobs)]


SIGNERS: dict[str, Signer] = {
    "PyJWT": sign_with_pyjwt,
    "joserfc": sign_with_joserfc,
    "jose": sign_with_jose,
}


def read_with_pyjwt(reading: Reading) -> Claims:
    key = reading.key
    known: Any = key.material if key.algorithm == "HS256" else private_of(key)
    return jwt.decode(
        reading.token,
        known if key.algorithm == "HS256" else known.public_key(),
        [key.algorithm],
        options={"require": ["exp", "iat"]},
        audience=reading.audience,
        issuer=reading.issuer,
    )


def read_with_joserfc(reading: Reading) -> Claims:
    key: Any = _JOSERFC[reading.key.algorithm].import_key(reading.key.material)
    registry = jws.JWSRegistry(algorithms=[reading.key.algorithm])
    claims = joserfc_jwt.decode(reading.token, key, registry=registry).claims
    joserfc_jwt.JWTClaimsRegistry(
        iss={"essential": True, "value": reading.issuer},
        aud={"essential": True, "value": reading.audience},
        exp={"essential": True},
    ).validate(claims)
    return claims


def read_with_jose(reading: Reading) -> Claims:
    options = {
        "issuer": reading.issuer,
        "audience": reading.audience,
        "typ": "at+jwt",
        "algorithms": [reading.key.algorithm],
        "requiredClaims": ["exp", "iat"],
    }
    job = {"token": reading.token, "key": _for_node(reading.key), "options": options}
    [claims] = _node([job])
    if "error" in claims:
        raise ValueError(claims["error"])
    return dict(claims)


READERS: dict[str, Callable[[Reading], Claims]] = {
    "PyJWT": read_with_pyjwt,
    "joserfc": read_with_joserfc,
    "jose": read_with_jose,
}


def _for_node(key: Key) -> dict[str, str]:
    if key.algorithm == "HS256":
        return {"secret": b64encode(key.material).decode()}
    return {"pem": pem(key)}


def _node(jobs: Sequence[dict[str, Any]]) -> list[Any]:
    node = require("Node", "apt-get install nodejs", found=which("node"))
    jose = require(
        "jose", "npm ci --prefix clients/js", found=_JOSE if _JOSE.exists() else None
    ).as_uri()
    done = subprocess.run(
        [node, Path(__file__).with_suffix(".mjs"), jose],
        input=json.dumps(jobs),
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    found: list[Any] = json.loads(done.stdout)
    return found
