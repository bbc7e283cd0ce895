"""A policy says what a browser will heed, or is not made."""

import dataclasses
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from authward.core.csp import NONCE, NONCE_BYTES, ContentSecurityPolicy, nonce_of
from authward.errors import ConfigurationError
from tests.generating import many

HELMET = (
    b"default-src 'self';base-uri 'self';font-src 'self' https: data:;form-action 'self';"
    b"frame-ancestors 'self';img-src 'self' data:;object-src 'none';script-src 'self';"
    b"script-src-attr 'none';style-src 'self' https: 'unsafe-inline'"
)
SHA256 = "'sha256-" + "A" * 43 + "='"


def sent(*, https: bool = True, **options: Any) -> str:
    return ContentSecurityPolicy(**options).value(https=https).decode()


def alone(name: str, *sources: Any) -> str:
    """One directive beside a default-src."""
    return sent(
        directives={"default-src": ("'none'",), name: sources}, defaults=False
    ).removeprefix("default-src 'none';")


# --- what is sent ---------------------------------------------------------------------------


def test_the_default_is_helmets():
    policy = ContentSecurityPolicy()
    assert policy.name == b"content-security-policy"
    assert policy.value(https=True) == HELMET + b";upgrade-insecure-requests"
    assert policy.pieces(https=True) == (policy.value(https=True),)
    assert not policy.uses_nonce


def test_plain_http_is_not_upgraded():
    assert ContentSecurityPolicy().value(https=False) == HELMET


def test_sources_replace_those_of_a_directive_in_its_place():
    text = sent(directives={"img-src": ("*",), "connect-src": ("'self'", "wss://a.example")})
    assert ";img-src *;object-src 'none';" in text
    assert text.endswith(";upgrade-insecure-requests;connect-src 'self' wss://a.example")


def test_none_drops_a_directive():
    assert "style-src" not in sent(directives={"style-src": None})


def test_a_policy_without_our_defaults():
    assert sent(directives={"default-src": ("'none'",)}, defaults=False) == "default-src 'none'"


def test_default_src_can_be_dropped_by_saying_so():
    text = sent(directives={"default-src": None}, dangerously_without_default_src=True)
    assert text.startswith("base-uri 'self';")


def test_names_have_no_case():
    assert "img-src *" in sent(directives={"Img-SRC": ("*",)})


def test_report_only_has_a_name_of_its_own_and_no_upgrade():
    policy = ContentSecurityPolicy(report_only=True)
    assert policy.name == b"content-security-policy-report-only"
    assert policy.value(https=True) == HELMET


@pytest.mark.parametrize(
    ("name", "sources"),
    [
        ("script-src", ("'self'", SHA256, "'unsafe-hashes'", "'report-sample'")),
        ("script-src", ("'sha512-" + "_" * 86 + "'", "'strict-dynamic'", "'unsafe-eval'")),
        ("script-src", ("'SELF'", "'wasm-unsafe-eval'", "'report-sha256'")),
        ("style-src-attr", ("'unsafe-inline'",)),
        ("connect-src", ("https://*.a.example:8443/x/y", "localhost:*", "*", "wss:", "a.example")),
        ("frame-ancestors", ("'none'",)),
        ("form-action", ("https://a.example",)),
        ("report-to", ("csp",)),
        ("report-uri", ("/csp", "https://a.example/csp?x=1")),
        ("require-trusted-types-for", ("'script'",)),
        ("trusted-types", ("default", "'allow-duplicates'")),
        ("sandbox", ("allow-scripts", "allow-popups-to-escape-sandbox")),
        ("sandbox", ("allow-storage-access-by-user-activation", "allow-same-origin")),
    ],
)
def test_what_may_stand_there_is_sent_as_it_is(name: str, sources: tuple[str, ...]):
    assert alone(name, *sources) == " ".join((name, *sources))


@pytest.mark.parametrize("name", ["sandbox", "trusted-types", "upgrade-insecure-requests"])
def test_some_directives_say_something_without_a_value(name: str):
    assert alone(name) == name


# --- adding ---------------------------------------------------------------------------------


