"""Which answer headers an Origin earns."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from authward.core import cors
from authward.core.cors import REMEMBERED, VARY, CorsPolicy
from authward.core.origins import configured_own, parse_origin
from authward.errors import ConfigurationError
from tests.generating import many

APP = "https://app.example.com"
policy = CorsPolicy([APP, "http://localhost:3000"])


def test_an_allowed_origin_gets_its_own_name_and_credentials():
    assert dict(policy.actual(APP)) == {
        b"access-control-allow-origin": b"https://app.example.com",
        b"access-control-allow-credentials": b"true",
        b"access-control-expose-headers": (
            b"RateLimit-Limit, RateLimit-Remaining, RateLimit-Reset, Retry-After"
        ),
    }


def test_named_origins_are_found_as_browsers_send_them():
    """`named` is a short way to what `actual` says, and to nothing else."""
    assert set(policy.named) == {APP.encode(), b"http://localhost:3000"}
    for origin, headers in policy.named.items():
        assert headers == policy.actual(origin.decode())
    normal = CorsPolicy(["HTTPS://App.Example.com:443"])
    assert normal.named == {APP.encode(): policy.actual(APP)}
    anyone = CorsPolicy(["*"], credentials=False, dangerously_allow_any_origin=True)
    below = CorsPolicy(subdomains_of=["https://example.com"])
    assert anyone.named == below.named == CorsPolicy().named == {}
    assert below.actual("https://a.example.com")


def test_a_preflight_is_told_methods_headers_and_for_how_long():
    assert dict(policy.preflight("http://localhost:3000")) == {
        b"access-control-allow-origin": b"http://localhost:3000",
        b"access-control-allow-credentials": b"true",
        b"access-control-allow-methods": b"GET, POST, PUT, PATCH, DELETE",
        b"access-control-allow-headers": b"Content-Type, Authorization, X-CSRF-Token",
        b"access-control-max-age": b"600",
    }


def test_every_answer_varies_by_origin():
    assert VARY == (b"vary", b"Origin")


@pytest.mark.parametrize("spelt", [APP, "HTTPS://app.example.com:443"])
def test_the_same_origin_spelt_otherwise_is_the_same(spelt: str):
    assert policy.allows(spelt)
    assert policy.actual(spelt) == policy.actual(APP) != ()


@pytest.mark.parametrize("origin", ["", "null", "*", "https://evil.example", "http://localhost"])
def test_any_other_origin_gets_nothing(origin: str):
    assert not policy.allows(origin)
    assert policy.actual(origin) == ()
    assert policy.preflight(origin) == ()


def test_an_empty_list_allows_nobody():
    assert not CorsPolicy([]).allows(APP)
    assert CorsPolicy([]).actual("null") == ()


def test_a_configured_origin_is_made_canonical():
    assert CorsPolicy(["HTTPS://App.Example.com:443"]).actual(APP) == policy.actual(APP)


def test_an_allowed_origin_is_not_parsed(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(cors, "parse_origin", lambda _: pytest.fail("parsed"))
    assert policy.allows(APP)
    assert policy.actual(APP) is policy.actual(APP)


@pytest.mark.parametrize("origin", [APP, "HTTPS://app.example.com:443"])
def test_who_may_read_with_credentials_is_trusted(origin: str):
    assert policy.trusts(origin)
    assert CorsPolicy(subdomains_of=["https://example.com"]).trusts(origin)
    assert CorsPolicy(allow=lambda parsed: parsed == APP).trusts(origin)


@pytest.mark.parametrize("origin", ["", "null", "*", "https://evil.example", "http://localhost"])
def test_who_may_not_read_is_not_trusted(origin: str):
    assert not policy.trusts(origin)


def test_over_https_only_no_page_of_plain_http_is_let_in():
    plain = "http://app.example.com"
    both = CorsPolicy(allow=lambda parsed: parsed.endswith("app.example.com"))
    assert both.allows(plain)  # and remembered
    only = both.https_only()
    assert not only.allows(plain)
    assert not only.trusts("HTTP://APP.example.com:80")
    assert only.preflight(plain) == only.actual(plain) == ()
    assert only.actual(APP) == both.actual(APP) != ()
    assert both.allows(plain)


@pytest.mark.parametrize(
    "named",
    [{"origins": [APP, "http://app.example.com"]}, {"subdomains_of": ["http://localhost:3000"]}],
)
def test_over_https_only_none_is_named(named: dict[str, Any]):
    made = CorsPolicy(**named)
    assert len(made.plain) == 1
    with pytest.raises(ConfigurationError, match=f"cors: '{made.plain[0]}' is plain http"):
        made.https_only()
    assert CorsPolicy([APP], subdomains_of=["https://example.com"]).plain == ()


# --- options --------------------------------------------------------------------------------------


def test_every_option_has_its_header():
    made = CorsPolicy(
        [APP],
        credentials=False,
        methods=["GET", "QUERY"],
        allowed_headers=["X-One", "X-Two", "X-One"],
        exposed_headers=["ETag"],
        max_age=0,
    )
    assert dict(made.actual(APP)) == {
        b"access-control-allow-origin": b"https://app.example.com",
        b"access-control-expose-headers": b"ETag",
    }
    assert dict(made.preflight(APP)) == {
        b"access-control-allow-origin": b"https://app.example.com",
        b"access-control-allow-methods": b"GET, QUERY",
        b"access-control-allow-headers": b"X-One, X-Two",
        b"access-control-max-age": b"0",
    }


def test_an_empty_list_has_no_header():
    made = CorsPolicy([APP], methods=[], allowed_headers=[], exposed_headers=[])
    assert [name for name, _ in made.actual(APP)] == [
        b"access-control-allow-origin",
        b"access-control-allow-credentials",
    ]
    assert [name for name, _ in made.preflight(APP)][2:] == [b"access-control-max-age"]


def test_a_private_network_only_where_it_is_asked_for_and_switched_on():
    told = (b"access-control-allow-private-network", b"true")
    on = CorsPolicy([APP], private_network=True)
    assert told in on.preflight(APP, private_network=True)
    assert told not in on.preflight(APP)
    assert told not in on.actual(APP)
    assert told not in policy.preflight(APP, private_network=True)
    assert on.preflight("https://evil.example", private_network=True) == ()


def test_any_origin_is_a_star_without_credentials_and_never_for_null():
    anyone = CorsPolicy(["*"], credentials=False, dangerously_allow_any_origin=True)
    assert anyone.actual("https://a.example")[0] == (b"access-control-allow-origin", b"*")
    assert b"access-control-allow-credentials" not in dict(anyone.preflight("https://a.example"))
    for _ in range(2):
        assert not any(anyone.allows(origin) for origin in ("null", "*", "", "a.example"))


# --- subdomains -----------------------------------------------------------------------------------

family = CorsPolicy([APP], subdomains_of=["https://example.com:443", "https://b.example:8443"])


@pytest.mark.parametrize(
    "origin",
    [
        "https://a.example.com",
        "https://a.b-c.d_e.example.com".replace("_", ""),
        "HTTPS://A.Example.com:443",
        "https://xn--bcher-kva.example.com",
        f"https://{'a' * 63}.example.com",
        "https://x.b.example:8443",
    ],
)
def test_below_at_any_depth(origin: str):
    assert family.allows(origin)
    canonical = str(parse_origin(origin)).encode()
    assert family.actual(origin)[0] == (b"access-control-allow-origin", canonical)


@pytest.mark.parametrize(
    "origin",
    [
        "https://example.com",
        "https://evilexample.com",
        "https://a.evilexample.com",
        "https://example.com.evil.example",
        "https://a.example.com.evil.example",
        "http://a.example.com",
        "https://a.example.com:8443",
        "https://x.b.example",
        "https://b.example:8443",
        "https://.example.com",
        "https://a..example.com",
        "https://-a.example.com",
        "https://a-.example.com",
        f"https://{'a' * 64}.example.com",
        "https://a.example.com.",
        "https://a.example.com/",
        "https://a@b.example.com",
        "https://*.example.com",
        "https://a.exampleXcom",
        "https://[::1]",
        "null",
    ],
)
def test_not_below(origin: str):
    assert not family.allows(origin)
    assert family.preflight(origin) == ()


def test_an_address_is_below_nothing():
    assert not CorsPolicy(subdomains_of=["https://example.com"]).allows("https://[::1]:8443")


def test_below_localhost_without_tls():
    assert CorsPolicy(subdomains_of=["http://localhost:3000"]).allows("http://a.localhost:3000")


def test_the_apex_if_listed():
    assert CorsPolicy(["https://example.com"], subdomains_of=["https://example.com"]).allows(
        "https://example.com"
    )


def test_what_a_rule_lets_in_is_remembered_within_bounds():
    made = CorsPolicy([APP], subdomains_of=["https://example.org"])
    first = made.actual("https://a0.example.org")
    assert made.actual("https://a0.example.org") is first
    for number in range(REMEMBERED + 5):
        assert made.allows(f"https://a{number}.example.org")
    assert len(made._below) == REMEMBERED
    assert "https://a0.example.org" not in made._below
    assert made.actual("https://a0.example.org") == first


def test_what_is_refused_is_not_remembered():
    made = CorsPolicy([APP], subdomains_of=["https://example.org"], allow=lambda _: False)
    for number in range(50):
        assert not made.allows(f"https://evil{number}.example")
        assert made.allows(f"https://app.example.com:{'0' * (number % 3)}443")
    assert len(made._below) == len(made._asked) == 0


# --- a question -----------------------------------------------------------------------------------


def test_a_question_is_asked_about_the_parsed_origin_each_time():
    asked: list[str] = []
    tenants = {"https://one.example"}

    def allow(origin: str) -> bool:
        asked.append(origin)
        return origin in tenants

    made = CorsPolicy([APP], allow=allow)
    assert made.allows("HTTPS://ONE.example:443")
    granted = made.actual("https://one.example")
    assert granted[0] == (b"access-control-allow-origin", b"https://one.example")
    assert made.actual("https://one.example") is granted
    assert asked == ["https://one.example"] * 3
    # Somebody who is let in no more is out at once.
    tenants.clear()
    assert not made.allows("https://one.example")


def test_nobody_is_asked_about_what_is_no_origin_or_is_listed():
    made = CorsPolicy([APP], allow=lambda origin: pytest.fail(f"asked about {origin}"))
    assert made.allows(APP)
    assert not any(made.allows(origin) for origin in ("null", "", "*", "https://a.example/x"))


@pytest.mark.parametrize("answer", [1, "yes", object(), [False], None])
def test_only_true_lets_in(answer: object):
    assert not CorsPolicy(allow=lambda _: answer).allows(APP)  # type: ignore[arg-type,return-value]


def test_what_is_granted_by_a_question_is_bounded():
    made = CorsPolicy(allow=lambda _: True)
    for number in range(REMEMBERED + 5):
        assert made.allows(f"https://a{number}.example")
    assert len(made._asked) == REMEMBERED


# --- a second implementation ----------------------------------------------------------------------


def serialised(text: str) -> str | None:
    """WHATWG HTML, "serialization of an origin": scheme, ://, host, and the port if it is not the
    scheme's own. By hand, character by character; http and https alone.
    """
    if len(text) > 300:
        return None
    at = text.find("://")
    if at < 0 or text[:at].encode("utf-8").lower() not in (b"http", b"https"):
        return None
    scheme, rest = text[:at].lower(), text[at + 3 :]
    if rest[:1] == "[":
        end = rest.find("]") + 1
        allowed = "0123456789abcdefABCDEF:."
        inner = rest[1 : end - 1]
    else:
        end = rest.find(":") if ":" in rest else len(rest)
        allowed = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.-"
        inner = rest[:end]
    if not inner or any(one not in allowed for one in inner):
        return None
    host, after = rest[:end].lower(), rest[end:]
    port = 443 if scheme == "https" else 80
    own = port
    if after:
        digits = after[1:]
        if (
            after[0] != ":"
            or not 1 <= len(digits) <= 5
            or any(d not in "0123456789" for d in digits)
        ):
            return None
        port = int(digits)
        if not 1 <= port <= 65535:
            return None
    return f"{scheme}://{host}" + ("" if port == own else f":{port}")


def naively_allowed(text: str) -> bool:
    """foo.com by name, everything below foo.org."""
    parsed = serialised(text)
    if parsed is None or not parsed.startswith("https://"):
        return False
    labels = parsed.removeprefix("https://").split(".")
    fine = all(0 < len(one) < 64 and one[0] != "-" and one[-1] != "-" for one in labels)
    return labels == ["foo", "com"] or (fine and len(labels) > 2 and labels[-2:] == ["foo", "org"])


HOSTS = [
    *("foo.com", "barfoo.com", "foo.com.evil.example", "fooXcom", "foo-com", "FOO.com", "foo.com."),
    *("foo.org", "a.foo.org", "A.b.Foo.org", "barfoo.org", ".foo.org", "a..foo.org", "-a.foo.org"),
    *("a.foo.org.", "a.fooXorg", "foo.org.a.foo.org", "localhost", "127.0.0.1", "[::1]", "[::1"),
    *("[]", "::1", "xn--bcher-kva.foo.org", "b\u00fccher.foo.org", "a\u3002foo.org", "null", ""),
    *(
        "\u0430.foo.org",
        "a_b.foo.org",
        "a%2efoo.org",
        "*.foo.org",
        "f" * 64 + ".foo.org",
        "f" * 300,
    ),
]
PORTS = [
    *("", "", ":443", ":80", ":00443", ":000443", ":8443", ":0", ":65535", ":65536", ":", ":x"),
    *(":-1", ":\u0664\u0664\u0663", ":443:443"),
]
PIECES = st.tuples(
    st.sampled_from(
        ["https", "HTTPS", "hTTps", "http", "wss", "", "null", "http\u017f", "javascript"]
    ),
    st.sampled_from(["://", "://", "://", ":", ":/", "//", ":///", ":\\\\"]),
    st.sampled_from(["", "", "", "user@", "u:p@", "foo.com@"]),
    st.sampled_from(HOSTS),
    st.sampled_from(PORTS),
    st.sampled_from(["", "", "", "/", "/x", "?q", "#f", " ", "\n", ".", ",https://foo.com", "\\"]),
).map("".join)


@st.composite
def slips(draw: Any) -> str:
    """One or two slips of the pen in an allowed origin."""
    text = draw(st.sampled_from(["https://foo.com", "https://a.foo.org", "https://foo.com:443"]))
    for _ in range(draw(st.integers(1, 2))):
        at = draw(st.integers(0, len(text)))
        put = draw(st.sampled_from(["", *".-:/@[]%\\*xX09 \x00\u212a\u0130"]))
        text = text[:at] + put + text[at + draw(st.integers(0, 1)) :]
    return text


@many
@given(PIECES | slips() | st.sampled_from(["null", "NULL", ""]))
def test_two_implementations_agree(text: str):
    assert parse_origin(text) == serialised(text)
    both = CorsPolicy(["https://foo.com"], subdomains_of=["https://foo.org"])
    assert both.allows(text) is naively_allowed(text)
    assert (both.actual(text) != ()) is naively_allowed(text)


def test_the_second_implementation_lets_in_and_keeps_out():
    assert naively_allowed("https://FOO.com:443")
    assert naively_allowed("https://a.foo.org")
    assert not naively_allowed("https://foo.org")


# --- a server's own origins -----------------------------------------------------------------------


@pytest.mark.parametrize("own", [[APP], {APP}, (APP,), frozenset({"HTTPS://app.example.com:443"})])
def test_own_origins_are_parsed(own: Any):
    assert configured_own(own, "own") == {APP}


def test_what_can_only_be_asked_is_taken_as_own():
    class Everywhere:
        def __contains__(self, item: object) -> bool:
            return item == APP

    own = Everywhere()
    assert configured_own(own, "own") is own


@pytest.mark.parametrize("own", [None, True, 5, frozenset])
def test_own_origins_that_are_none(own: Any):
    with pytest.raises(ConfigurationError, match=r"own: .* is no list of origins. Write own="):
        configured_own(own, "own")


def test_a_text_of_own_origins_would_match_by_its_parts():
    with pytest.raises(ConfigurationError, match=r"^own: .*own=\['https://app.example.com'\]"):
        configured_own(APP, "own")


@pytest.mark.parametrize(
    "method", ["GET", "QUERY", "PROPFIND", "BASELINE-CONTROL", "UPDATEREDIRECTREF"]
)
def test_every_registered_method_can_be_named(method: str):
    preflight = dict(CorsPolicy([APP], methods=[method]).preflight(APP))
    assert preflight[b"access-control-allow-methods"] == method.encode()
