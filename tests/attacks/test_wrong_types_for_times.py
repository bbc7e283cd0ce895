"""`exp` and `iat` missing, or written so that a comparison means nothing.

RFC 7519 section 2, RFC 8725 section 3.9, ASVS 9.2.1.
"""

import pytest

from tests.attacks.targets import Target
from tests.minting import NOW, Kind, each_kind

# As JSON text, for no JSON writer would write most of them.
WRONG = [
    "null",
    "true",
    "false",
    f'"{NOW + 900}"',
    '""',
    "[]",
    f"[{NOW + 900}]",
    "{}",
    f"{NOW + 900}.0",
    f"{NOW + 900}.5",
    "1.8e9",
    "18E8",
    "1e400",
    "-1e400",
    "NaN",
    "Infinity",
    "-Infinity",
    "-1",
    "-0",
    f"+{NOW + 900}",
    f"0{NOW + 900}",
    "0x6b49d200",
    "9" * 30,
    "9" * 5000,
    str(2**63),
    str(2**64),
    "253402300800",
]


@each_kind
@pytest.mark.parametrize("claim", ["exp", "iat"])
@pytest.mark.parametrize("written", WRONG, ids=lambda written: written[:24])
def test_what_is_no_plain_number_is_refused_though_we_signed_it(kind: Kind, claim, written: str):
    present = f'"{claim}":{getattr(kind.claims, claim)}'.encode()
    payload = kind.payload.replace(present, f'"{claim}":{written}'.encode())
    assert payload != kind.payload
    kind.refuses(kind.forge(payload=payload))


@each_kind
@pytest.mark.parametrize("claim", ["exp", "iat", "iss", "sub", "sid"])
def test_a_token_without_it_is_refused(kind: Kind, claim: str):
    kind.refuses(kind.forge(payload=kind.with_claims(**{claim: ...})))


@each_kind
@pytest.mark.parametrize("claim", ["gen", "ver", "auth_time", "aud", "id", "role", "jti"])
def test_so_is_one_without_any_claim_of_its_kind(kind: Kind, claim: str):
    if claim in kind.claims.__struct_fields__:
        kind.refuses(kind.forge(payload=kind.with_claims(**{claim: ...})))


@each_kind
@pytest.mark.parametrize("claim", ["iss", "sub", "sid", "id", "role", "jti", "email"])
@pytest.mark.parametrize("value", [0, True, [], ["user"], {}, 1.5], ids=repr)
def test_a_text_claim_of_another_type_is_refused(kind: Kind, claim: str, value):
    kind.refuses(kind.forge(payload=kind.with_claims(**{claim: value})))


@each_kind
@pytest.mark.parametrize("claim", ["gen", "ver", "auth_time"])
@pytest.mark.parametrize("value", ["1", True, None, 1.0, [1]], ids=repr)
def test_a_number_claim_of_another_type_is_refused(kind: Kind, claim: str, value):
    kind.refuses(kind.forge(payload=kind.with_claims(**{claim: value})))


async def test_no_running_server_reads_them(target: Target):
    tokens = {}
    for claim in ("exp", "iat"):
        written = f'"{claim}":{target.claims[claim]}'.encode()
        assert written in target.payload
        tokens[f"no {claim}"] = target.forge(payload=target.with_claims(**{claim: ...}))
        for wrong in WRONG:
            payload = target.payload.replace(written, f'"{claim}":{wrong}'.encode())
            tokens[f"{claim} {wrong[:24]}"] = target.forge(payload=payload)
    await target.refuses({name: token for name, token in tokens.items() if len(token) < 8000})