def test_adding_keeps_what_is_there():
    policy = ContentSecurityPolicy().adding({"img-src": ("https://i.example", "data:")})
    assert b"img-src 'self' data: https://i.example;" in policy.value(https=True)


def test_adding_takes_the_place_of_none():
    policy = ContentSecurityPolicy().adding({"object-src": ("'self'",)})
    assert b"object-src 'self';" in policy.value(https=True)


@pytest.mark.parametrize(
    ("name", "before"),
    [
        ("connect-src", "'self' https:"),
        ("script-src-elem", "'self' 'unsafe-eval'"),
        ("worker-src", "'self'"),
        ("frame-src", "'self' https:"),
        ("base-uri", ""),
    ],
)
def test_adding_to_what_was_not_there_starts_from_its_fallback(name: str, before: str):
    policy = ContentSecurityPolicy(
        {"default-src": ("'self'", "https:"), "script-src": ("'self'", "'unsafe-eval'")},
        defaults=False,
    ).adding({name: ("https://a.example",)})
    wanted = " ".join(filter(None, (name, before, "https://a.example")))
    assert policy.value(https=True).decode().endswith(f";{wanted}")


def test_adding_without_any_fallback_starts_from_nothing():
    policy = ContentSecurityPolicy(
        {"img-src": ("*",)}, defaults=False, dangerously_without_default_src=True
    ).adding({"connect-src": ("'self'",)})
    assert policy.value(https=True) == b"img-src *;connect-src 'self'"


def test_a_nonce_is_not_inherited_where_it_means_nothing():
    policy = ContentSecurityPolicy({"default-src": ("'self'", NONCE)}, defaults=False)
    assert (
        policy.adding({"img-src": ("data:",)}).value(https=True).endswith(b"img-src 'self' data:")
    )


def test_adding_adds_to_a_nonce_that_is_there():
    policy = ContentSecurityPolicy({"script-src": (NONCE,)}).adding(
        {"script-src": ("'strict-dynamic'",)}
    )
    assert policy.effective["script-src"] == (NONCE, "'strict-dynamic'")


def test_what_was_dropped_stays_dropped():
    policy = ContentSecurityPolicy({"style-src": None})
    assert b"style-src" not in policy.adding({"img-src": ("*",)}).value(https=True)
    assert b"style-src" not in dataclasses.replace(policy, report_only=True).value(https=True)


def test_policies_are_equal_by_what_they_say():
    one, two = ContentSecurityPolicy({"img-src": ("*",)}), ContentSecurityPolicy()
    assert one == ContentSecurityPolicy({"IMG-SRC": ("*",)})
    assert one != two
    assert hash(one) == hash(ContentSecurityPolicy({"IMG-SRC": ("*",)}))


# --- nonces ---------------------------------------------------------------------------------


def test_a_nonce_stands_between_the_pieces():
    policy = ContentSecurityPolicy({"script-src": ("'self'", NONCE), "style-src": (NONCE,)})
    assert policy.uses_nonce
    text = b"abc".join(policy.pieces(https=True))
    assert b";script-src 'self' 'nonce-abc';" in text
    assert b";style-src 'nonce-abc';" in text
    assert text.endswith(b";upgrade-insecure-requests")
    assert not b"abc".join(policy.pieces(https=False)).endswith(b"upgrade-insecure-requests")


def test_without_a_nonce_is_forbidden_what_it_would_allow():
    policy = ContentSecurityPolicy({"script-src": ("'self'", NONCE), "style-src": (NONCE,)})
    text = policy.value(https=True)
    assert b"nonce" not in text
    assert b";script-src 'self';" in text
    assert b";style-src 'none';" in text


@many
@given(st.binary(min_size=NONCE_BYTES, max_size=NONCE_BYTES))
def test_a_nonce_fits_a_header_and_an_attribute(entropy: bytes):
    nonce = nonce_of(entropy)
    assert len(nonce) == 24
    assert set(nonce) <= set("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_")


def test_other_chance_is_another_nonce():
    assert nonce_of(bytes(18)) == "A" * 24
    assert nonce_of(bytes(17) + b"\1") != nonce_of(bytes(18))
    # CSP 3, section 7.1: at least 128 bits.
    assert NONCE_BYTES * 8 >= 128


