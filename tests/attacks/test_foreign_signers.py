"""A token that a common library made, right in every way but one.

RFC 8725 section 2; the libraries' own faults: CVE-2022-29217, CVE-2024-53861 and CVE-2026-32597
(PyJWT), CVE-2024-37568 and CVE-2025-61920 (Authlib), CVE-2022-23540 (jsonwebtoken),
CVE-2024-33663 (python-jose).

Each library holds the server's own key. What is right in every way is taken, so that what is
refused is refused for the one thing. One departure from RFC 7519 is meant: a token counts only as
this project writes it, byte for byte, so another order of the same members is another token.
"""

from dataclasses import replace
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from authward.core.keys import Algorithm, Key
from tests.attacks.foreign import READERS, SIGNERS, Order, Reading
from tests.attacks.targets import EXPIRED, INVALID, OK, Target, TargetOf
from tests.minting import compact
from tests.planting import ALGORITHMS, new_key, private_of

# They warn of what is done here on purpose.
pytestmark = [
    pytest.mark.filterwarnings("ignore::jwt.warnings.InsecureKeyLengthWarning"),
    pytest.mark.filterwarnings("ignore::joserfc.errors.SecurityWarning"),
]
each_tool = pytest.mark.parametrize("tool", SIGNERS)
# What the same key signs under another name, where a library can.
OTHER_NAMES: dict[Algorithm, dict[str, list[str]]] = {
    "HS256": {"PyJWT": ["HS384"], "joserfc": ["HS384"], "jose": ["HS384"]},
    "EdDSA": {"PyJWT": [], "joserfc": ["Ed25519"], "jose": ["Ed25519"]},
    "ES256": {"PyJWT": [], "joserfc": [], "jose": []},
    "RS256": {tool: ["RS384", "RS512", "PS256"] for tool in ("PyJWT", "joserfc", "jose")},
}


def without(mapping: dict[str, Any], name: str) -> dict[str, Any]:
    return {key: value for key, value in mapping.items() if key != name}


def orders(target: Target, tool: str) -> dict[str, Order]:
    """What is wrong → the token to be made. All else about it is right."""
    right = Order(target.header, target.claims, target.key)
    header, claims, key = right.header, right.claims, right.key
    now = int(target.here.clock.now())
    found = {}
    headers: dict[str, dict[str, Any]] = {
        "typ JWT": {**header, "typ": "JWT"},
        "typ of the other kind": {
            **header,
            "typ": {"at+jwt": "rt+jwt", "rt+jwt": "at+jwt"}[target.typ],
        },
        "typ in long": {**header, "typ": f"application/{target.typ}"},
        "no typ": without(header, "typ"),
        "another kid": {**header, "kid": "another-key-1"},
        "kid in capitals": {**header, "kid": key.kid.swapcase()},
        "no kid": without(header, "kid"),
        "jku": {**header, "jku": "https://evil.example/jwks.json"},
        "x5u": {**header, "x5u": "https://evil.example/cert.pem"},
        "jwk": {**header, "jwk": {"kty": "oct", "k": "AAAA"}},
        "cty": {**header, "cty": "JWT"},
        "a header nobody knows": {**header, "x": 1},
        "crit": {**header, "crit": ["x"], "x": 1},
        "kid before typ": {"alg": header["alg"], "kid": key.kid, "typ": target.typ},
        "alg none": {"alg": "none"},
        **{f"alg {name}": {**header, "alg": name} for name in OTHER_NAMES[key.algorithm][tool]},
    }
    if tool == "PyJWT":
        # It refuses to sign the first, and has an order of its own for the second.
        del headers["crit"], headers["kid before typ"]
    for wrong, changed in headers.items():
        found[wrong] = replace(right, header=changed)
    for wrong, changed in {
        "iss of another": {**claims, "iss": "https://evil.example"},
        "iss with a slash": {**claims, "iss": claims["iss"] + "/"},
        "no iss": without(claims, "iss"),
        "aud of another": {**claims, "aud": "another-api"},
        "aud in a list": {**claims, "aud": [claims.get("aud", "authward")]},
        "no aud": without(claims, "aud") if "aud" in claims else without(claims, "sid"),
        "no exp": without(claims, "exp"),
        "exp of half a second": {**claims, "exp": claims["exp"] + 0.5},
        "iat of tomorrow": {**claims, "iat": now + 86_400, "exp": now + 90_000},
        "no iat": without(claims, "iat"),
        "nbf of tomorrow": {**claims, "nbf": now + 86_400},
        "nbf of yesterday": {**claims, "nbf": now - 86_400},
        "no sub": without(claims, "sub"),
        "a claim nobody knows": {**claims, "admin": True},
        "claims in another order": dict(reversed(claims.items())),
    }.items():
        found[wrong] = replace(right, claims=changed)
    for claim in ("iss", "sub", "exp"):
        again = compact({claim: claims[claim]})[1:-1]
        found[f"{claim} twice"] = replace(right, raw=target.payload[:-1] + b"," + again + b"}")
    found["spaces"] = replace(right, raw=target.payload.replace(b",", b", "))
    found["a foreign key"] = replace(right, key=foreign(key))
    return found


