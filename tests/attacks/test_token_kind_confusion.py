"""A token of one kind where another belongs.

ASVS 9.2.2, RFC 8725 sections 3.11 and 3.12, RFC 9068 section 4.
"""

import itertools

import pytest

from authward.core.csrf import csrf_token
from authward.core.jose import JoseKey
from authward.core.tokens import mint
from tests.minting import (
    ACCESS,
    REFRESH,
    Kind,
    access_claims,
    compact,
    each_kind,
    hs256,
    key,
    refresh_claims,
)

TYPES = ["at+jwt", "rt+jwt"]
SECRETS = {"access": ACCESS.key, "refresh": REFRESH.key}
CLAIMS = {"access": access_claims(), "refresh": refresh_claims()}

# Every mix of typ, kid, signing key and claims. Only what agrees in all four is a token.
MATRIX = list(itertools.product(TYPES, SECRETS, SECRETS, CLAIMS))
OURS = {
    ("at+jwt", "access", "access", "access"): ACCESS,
    ("rt+jwt", "refresh", "refresh", "refresh"): REFRESH,
}


@pytest.mark.parametrize("mix", MATRIX, ids=" ".join)
def test_the_matrix_passes_on_its_diagonal_alone(mix):
    typ, named, signed, claims = mix
    token = hs256(
        compact({"alg": "HS256", "typ": typ, "kid": SECRETS[named].kid}),
        (ACCESS if claims == "access" else REFRESH).payload,
        SECRETS[signed].material,
    )
    for kind in (ACCESS, REFRESH):
        if OURS.get(mix) is kind:
            assert kind.read(token) == CLAIMS[claims]
        else:
            kind.refuses(token)


@each_kind
@pytest.mark.parametrize(
    "typ",
    [
        "JWT",
        "jwt",
        "at+JWT",
        "AT+JWT",
        "application/at+jwt",
        "rt+JWT",
        "",
        "at",
        None,
        1,
        ["at+jwt"],
    ],
    ids=repr,
)
def test_any_other_typ_is_refused_though_we_signed_it(kind: Kind, typ):
    kind.refuses(kind.forge(header={**kind.header, "typ": typ}))


@each_kind
def test_no_typ_is_no_token(kind: Kind):
    kind.refuses(kind.forge(header={"alg": "HS256", "kid": kind.key.kid}))


def test_rings_of_one_secret_and_one_kid_would_still_be_told_apart():
    """Defence in depth: should a key ever be shared, `typ` still separates the kinds."""
    access_key = JoseKey(key("key-of-both-1"), "at+jwt")
    refresh_key = JoseKey(key("key-of-both-1", ring="refresh"), "rt+jwt")
    assert access_key.mint(b"{}") != refresh_key.mint(b"{}")
    ACCESS.refuses(mint(access_claims(), refresh_key))
    REFRESH.refuses(mint(refresh_claims(), access_key))


@each_kind
def test_a_csrf_token_is_no_token_of_any_other_kind(kind: Kind):
    token = csrf_token(kind.key.material, kind.claims.sid)
    kind.refuses(token)
    kind.refuses(f"{token}.{token}.{token}")
    head, payload, _ = kind.token.split(".")
    kind.refuses(f"{head}.{payload}.{token}")


@each_kind
def test_the_claims_of_one_kind_with_those_of_the_other_are_neither(kind: Kind):
    both = compact({**_fields(ACCESS), **_fields(REFRESH)})
    kind.refuses(kind.forge(payload=both))


def _fields(kind: Kind):
    return {name: getattr(kind.claims, name) for name in kind.claims.__struct_fields__}
