"""A foreign page makes the browser send our cookie: the whole decision, for any headers at all.

OWASP CSRF Prevention Cheat Sheet, ASVS 3.5.1.
"""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from authward.core.csrf import Provenance, check_csrf, csrf_token, provenance
from authward.core.origins import parse_origin
from authward.errors import CsrfFailed, OriginNotAllowed
from tests.generating import many

OWN, APP = "https://api.example.com", "https://app.example.com"
TRUSTED = frozenset({OWN, APP})
SECRETS = (bytes(range(32)), bytes(range(32, 64)))
SESSION = "session-000000000001"
RIGHT = csrf_token(SECRETS[0], SESSION)


def decide(origin, site, token, *, strict: bool) -> str:
    try:
        check_csrf(provenance(origin, site, TRUSTED), token, SESSION, SECRETS, strict=strict)
    except OriginNotAllowed:
        return "origin_not_allowed"
    except CsrfFailed:
        return "csrf_failed"
    return "passes"


# The rule once more, as a table: what the browser said, what the token is, strict or not.
PLACES = {
    "own origin": (OWN, None, "proven"),
    "allowed origin, same-site": (APP, "same-site", "proven"),
    "allowed origin, cross-site": (APP, "cross-site", "proven"),
    "foreign origin": ("https://evil.example", None, "refused"),
    "foreign origin that claims same-origin": ("https://evil.example", "same-origin", "refused"),
    "null": ("null", None, "refused"),
    "null that claims same-origin": ("null", "same-origin", "refused"),
    "empty origin": ("", "same-origin", "refused"),
    "nothing at all": (None, None, "unproven"),
    "same-origin": (None, "same-origin", "unproven"),
    "typed into the address bar": (None, "none", "unproven"),
    "same-site": (None, "same-site", "refused"),
    "cross-site": (None, "cross-site", "refused"),
    "no such site": (None, "same-orign", "refused"),
}
TOKENS = {"right": RIGHT, "wrong": csrf_token(SECRETS[0], "another"), "empty": "", "missing": None}


@pytest.mark.parametrize("strict", [False, True], ids=["standard", "strict"])
@pytest.mark.parametrize(("place", "token"), list(itertools.product(PLACES, TOKENS)))
def test_the_table_of_decisions(place: str, token: str, strict: bool):
    origin, site, judged = PLACES[place]
    if judged == "refused":
        expected = "origin_not_allowed"
    elif token == "right" or (token == "missing" and judged == "proven" and not strict):
        expected = "passes"
    else:
        expected = "csrf_failed"
    assert decide(origin, site, TOKENS[token], strict=strict) == expected


ORIGINS = st.one_of(
    st.none(),
    st.sampled_from([OWN, APP, APP.upper(), APP + ":443", APP + "/", APP + ".", "null", ""]),
    st.text(st.characters(), max_size=40),
    st.binary(max_size=20).map(lambda raw: raw.decode("latin-1")),
)
SITES = st.one_of(
    st.none(),
    st.sampled_from(["same-origin", "same-site", "cross-site", "none", ""]),
    st.text(st.characters(), max_size=20),
)
ANY_TOKEN = st.one_of(
    st.none(), st.just(RIGHT), st.text(st.characters(), max_size=200), st.just("x" * 100_000)
)


@many
@given(ORIGINS, SITES, ANY_TOKEN, st.booleans())
def test_the_decision_is_total_and_never_opens_by_surprise(origin, site, token, strict: bool):
    verdict = decide(origin, site, token, strict=strict)
    assert verdict in ("passes", "origin_not_allowed", "csrf_failed")
    trusted = origin is not None and parse_origin(origin) in TRUSTED
    unproven = origin is None and site in (None, "none", "same-origin")
    if verdict == "passes":
        # It came from a trusted page, or from none in particular with the token in hand.
        assert trusted or (unproven and token == RIGHT)
        assert token == RIGHT or (token is None and not strict)
    assert (verdict == "origin_not_allowed") is not (trusted or unproven)


@many
@given(ORIGINS, SITES)
def test_a_right_token_never_turns_a_refused_place_into_a_passing_one(origin, site):
    if provenance(origin, site, TRUSTED) is Provenance.REFUSED:
        assert decide(origin, site, RIGHT, strict=False) == "origin_not_allowed"


@many
@given(ORIGINS, SITES, ANY_TOKEN)
def test_strict_only_ever_refuses_more(origin, site, token):
    if decide(origin, site, token, strict=True) == "passes":
        assert decide(origin, site, token, strict=False) == "passes"