def foreign(key: Key) -> Key:
    """Another key of the same algorithm under the same kid."""
    if key.algorithm == "HS256":
        return replace(new_key("HS256", key.ring), kid=key.kid)
    private: Any = {
        "EdDSA": ed25519.Ed25519PrivateKey.generate,
        "ES256": lambda: ec.generate_private_key(ec.SECP256R1()),
        "RS256": lambda: rsa.generate_private_key(65537, 2048),
    }[key.algorithm]()
    material = private.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())
    return replace(key, material=material)


@each_tool
async def test_right_in_every_way_but_one_is_refused(target: Target, tool: str) -> None:
    wrong = orders(target, tool)
    assert len(wrong) > 30
    right = Order(target.header, target.claims, target.key)
    now = int(target.here.clock.now())
    ended = replace(right, claims={**target.claims, "iat": now - 900, "exp": now - 1})
    made = SIGNERS[tool]([right, ended, *wrong.values()])
    assert not [token for token in made if token.count(".") != 2], "it made no token"
    # The control: the library can make a token of ours, and says the same each time but ES256.
    assert await target.answer(made[0]) == OK
    if target.key.algorithm != "ES256":
        assert made[0] == target.token
    await target.refuses({"exp has passed": made[1]}, EXPIRED)
    await target.refuses(dict(zip(wrong, made[2:], strict=True)), INVALID)


async def test_the_order_that_pyjwt_writes_is_not_ours(target: Target) -> None:
    """The departure: all of it is right, and signed with the server's key."""
    key: Any = target.key.material if target.key.algorithm == "HS256" else private_of(target.key)
    header = {"typ": target.typ, "kid": target.key.kid}
    token = jwt.encode(target.claims, key, target.key.algorithm, header)
    assert jwt.get_unverified_header(token) == target.header
    await target.refuses({"alg, kid, typ": token})


@each_tool
@pytest.mark.parametrize("algorithm", ALGORITHMS)
async def test_each_library_reads_what_a_server_signs(
    target_of: TargetOf, tool: str, algorithm: Algorithm
) -> None:
    target = await target_of(algorithm)
    settings = target.here.auth.settings
    reading = Reading(target.token, target.key, settings.issuer, settings.audience)
    read = READERS[tool]
    assert read(reading) == target.claims
    for wrong in (
        replace(reading, issuer="https://evil.example"),
        replace(reading, audience="another-api"),
        replace(reading, key=foreign(target.key)),
        replace(reading, token=target.account.cookie),
    ):
        with pytest.raises(Exception, match=r"(?i)issuer|iss|audience|aud|signature|alg|verif"):
            read(wrong)
