"""Claims: minted, read back, and the moment they stop to hold."""

import json

import jwt
import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from authward.core.jose import payload_segment
from authward.core.tokens import (
    SKEW,
    AccessClaims,
    RefreshClaims,
    check_access,
    check_refresh,
    mint,
)
from tests.generating import few, many
from tests.minting import (
    ACCESS,
    NOW,
    POLICY,
    REFRESH,
    Kind,
    access_claims,
    b64,
    each_kind,
    refresh_claims,
)

TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=40)
COUNT = st.integers(0, 2**53)


@few
@given(
    st.builds(
        access_claims,
        sub=TEXT,
        id=TEXT,
        sid=TEXT,
        ver=COUNT,
        role=TEXT,
        iat=st.integers(0, NOW),
        exp=st.integers(NOW + 1, 253_402_300_799),
        jti=TEXT,
        auth_time=COUNT,
        email=st.none() | TEXT,
        permissions=st.lists(TEXT, max_size=5).map(tuple),
    )
)
def test_an_access_token_gives_back_its_claims(claims: AccessClaims):
    assert check_access(mint(claims, ACCESS.ring.signing), ACCESS.ring, POLICY, NOW) == claims


@few
@given(
    st.builds(
        refresh_claims,
        sub=TEXT,
        sid=TEXT,
        gen=COUNT,
        iat=st.integers(0, NOW),
        exp=st.integers(NOW + 1, 253_402_300_799),
    )
)
def test_a_refresh_token_gives_back_its_claims(claims: RefreshClaims):
    assert check_refresh(mint(claims, REFRESH.ring.signing), REFRESH.ring, POLICY, NOW) == claims


def test_claims_are_written_in_their_stated_order():
    written = json.loads(payload_segment(mint(access_claims(permissions=("a:b",)), _signing())))
    assert list(written) == [
        *("iss", "aud", "sub", "id", "sid", "ver", "role", "iat", "exp", "jti", "auth_time"),
        *("email", "permissions"),
    ]
    written = json.loads(payload_segment(REFRESH.token))
    assert list(written) == ["iss", "sub", "sid", "gen", "iat", "exp"]


def test_no_email_and_no_grants_are_not_written_at_all():
    written = json.loads(payload_segment(mint(access_claims(email=None), _signing())))
    assert "email" not in written
    assert "permissions" not in written


def test_minting_is_a_function_of_claims_and_key():
    assert mint(refresh_claims(), REFRESH.ring.signing) == REFRESH.token
    assert mint(refresh_claims(gen=8), REFRESH.ring.signing) != REFRESH.token


def test_another_library_reads_our_access_token():
    read = jwt.decode(
        ACCESS.token,
        ACCESS.key.material,
        algorithms=["HS256"],
        audience=POLICY.audience,
        issuer=POLICY.issuer,
        options={"verify_exp": False, "verify_iat": False},
    )
    assert read == msgspec.to_builtins(access_claims())
    assert jwt.get_unverified_header(ACCESS.token) == ACCESS.header


@each_kind
def test_the_hand_signed_twin_of_our_token_is_ours(kind: Kind):
    """The control of every hostile token: what `forge` writes fails for its fault alone."""
    assert kind.forge() == kind.token
    assert kind.read(kind.forge()) == kind.claims
    assert kind.forge(payload=kind.with_claims()) == kind.token


@each_kind
def test_a_token_holds_until_its_exp_and_not_at_it(kind: Kind):
    exp = kind.claims.exp
    assert kind.read(kind.token, exp - 0.001) == kind.claims
    for late in (exp, exp + 0.001, exp + 10**9):
        with pytest.raises(kind.expired) as caught:
            kind.read(kind.token, late)
        assert type(caught.value) is kind.expired


@each_kind
def test_a_token_may_be_issued_a_minute_ahead_of_our_clock(kind: Kind):
    assert kind.read(kind.token, NOW - SKEW) == kind.claims
    assert "iat" in kind.refuses(kind.token, NOW - SKEW - 0.001)


