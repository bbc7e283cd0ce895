"""The cross-site decision: where a request came from, then the token."""

import pytest

from authward.core.csrf import Provenance, check_csrf, csrf_token, provenance
from authward.errors import CsrfFailed, OriginNotAllowed

TRUSTED = frozenset({"https://app.example.com", "http://localhost:3000"})
NEW, OLD = bytes(range(32)), bytes(range(32, 64))
SESSION = "session-000000000001"


@pytest.mark.parametrize(
    "origin",
    [
        "https://app.example.com",
        "https://app.example.com:443",
        "HTTPS://APP.EXAMPLE.COM",
        "http://localhost:3000",
    ],
)
@pytest.mark.parametrize(
    "site", [None, "none", "same-origin", "same-site", "cross-site", "", "nonsense"]
)
def test_a_trusted_origin_is_proof_whatever_fetch_metadata_says(origin: str, site):
    assert provenance(origin, site, TRUSTED) is Provenance.PROVEN


@pytest.mark.parametrize(
    "origin", ["", "null", "https://evil.example", "http://app.example.com", "app.example.com", "*"]
)
@pytest.mark.parametrize("site", [None, "none", "same-origin"])
def test_any_other_origin_is_refused_whatever_fetch_metadata_says(origin: str, site):
    assert provenance(origin, site, TRUSTED) is Provenance.REFUSED


@pytest.mark.parametrize(
    ("site", "expected"),
    [
        (None, Provenance.UNPROVEN),
        ("none", Provenance.UNPROVEN),
        ("same-origin", Provenance.UNPROVEN),
        ("same-site", Provenance.REFUSED),
        ("cross-site", Provenance.REFUSED),
        ("", Provenance.REFUSED),
        ("Same-Origin", Provenance.REFUSED),
        ("same-origin, none", Provenance.REFUSED),
    ],
)
def test_without_an_origin_fetch_metadata_decides(site, expected: Provenance):
    assert provenance(None, site, TRUSTED) is expected


@pytest.mark.parametrize("strict", [False, True])
def test_a_right_token_passes_from_a_proven_and_an_unproven_place(strict: bool):
    token = csrf_token(NEW, SESSION)
    for where in (Provenance.PROVEN, Provenance.UNPROVEN):
        check_csrf(where, token, SESSION, [NEW], strict=strict)


def test_a_missing_token_passes_only_with_an_origin_that_proves_it_and_never_when_strict():
    check_csrf(Provenance.PROVEN, None, SESSION, [NEW], strict=False)
    for where, strict in [
        (Provenance.UNPROVEN, False),
        (Provenance.UNPROVEN, True),
        (Provenance.PROVEN, True),
    ]:
        with pytest.raises(CsrfFailed, match="missing"):
            check_csrf(where, None, SESSION, [NEW], strict=strict)


@pytest.mark.parametrize("strict", [False, True])
def test_a_right_token_does_not_save_a_foreign_page(strict: bool):
    for token in (None, csrf_token(NEW, SESSION)):
        with pytest.raises(OriginNotAllowed):
            check_csrf(Provenance.REFUSED, token, SESSION, [NEW], strict=strict)


@pytest.mark.parametrize(
    "token",
    [
        "",
        " ",
        "x",
        csrf_token(NEW, SESSION)[:-1],
        csrf_token(NEW, SESSION) + "=",
        csrf_token(NEW, SESSION).swapcase(),
        csrf_token(NEW, "another-session-0001"),
        csrf_token(bytes(32), SESSION),
        "é" * 43,
        "\ud800",
        "x" * 129,
        "x" * 1_000_000,
    ],
    ids=lambda token: repr(token[:20]),
)
@pytest.mark.parametrize("where", [Provenance.PROVEN, Provenance.UNPROVEN])
def test_a_wrong_token_is_refused_from_anywhere(where: Provenance, token: str):
    with pytest.raises(CsrfFailed):
        check_csrf(where, token, SESSION, [NEW], strict=False)


def test_a_token_of_the_old_key_holds_while_that_key_verifies():
    token = csrf_token(OLD, SESSION)
    check_csrf(Provenance.UNPROVEN, token, SESSION, [NEW, OLD], strict=True)
    with pytest.raises(CsrfFailed):
        check_csrf(Provenance.UNPROVEN, token, SESSION, [NEW], strict=True)


def test_without_a_key_nothing_passes():
    with pytest.raises(CsrfFailed):
        check_csrf(Provenance.PROVEN, csrf_token(NEW, SESSION), SESSION, [], strict=False)


def test_the_token_is_the_same_in_every_tab_and_new_with_each_session():
    assert csrf_token(NEW, SESSION) == csrf_token(NEW, SESSION)
    assert len({csrf_token(NEW, f"session-{n}") for n in range(100)}) == 100


def test_the_token_fits_a_header():
    token = csrf_token(NEW, SESSION)
    assert len(token) == 43
    assert token.replace("-", "").replace("_", "").isalnum()