# --- what cannot mean what it says ------------------------------------------------------------

WRONG = [
    ("script-src", ("self",), "Did you mean \"'self'\"?"),
    ("object-src", ("none",), "Did you mean \"'none'\"?"),
    ("script-src", ("unsafe-inline",), "lacks its quotes"),
    ("script-src", ("'self",), "Did you mean \"'self'\"?"),
    ("script-src", ('"self"',), "Did you mean \"'self'\"?"),
    ("script-src", ("nonce-abc",), "lacks its quotes"),
    ("script-src", ("nonce-",), "lacks its quotes"),
    ("script-src", ("sha256-" + "A" * 43 + "=",), "lacks its quotes"),
    ("script-src", ("'nonce-abc'",), "Use NONCE"),
    ("script-src", ("'nonce-{{ nonce }}'",), "One string holds one source"),
    ("script-src", ("'sha256-AAAA'",), "must be 32 bytes"),
    ("script-src", ("'sha384-" + "A" * 43 + "='",), "must be 48 bytes"),
    ("script-src", ("'sha256-!'",), "must be 32 bytes"),
    ("script-src", ("'unsafe-inlin'",), "Did you mean \"'unsafe-inline'\"?"),
    ("script-src", ("'https://a.example'",), "is no source. Write it like 'https://a.example'"),
    ("script-src", ("https",), "Did you mean 'https:'?"),
    ("img-src", ("data",), "Did you mean 'data:'?"),
    ("img-src", ("https//a.example",), "is no source"),
    ("media-src", ("mediastream",), "Did you mean 'mediastream:'?"),
    ("img-src", ("https://a.example/*",), "All below a folder is 'https://a.example/'"),
    ("img-src", ("*.a.example:8080/x/y*",), "All below a folder is '*.a.example:8080/x/'"),
    ("img-src", (1,), "1 is no text"),
    ("img-src", (("'self'",),), "is no text"),
    ("img-src", ("https://",), "is no source"),
    ("img-src", ("*a.example",), "is no source"),
    ("img-src", ("https://a.example/x?y",), "is no source"),
    ("img-src", ("https://a.example; script-src *",), "has ';' in it"),
    ("img-src", ("'self' data:",), "has ' ' in it"),
    ("img-src", ("a.example;script-src",), "has ';' in it"),
    ("img-src", ("a.example,b.example",), "has ',' in it"),
    ("img-src", ("a.example\r\nSet-Cookie:x",), "has '\\r' in it"),
    ("img-src", ("a.example\n",), "has '\\n' in it"),
    ("img-src", ("a.example\0",), "has '\\x00' in it"),
    ("img-src", ("\u0430.example",), "in it"),
    ("img-src", ("",), "is empty"),
    ("img-src", (), "Give (\"'none'\",) to forbid all, or None"),
    ("default-src", (), "default-src: is empty"),
    ("img-src", "'self'", "Did you mean (\"'self'\",)?"),
    ("img-src", ["'self'", "data:"], "Did you mean (\"'self'\", 'data:')?"),
    ("img-src", ("'none'", "'self'"), "'none' beside other sources is ignored"),
    ("trusted-types", ("'none'", "default"), "'none' beside other sources is ignored"),
    ("script-src", ("'none'", NONCE), "'none' beside other sources is ignored"),
    ("script-src", ("'unsafe-inline'", NONCE), "browsers ignore 'unsafe-inline' beside a nonce"),
    ("style-src", ("'Unsafe-Inline'", SHA256), "browsers ignore 'unsafe-inline' beside a nonce"),
    ("script-src", ("'strict-dynamic'", "https:"), "lets no script run"),
    ("img-src", (NONCE,), "img-src: NONCE means nothing there"),
    ("script-src-attr", (NONCE,), "NONCE means nothing there"),
    ("img-src", (SHA256,), "means nothing there"),
    ("frame-ancestors", ("'unsafe-inline'",), "'unsafe-inline' means nothing there"),
    ("style-src", ("'strict-dynamic'", NONCE), "'strict-dynamic' means nothing there"),
    ("sandbox", ("scripts",), "is nothing that may stand there"),
    ("sandbox", ("allow-everything",), "is nothing that may stand there"),
    ("sandbox", ("allow-script",), "stand there. Did you mean 'allow-scripts'?"),
    ("sandbox", ("Allow-Scripts",), "stand there. Did you mean 'allow-scripts'?"),
    ("sandbox", (NONCE,), "NONCE means nothing there"),
    ("upgrade-insecure-requests", ("https:",), "is nothing that may stand there"),
    ("report-to", ("a", "b"), "takes one value, not 2"),
    ("report-to", (), "Give None to leave the directive out"),
    ("report-uri", ("csp",), "is nothing that may stand there"),
    ("require-trusted-types-for", ("script",), "is nothing that may stand there"),
]


