"""A second signature that anybody makes out of the first, past any list of seen tokens.

Of an ECDSA signature (r, s), (r, n − s) is one too. Nothing of ours may go by a token's text: a
session that ends takes both along. Of the other algorithms there is none (RFC 8032 section 8.4,
RFC 8017 section 8.2.2).
"""

from base64 import urlsafe_b64decode

from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature

from tests.attacks.targets import OK, TargetOf
from tests.minting import b64
from tests.planting import private_of

P256_ORDER = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
ED25519_ORDER = 2**252 + 27742317777372353535851937790883648493


def split(token: str) -> tuple[str, bytes]:
    head, _, signature = token.rpartition(".")
    return head, urlsafe_b64decode(signature + "==")


async def test_both_of_es256_end_with_their_session(target_of: TargetOf) -> None:
    target = await target_of("ES256")
    head, signature = split(target.token)
    r, s = signature[:32], int.from_bytes(signature[32:], "big")
    twin = f"{head}.{b64(r + (P256_ORDER - s).to_bytes(32, 'big'))}"
    assert twin != target.token
    assert [await target.answer(twin), await target.answer(target.token)] == [OK, OK]
    # Signed out with the one, the other is over too, remembered as it was.
    headers = {"authorization": f"Bearer {target.token}"}
    answer = await target.here.send("POST", "/api/auth/logout-all", headers=headers)
    assert answer.status_code == 200
    assert await target.answer(twin) == (401, "token_revoked")


async def test_es256_has_one_form_and_no_zeros(target_of: TargetOf) -> None:
    target = await target_of("ES256")
    head, signature = split(target.token)
    r, s = (int.from_bytes(part, "big") for part in (signature[:32], signature[32:]))
    order = P256_ORDER.to_bytes(32, "big")
    wrong = {
        "DER": encode_dss_signature(r, s),
        "zeros": bytes(64),  # CVE-2022-21449
        "the order": order + order,
        "r of nothing": bytes(32) + signature[32:],
        "s of nothing": signature[:32] + bytes(32),
        "s negative": signature[:32] + (2**256 - s).to_bytes(32, "big"),
        "a zero before": b"\0" + signature,
        "a zero after": signature + b"\0",
        "padded halves": b"\0" + signature[:32] + b"\0" + signature[32:],
        "short": signature[:-1],
    }
    await target.refuses({name: f"{head}.{b64(raw)}" for name, raw in wrong.items()})


async def test_eddsa_has_none(target_of: TargetOf) -> None:
    target = await target_of("EdDSA")
    head, signature = split(target.token)
    s = int.from_bytes(signature[32:], "little")
    wrong = {
        "s and the order": signature[:32] + (s + ED25519_ORDER).to_bytes(32, "little"),
        "zeros": bytes(64),
        "a small point": b"\1" + bytes(63),
        "a zero after": signature + b"\0",
        "short": signature[:-1],
    }
    await target.refuses({name: f"{head}.{b64(raw)}" for name, raw in wrong.items()})


async def test_rs256_has_none(target_of: TargetOf) -> None:
    target = await target_of("RS256")
    private = private_of(target.key)
    assert isinstance(private, RSAPrivateKey)
    modulus = private.public_key().public_numbers().n
    head, signature = split(target.token)
    number = int.from_bytes(signature, "big")
    wrong = {
        "and the modulus": (number + modulus).to_bytes(257, "big"),
        "its negative": (modulus - number).to_bytes(256, "big"),
        "zero": bytes(256),
        "one": (1).to_bytes(256, "big"),
        "a zero before": b"\0" + signature,
        "short": signature[:-1],
    }
    await target.refuses({name: f"{head}.{b64(raw)}" for name, raw in wrong.items()})
