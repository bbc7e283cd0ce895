"""The cross-site decision: where a request came from, then the token."""

import re
from typing import Any
from urllib.parse import urlencode

import pytest
from hypothesis import given
from hypothesis import strategies as st

from authward.core.csrf import (
    FormField,
    Provenance,
    anonymous_binding,
    anonymous_cookie,
    check_csrf,
    checked_secrets,
    csrf_token,
    is_anonymous_id,
    provenance,
    session_binding,
    trusted_origins,
)
from authward.errors import ConfigurationError, CsrfFailed, OriginNotAllowed
from tests.generating import many

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


# --- what tokens are bound to ---------------------------------------------------------------------


def test_a_session_and_a_browser_of_the_same_id_have_two_tokens():
    """Else who plants a cookie with the id of a session would be given the session's token."""
    name = "0123456789abcdef0123456789abcdef"
    tokens = {csrf_token(NEW, bound) for bound in (session_binding(name), anonymous_binding(name))}
    assert len(tokens) == 2
    assert csrf_token(NEW, name) not in tokens


def test_any_text_can_be_a_session():
    assert len({csrf_token(NEW, session_binding(name)) for name in ("", "\ud800", "é", "\0")}) == 4


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("0123456789abcdef0123456789abcdef", True),
        ("0" * 31, False),
        ("0" * 33, False),
        ("0123456789ABCDEF0123456789ABCDEF", False),
        ("0" * 32 + "\n", False),
        ("٠" * 32, False),
        ("", False),
    ],
)
def test_an_anonymous_id_is_one_of_ours(text: str, expected: bool):
    assert is_anonymous_id(text) is expected


def test_the_cookie_has_every_flag():
    assert anonymous_cookie("__Host-x", "ab", secure=True) == (
        b"__Host-x=ab; Max-Age=86400; Path=/; HttpOnly; SameSite=Lax; Secure"
    )
    assert anonymous_cookie("x", "ab", secure=False) == (
        b"x=ab; Max-Age=86400; Path=/; HttpOnly; SameSite=Lax"
    )


# --- the field of a form --------------------------------------------------------------------------

TOKEN = csrf_token(NEW, session_binding(SESSION))
FIELD = FormField("_csrf")


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (b"_csrf=abc", "abc"),
        (b"_csrf=abc&a=1", "abc"),
        (b"a=1&_csrf=abc", "abc"),
        (b"a=1&_csrf=abc&b=2", "abc"),
        (b"_csrf=", ""),
        (b"_csrf=a=b", "a=b"),
        (b"_csrf=%61bc", "%61bc"),
        (b"_csrf=\xff", "ÿ"),
        (b"_csrf=abc&_csrf=abc", "abc&abc"),
        (b"_csrf=abc&a=1&_csrf=", "abc&"),
        (b"", None),
        (b"_csrf", None),
        (b"x_csrf=abc", None),
        (b"a=_csrf=abc", None),
        (b"a=1;_csrf=abc", None),
        (b"_CSRF=abc", None),
        (b"a=1\n_csrf=abc", None),
    ],
)
def test_the_token_of_a_form(body: bytes, expected: str | None):
    assert FIELD.read(body, whole=True) == expected


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (b"_csrf=abc&a=1", "abc"),
        (b"_csrf=abc&", "abc"),
        (b"_csrf=ab", None),
        (b"a=1&_csrf=ab", None),
        (b"", None),
    ],
)
def test_of_a_beginning_only_what_has_ended_counts(body: bytes, expected: str | None):
    assert FIELD.read(body, whole=False) == expected


@many
@given(
    st.lists(
        st.tuples(st.text(st.characters(exclude_categories=["Cs"])), st.text("a&=%+;é", max_size=5))
    )
)
def test_a_token_among_any_fields_is_found_as_it_was_written(fields: list[tuple[str, str]]):
    others = [(name, value) for name, value in fields if name != "_csrf"]
    for at in range(len(others) + 1):
        body = urlencode([*others[:at], ("_csrf", TOKEN), *others[at:]]).encode()
        assert FIELD.read(body, whole=True) == TOKEN
    assert FIELD.read(urlencode(others).encode(), whole=True) is None


def test_the_name_is_taken_to_the_letter():
    assert FormField("a.b*").read(b"aXbb=1&a.b*=2", whole=True) == "2"


def test_the_field_is_escaped():
    assert FIELD.html(TOKEN) == f'<input type="hidden" name="_csrf" value="{TOKEN}">'
    assert FIELD.html('"><b>').endswith('value="&quot;&gt;&lt;b&gt;">')


@pytest.mark.parametrize(
    "name", ["", "a b", "a&b", "a=b", "é", '"', "a[b]", "x" * 65, "a\n", 1, b"_csrf"]
)
def test_a_name_that_browsers_would_write_otherwise_is_refused(name: Any):
    with pytest.raises(ConfigurationError, match=r"form_field: .*'_csrf'"):
        FormField(name)


# --- options --------------------------------------------------------------------------------------


def test_secrets_that_can_sign():
    assert checked_secrets([NEW, OLD]) == (NEW, OLD)
    in_hex = NEW.hex().encode()
    assert checked_secrets([in_hex, in_hex[:32]]) == (in_hex, in_hex[:32])


@pytest.mark.parametrize(
    ("secrets", "cure"),
    [
        ([], "Make one with"),
        (NEW, "Did you mean secrets=[secret]?"),
        ("x" * 32, "Did you mean secrets=[secret]?"),
        ([NEW[:31]], "number 1 has fewer than 32 bytes"),
        ([NEW, b""], "number 2 has fewer than 32 bytes"),
        ([NEW.hex()], "number 1 is not bytes"),
        ([bytes(32)], "number 1 is guessable"),
        ([NEW, b"x" * 64], "number 2 is guessable"),
        ([b"password" * 4], "number 1 is guessable"),
        ([b"01" * 16], "number 1 is guessable"),
    ],
)
def test_secrets_that_cannot_are_refused_and_not_repeated(secrets: Any, cure: str):
    with pytest.raises(ConfigurationError, match=r"^secrets: ") as caught:
        checked_secrets(secrets)
    assert cure in str(caught.value)
    assert NEW.hex()[:20] not in str(caught.value)


def test_origins_are_parsed():
    given = ["https://App.example.com:443", "https://app.example.com", "https://b.example:8443"]
    assert trusted_origins(given, secure=True) == {
        "https://app.example.com",
        "https://b.example:8443",
    }
    assert trusted_origins(["http://localhost:3000"], secure=False) == {"http://localhost:3000"}


@pytest.mark.parametrize(
    ("origins", "cure"),
    [
        ([], "Name the origin your pages are served from"),
        ("https://a.example", "Did you mean origins=['https://a.example']?"),
        (["https://a.example/x"], "Did you mean 'https://a.example'?"),
        (["*"], "List the origins"),
        (["null"], "List real origins"),
        (["https://a.example", "http://a.example"], "'http://a.example' is not https"),
        (["http://localhost:3000"], "secure=False, in development"),
    ],
)
def test_origins_that_would_let_others_in_are_refused(origins: Any, cure: str):
    with pytest.raises(ConfigurationError, match=rf"^origins: .*{re.escape(cure)}"):
        trusted_origins(origins, secure=True)