@pytest.mark.parametrize(("name", "sources", "cure"), WRONG)
def test_what_a_browser_would_ignore_is_refused_with_its_cure(name: str, sources: Any, cure: str):
    with pytest.raises(ConfigurationError) as caught:
        ContentSecurityPolicy({name: sources})
    assert str(caught.value).startswith(f"content_security_policy: {name}: ")
    assert cure in str(caught.value)


@pytest.mark.parametrize("sources", ["'self'", ["'self'"]])
def test_adding_takes_tuples_alone(sources: Any):
    with pytest.raises(ConfigurationError, match=r"img-src: .* is not a tuple"):
        ContentSecurityPolicy().adding({"img-src": sources})


def test_adding_a_nonce_beside_unsafe_inline_says_what_to_do():
    with pytest.raises(ConfigurationError, match=r"style-src: .* Give the directive anew"):
        ContentSecurityPolicy().adding({"style-src": (NONCE,)})


@pytest.mark.parametrize(
    ("options", "cure"),
    [
        ({"directives": {"scriptSrc": ("*",)}}, "Did you mean 'script-src'?"),
        ({"directives": {"script_src": ("*",)}}, "Did you mean 'script-src'?"),
        ({"directives": {"img-scr": None}}, "Did you mean 'img-src'?"),
        ({"directives": {"block-all-mixed-content": ()}}, "no directive that browsers know"),
        ({"directives": {"x": ("*",)}}, "Leave it out"),
        ({"directives": {"img-src;x": ("*",)}}, "Did you mean 'img-src'?"),
        ({"directives": {"img-src": ("*",), "Img-Src": ("*",)}}, "img-src is given twice"),
        ({"directives": {"default-src": None}}, "dangerously_without_default_src=True"),
        ({"directives": {"img-src": ("*",)}, "defaults": False}, "without default-src"),
        ({"defaults": False}, "no directives are left"),
        ({"directives": ["img-src"]}, "directives: ['img-src'] is none. Write {'img-src': "),
        ({"dangerously_without_default_src": True}, "but there is a default-src"),
        ({"directives": {"sandbox": ()}, "report_only": True}, "sandbox: browsers ignore it"),
    ],
)
def test_what_cannot_be_a_policy_is_refused_with_its_cure(options: Any, cure: str):
    with pytest.raises(ConfigurationError) as caught:
        ContentSecurityPolicy(**options)
    assert str(caught.value).startswith("content_security_policy: ")
    assert cure in str(caught.value)


@many
@given(st.text(max_size=40) | st.from_regex(r"[\w'*:/;, .-]{1,20}", fullmatch=True))
def test_no_source_reaches_out_of_its_directive(source: str):
    """CSP injection: nothing that is taken can begin another directive, policy or header."""
    try:
        text = alone("img-src", source)
    except ConfigurationError:
        return
    assert text == f"img-src {source}"
    assert not set(text) & set(";,\r\n\0")
    assert text.count(" ") == 1


@pytest.mark.parametrize("option", ["defaults", "report_only", "dangerously_without_default_src"])
def test_what_only_counts_as_true_is_refused(option: str):
    given: Any = {option: "no"}
    with pytest.raises(ConfigurationError) as caught:
        ContentSecurityPolicy(**given)
    assert str(caught.value) == (
        f"content_security_policy: {option}: 'no' is neither True nor False. Did you mean False?"
    )