@each_kind
@pytest.mark.parametrize(
    ("iat", "exp"), [(-1, NOW + 9), (NOW, NOW - 1), (NOW, 253_402_300_800)], ids=str
)
def test_times_out_of_all_range_are_refused(kind: Kind, iat: int, exp: int):
    assert "range" in kind.refuses(kind.forge(payload=kind.with_claims(iat=iat, exp=exp)))


@each_kind
def test_the_last_second_of_the_calendar_still_holds(kind: Kind):
    token = kind.forge(payload=kind.with_claims(iat=0, exp=253_402_300_799))
    assert kind.read(token).exp == 253_402_300_799


@each_kind
def test_a_token_that_dies_as_it_is_issued_is_expired_not_broken(kind: Kind):
    with pytest.raises(kind.expired):
        kind.read(kind.forge(payload=kind.with_claims(exp=kind.claims.iat)))


def test_a_generation_below_zero_is_refused():
    assert REFRESH.read(REFRESH.forge(payload=REFRESH.with_claims(gen=0))).gen == 0
    assert "gen" in REFRESH.refuses(REFRESH.forge(payload=REFRESH.with_claims(gen=-1)))


@each_kind
def test_expired_too_skips_exp_and_nothing_else(kind: Kind):
    late = kind.claims.exp + 5
    assert kind.check(kind.token, kind.ring, POLICY, late, expired_too=True) == kind.claims
    spoiled = kind.forge(payload=kind.with_claims(iss="https://other.example"))
    for broken in (spoiled, kind.token[:-1], kind.token + "A"):
        with pytest.raises(kind.invalid):
            kind.check(broken, kind.ring, POLICY, late, expired_too=True)


@each_kind
def test_an_expired_token_of_another_issuer_is_invalid_first(kind: Kind):
    assert "iss" in kind.refuses(
        kind.forge(payload=kind.with_claims(iss="https://other.example")), kind.claims.exp + 5
    )


@each_kind
def test_every_other_byte_makes_another_token(kind: Kind):
    token = kind.token
    for at in range(0, len(token), 7):
        other = "A" if token[at] != "A" else "B"
        kind.refuses(token[:at] + other + token[at + 1 :])


@each_kind
def test_a_reason_never_holds_the_token(kind: Kind):
    for broken in (kind.token[:-1], "x" * 50, kind.token.upper(), kind.token + "." + kind.token):
        assert not any(part and part in kind.refuses(broken) for part in broken.split("."))


@many
@given(
    token=st.one_of(
        st.text(max_size=200),
        st.text(st.characters(categories=["Cs", "Cc", "Lo"]), max_size=50),
        st.text(".eyJhbGciOiJIUzI1NiJ9_-=+/", max_size=200),
        st.binary(max_size=200).map(lambda raw: raw.decode("latin-1")),
        st.tuples(st.binary(max_size=40), st.binary(max_size=40), st.binary(max_size=40)).map(
            lambda parts: ".".join(map(b64, parts))
        ),
    )
)
def test_any_text_is_refused_and_nothing_else_is_ever_raised(token: str):
    ACCESS.refuses(token)
    REFRESH.refuses(token)


@many
@given(
    payload=st.one_of(
        st.binary(max_size=200),
        st.sampled_from([b"null", b"0", b"[]", b"{}", b'""', b"[[{}]]", b'{"iss":{}}']),
        st.dictionaries(
            st.sampled_from(["iss", "sub", "sid", "gen", "iat", "exp", "aud", "email"]),
            st.sampled_from([None, True, [[]], {}, 1.5]) | st.integers() | st.text(max_size=10),
            max_size=3,
        ).map(lambda changes: ACCESS.with_claims(**changes)),
    )
)
def test_any_payload_under_our_own_signature_is_claims_or_a_refusal(payload: bytes):
    for kind in (ACCESS, REFRESH):
        try:
            claims = kind.read(kind.forge(payload=payload))
        except (kind.invalid, kind.expired):
            continue
        assert msgspec.json.encode(claims) == payload


def _signing():
    return ACCESS.ring.signing
