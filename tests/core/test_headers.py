"""What every answer carries, byte for byte, and what cannot be asked for."""

import dataclasses
from collections.abc import Callable
from typing import Any

import pytest

from authward.core.csp import NONCE, ContentSecurityPolicy, nonce_of
from authward.core.headers import (
    CORS_NAMES,
    DEFAULT_POLICY,
    Header,
    SecurityPolicy,
    StrictTransportSecurity,
    merged,
    spellings,
)
from authward.core.permissions_policy import PermissionsPolicy
from authward.errors import ConfigurationError

CSP = (
    b"default-src 'self';base-uri 'self';font-src 'self' https: data:;form-action 'self';"
    b"frame-ancestors 'self';img-src 'self' data:;object-src 'none';script-src 'self';"
    b"script-src-attr 'none';style-src 'self' https: 'unsafe-inline'"
)
PERMISSIONS = (
    b"accelerometer=(), camera=(), display-capture=(), geolocation=(), gyroscope=(), hid=(), "
    b"idle-detection=(), magnetometer=(), microphone=(), midi=(), payment=(), serial=(), "
    b"usb=(), xr-spatial-tracking=()"
)
# helmet 8.3.0's, as node's http module shows them, and Permissions-Policy.
ON_HTTPS: tuple[Header, ...] = (
    (b"content-security-policy", CSP + b";upgrade-insecure-requests"),
    (b"cross-origin-opener-policy", b"same-origin"),
    (b"cross-origin-resource-policy", b"same-origin"),
    (b"origin-agent-cluster", b"?1"),
    (b"referrer-policy", b"no-referrer"),
    (b"strict-transport-security", b"max-age=31536000; includeSubDomains"),
    (b"x-content-type-options", b"nosniff"),
    (b"x-dns-prefetch-control", b"off"),
    (b"x-download-options", b"noopen"),
    (b"x-frame-options", b"SAMEORIGIN"),
    (b"x-permitted-cross-domain-policies", b"none"),
    (b"x-xss-protection", b"0"),
    (b"permissions-policy", PERMISSIONS),
)


def sent(*, https: bool = True, **options: Any) -> dict[bytes, bytes]:
    return dict(SecurityPolicy(**options).headers(https=https))


# --- the default ----------------------------------------------------------------------------


def test_the_complete_default_header_set():
    assert DEFAULT_POLICY.headers(https=True) == ON_HTTPS


def test_plain_http_has_neither_hsts_nor_an_upgrade():
    plain = dict(ON_HTTPS) | {b"content-security-policy": CSP}
    del plain[b"strict-transport-security"]
    assert DEFAULT_POLICY.headers(https=False) == tuple(plain.items())


def test_it_is_written_once():
    assert DEFAULT_POLICY.headers(https=True) is DEFAULT_POLICY.headers(https=True)
    assert SecurityPolicy() == DEFAULT_POLICY
    assert hash(SecurityPolicy()) == hash(DEFAULT_POLICY)


# --- changed and dropped ----------------------------------------------------------------------


@pytest.mark.parametrize("name", [name for name, _ in ON_HTTPS])
def test_each_header_can_be_dropped(name: bytes):
    dropped: Any = {name.decode().replace("-", "_"): None}
    kept = sent(**dropped)
    assert kept == {one: value for one, value in ON_HTTPS if one != name}


@pytest.mark.parametrize(
    ("option", "value", "written"),
    [
        ("content_security_policy", ContentSecurityPolicy({"img-src": ("*",)}), b";img-src *;"),
        ("cross_origin_embedder_policy", "require-corp", b"require-corp"),
        ("cross_origin_opener_policy", "noopener-allow-popups", b"noopener-allow-popups"),
        ("cross_origin_resource_policy", "same-site", b"same-site"),
        ("origin_agent_cluster", "?0", b"?0"),
        ("referrer_policy", "origin", b"origin"),
        (
            "referrer_policy",
            ("no-referrer", "strict-origin-when-cross-origin"),
            b"no-referrer,strict-origin-when-cross-origin",
        ),
        (
            "strict_transport_security",
            StrictTransportSecurity(max_age=63_072_000, preload=True),
            b"max-age=63072000; includeSubDomains; preload",
        ),
        (
            "strict_transport_security",
            StrictTransportSecurity(max_age=0, include_subdomains=False),
            b"max-age=0",
        ),
        ("x_dns_prefetch_control", "on", b"on"),
        ("x_frame_options", "DENY", b"DENY"),
        ("x_permitted_cross_domain_policies", "master-only", b"master-only"),
        (
            "permissions_policy",
            PermissionsPolicy({"camera": ("self",)}, defaults=False),
            b"camera=(self)",
        ),
    ],
)
def test_each_header_can_be_changed(option: str, value: Any, written: bytes):
    name = option.replace("_", "-").encode()
    changed = sent(**{option: value})
    assert written in changed.pop(name)
    assert changed == {one: kept for one, kept in ON_HTTPS if one != name}


def test_report_only_goes_under_its_own_name():
    names = sent(content_security_policy=ContentSecurityPolicy(report_only=True)).keys()
    assert b"content-security-policy-report-only" in names
    assert b"content-security-policy" not in names


def test_a_policy_with_nothing_left_on_http_has_no_header():
    upgrade = ContentSecurityPolicy(
        {"upgrade-insecure-requests": ()}, defaults=False, dangerously_without_default_src=True
    )
    assert sent(content_security_policy=upgrade)[b"content-security-policy"]
    assert b"content-security-policy" not in sent(content_security_policy=upgrade, https=False)


def test_headers_of_your_own_come_last():
    policy = SecurityPolicy(extra=(("X-Robots-Tag", "noindex, nofollow"), ("x-empty", "")))
    assert policy.headers(https=True)[-2:] == (
        (b"x-robots-tag", b"noindex, nofollow"),
        (b"x-empty", b""),
    )


# --- Permissions-Policy -----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("allowed", "written"),
    [
        ((), "camera=()"),
        (("self",), "camera=(self)"),
        (("*",), "camera=*"),
        (("self", "https://a.example:8443"), 'camera=(self "https://a.example:8443")'),
        (("https://*.a.example",), 'camera=("https://*.a.example")'),
    ],
)
def test_a_feature_says_who_may_use_it(allowed: tuple[str, ...], written: str):
    assert str(PermissionsPolicy({"camera": allowed}, defaults=False)) == written


def test_features_are_laid_over_the_denials():
    text = str(PermissionsPolicy({"camera": ("self",), "usb": None, "fullscreen": ()}))
    assert text.startswith("accelerometer=(), camera=(self), display-capture=()")
    assert text.endswith("xr-spatial-tracking=(), fullscreen=()")
    assert "usb" not in text


# --- nonces -----------------------------------------------------------------------------------


@pytest.mark.parametrize("https", [True, False])
def test_a_nonce_changes_one_header(https: bool):
    policy = SecurityPolicy(content_security_policy=ContentSecurityPolicy({"script-src": (NONCE,)}))
    nonce = nonce_of(b"a" * 18)
    assert policy.uses_nonce
    with_it, without = policy.with_nonce(nonce, https=https), policy.headers(https=https)
    assert f";script-src 'nonce-{nonce}';".encode() in with_it[0][1]
    assert b";script-src 'none';" in without[0][1]
    assert (with_it[0][0], *with_it[1:]) == (without[0][0], *without[1:])


@pytest.mark.parametrize("csp", [None, ContentSecurityPolicy()])
def test_a_policy_without_a_nonce_has_no_work(csp: ContentSecurityPolicy | None):
    policy = SecurityPolicy(content_security_policy=csp)
    assert not policy.uses_nonce
    assert policy.with_nonce(nonce_of(bytes(18)), https=True) is policy.headers(https=True)


# --- beside the app's own -----------------------------------------------------------------------

ADDED = ((b"x-frame-options", b"SAMEORIGIN"), (b"x-xss-protection", b"0"), (b"vary", b"Origin"))
NAMES = spellings({b"x-frame-options", b"x-xss-protection", b"x-powered-by"})


def test_headers_are_added_after_the_apps_own():
    own = [(b"content-type", b"text/plain"), (b"vary", b"Accept")]
    assert merged(own, ADDED, NAMES) == [*own, *ADDED]
    assert own == [(b"content-type", b"text/plain"), (b"vary", b"Accept")]


@pytest.mark.parametrize("name", [b"x-frame-options", b"X-Frame-Options"])
def test_the_apps_own_wins(name: bytes):
    own = [(name, b"DENY"), (b"vary", b"Accept")]
    assert merged(own, ADDED, NAMES) == [*own, *ADDED[1:]]


@pytest.mark.parametrize("name", [b"x-powered-by", b"X-Powered-By"])
def test_what_powers_the_app_is_not_told(name: bytes):
    own = [(name, b"Express"), (b"content-type", b"text/plain")]
    assert merged(own, ADDED, NAMES) == [own[1], *ADDED]


def test_what_powers_the_app_is_told_if_wanted():
    own = [(b"x-powered-by", b"steam"), (b"x-frame-options", b"DENY")]
    assert merged(own, ADDED, NAMES - spellings({b"x-powered-by"})) == [*own, *ADDED[1:]]


CROSS = [
    (b"access-control-allow-origin", b"*"),
    (b"access-control-allow-credentials", b"true"),
    (b"access-control-expose-headers", b"X-A"),
]


@pytest.mark.parametrize("spelt", [bytes.lower, bytes.title, bytes.upper])
def test_what_the_app_says_of_cors(spelt: Callable[[bytes], bytes]):
    named = NAMES | spellings(CORS_NAMES)
    own = [(spelt(name), value) for name, value in CROSS]
    ours = (*ADDED, (b"access-control-allow-origin", b"https://ok.example"))
    assert merged(own, ours, named) == [*ours]
    assert merged(own, ADDED, named) == [own[0], own[2], *ADDED]
    assert merged(own, ADDED, NAMES) == [*own, *ADDED]


def test_headers_that_can_be_read_once_are_not_lost():
    own = (one for one in [(b"content-type", b"text/plain"), (b"x-frame-options", b"DENY")])
    assert len(merged(own, ADDED, NAMES)) == 4


def test_a_policy_names_what_it_watches():
    watched = [*(name for name, _ in ON_HTTPS), b"x-powered-by"]
    assert DEFAULT_POLICY.names == spellings(watched)
    assert spellings([b"X-ab"]) == {b"x-ab", b"X-Ab", b"X-AB"}
    assert b"x-powered-by" not in SecurityPolicy(hide_powered_by=False).names
    assert b"x-a" in SecurityPolicy(extra=(("X-A", "b"),)).names


# helmet's and the RFCs' own.
USUAL = [
    b"Content-Security-Policy",
    b"Cross-Origin-Opener-Policy",
    b"Cross-Origin-Resource-Policy",
    b"Origin-Agent-Cluster",
    b"Referrer-Policy",
    b"Strict-Transport-Security",
    b"X-Content-Type-Options",
    b"X-DNS-Prefetch-Control",
    b"X-Download-Options",
    b"X-Frame-Options",
    b"X-Permitted-Cross-Domain-Policies",
    b"X-XSS-Protection",
    b"Permissions-Policy",
]


@pytest.mark.parametrize("written", USUAL)
def test_a_header_in_any_usual_spelling_is_not_sent_twice(written: bytes):
    added = DEFAULT_POLICY.headers(https=True)
    for name in (written, written.upper(), written.lower(), written.title()):
        headers = merged([(name, b"mine")], added, DEFAULT_POLICY.names)
        named = [value for one, value in headers if one.lower() == written.lower()]
        assert named == [b"mine"], name
        assert len(headers) == len(added)


def test_the_usual_spellings_are_of_the_default_headers():
    assert [name.lower() for name in USUAL] == [name for name, _ in ON_HTTPS]


@pytest.mark.parametrize(
    "written",
    [b"X-Request-ID", b"RateLimit-Policy", b"RateLimit-Reset", b"X-Powered-By", b"NEL", b"ETag"],
)
def test_other_names_have_their_usual_spelling_too(written: bytes):
    assert {written, written.title(), written.upper()} <= spellings([written.lower()])


# --- misconfiguration -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("option", "value", "cure"),
    [
        ("content_security_policy", "default-src 'self'", "is no ContentSecurityPolicy"),
        ("permissions_policy", {"camera": ()}, "is no PermissionsPolicy"),
        ("strict_transport_security", False, "or None to leave it out"),
        ("cross_origin_embedder_policy", True, "None leaves the header out"),
        ("cross_origin_opener_policy", "same-site", "is none of same-origin,"),
        ("cross_origin_resource_policy", "same-origin\r\nx: y", "is none of same-origin,"),
        ("origin_agent_cluster", False, "is none of ?1, ?0"),
        ("referrer_policy", "", "is none of no-referrer,"),
        ("referrer_policy", (), "is empty or says a word twice"),
        ("referrer_policy", ("origin", "origin"), "is empty or says a word twice"),
        ("referrer_policy", ["origin"], "is not a tuple. Did you mean ('origin',)?"),
        ("x_frame_options", ["DENY"], "['DENY'] is none of SAMEORIGIN, DENY"),
        ("referrer_policy", ("origin", "never"), "'never' is none of no-referrer,"),
        ("x_content_type_options", ("nosniff",), "is none of nosniff"),
        ("x_dns_prefetch_control", "yes", "is none of off, on"),
        ("x_download_options", "open", "is none of noopen"),
        ("x_frame_options", "sameorigin", "is none of SAMEORIGIN, DENY"),
        ("x_permitted_cross_domain_policies", "no", "is none of none, master-only"),
        # helmet's reason: the filter it switches on made holes of its own.
        ("x_xss_protection", "1; mode=block", "is none of 0"),
        ("extra", {"x-a": "b"}, "Write (('x-name', 'value'),)"),
        ("extra", ("x-a", "b"), "Write (('x-name', 'value'),)"),
        ("extra", (("x a", "b"),), "is no header name"),
        ("extra", (("", "b"),), "is no header name"),
        ("extra", (("x-a\r\nx-b", "c"),), "is no header name"),
        ("extra", (("x-a", "b\r\nset-cookie: c=d"),), "must be ASCII text, without line breaks"),
        ("extra", (("x-a", "b\n"),), "without line breaks"),
        ("extra", (("x-a", "b\0c"),), "must be ASCII text"),
        ("extra", (("x-a", " b"),), "without spaces around it"),
        ("extra", (("x-a", "\u00e4"),), "must be ASCII text"),
        ("extra", (("x-a", "b"), ("X-A", "c")), "x-a is there twice"),
        ("extra", (("X-Frame-Options", "DENY"),), "Use x_frame_options"),
        ("extra", (("content-security-policy", "x"),), "Use content_security_policy"),
        ("extra", (("Set-Cookie", "a=b"),), "belongs to one answer"),
        ("extra", (("content-length", "0"),), "belongs to one answer"),
        ("extra", (("Vary", "Accept-Encoding"),), "says what one answer was chosen by"),
        ("extra", (("Access-Control-Allow-Origin", "*"),), "Use CORS"),
        ("extra", (("access-control-max-age", "1"),), "Use CORS"),
        ("extra", (("RateLimit", "a"),), "RateLimit sends it"),
        ("extra", (("ratelimit-limit", "1"),), "RateLimit sends it"),
        ("extra", (("Retry-After", "1"),), "RateLimit sends it"),
        ("extra", (("X-Request-ID", "1"),), "RequestId sends it"),
        ("extra", (("x-a",),), "Write (('x-name', 'value'),)"),
        ("extra", (("x-a", 1),), "Write (('x-name', 'value'),)"),
        ("extra", ((b"x-a", "b"),), "Write (('x-name', 'value'),)"),
        ("hide_powered_by", "no", "Did you mean False?"),
    ],
)
def test_what_cannot_be_sent_is_refused_with_its_cure(option: str, value: Any, cure: str):
    with pytest.raises(ConfigurationError) as caught:
        SecurityPolicy(**{option: value})
    assert str(caught.value).startswith(f"{option}: ")
    assert cure in str(caught.value)


@pytest.mark.parametrize(
    ("options", "cure"),
    [
        ({"preload": True, "include_subdomains": False}, "Set include_subdomains=True"),
        ({"preload": True, "max_age": 31_535_999}, "Set max_age=31536000 (a year) or more"),
        ({"max_age": -1}, "max_age=-1 is not whole seconds"),
        ({"max_age": 1.5}, "max_age=1.5 is not whole seconds"),
        ({"max_age": True}, "max_age=True is not whole seconds"),
        ({"max_age": "1y"}, "max_age='1y' is not whole seconds"),
        ({"preload": "no"}, "preload: 'no' is neither True nor False. Did you mean False?"),
        ({"include_subdomains": 1}, "include_subdomains: 1 is neither True nor False"),
    ],
)
def test_hsts_that_cannot_be_is_refused_with_its_cure(options: Any, cure: str):
    with pytest.raises(ConfigurationError) as caught:
        StrictTransportSecurity(**options)
    assert str(caught.value).startswith("strict_transport_security: ")
    assert cure in str(caught.value)


@pytest.mark.parametrize(
    ("features", "cure"),
    [
        ({"Camera": ()}, "Write it like 'camera'"),
        ({"display_capture": ()}, "is no feature's name"),
        ({"camera=*, usb": ()}, "is no feature's name"),
        ({"camera\n": ()}, "is no feature's name"),
        ({"camara": ()}, "camara is no feature that browsers know. Did you mean 'camera'?"),
        ({"microfone": None}, "Did you mean 'microphone'?"),
        ({"geo-location": ("self",)}, "Did you mean 'geolocation'?"),
        ({"full-screen": ()}, "Did you mean 'fullscreen'?"),
        ({"camera": "self"}, "is not a tuple"),
        ({"camera": ["self"]}, "is not a tuple"),
        ({"camera": ("'self'",)}, "Did you mean 'self'?"),
        ({"camera": ('"*"',)}, "Did you mean '*'?"),
        ({"camera": ("none",)}, "() is nobody"),
        ({"camera": ("'none'",)}, "() is nobody"),
        ({"camera": ("src",)}, "means nothing here"),
        ({"camera": (1,)}, "(1,) is no list of texts"),
        (["camera"], "features: ['camera'] is none. Write {'camera': ('self',)}"),
        ({"camera": ("*", "self")}, "'*' is everybody"),
        ({"camera": ("a.example",)}, "Did you mean 'https://a.example'?"),
        ({"camera": ("https://a.example/x",)}, "Did you mean 'https://a.example'?"),
        ({"camera": ('https://a.example"',)}, "is not an origin"),
        ({"camera": ("https://a.example\r\n",)}, "permissions_policy: camera: "),
        ({"camera": ("https://A.example:443",)}, "'https://a.example'"),
        ({"camera": ("https://a.*.example",)}, "is not an origin"),
    ],
)
def test_features_that_cannot_be_are_refused_with_their_cure(features: Any, cure: str):
    with pytest.raises(ConfigurationError) as caught:
        PermissionsPolicy(features)
    assert str(caught.value).startswith("permissions_policy: ")
    assert cure in str(caught.value)


@pytest.mark.parametrize("name", ["hologram", "ch-ua-new", "publickey-credentials-get"])
def test_a_feature_that_is_new_passes(name: str):
    """Browsers ignore what they do not know; only a typing error of a known name is refused."""
    assert f"{name}=()" in str(PermissionsPolicy({name: ()}))


def test_no_features_at_all_are_no_policy():
    with pytest.raises(ConfigurationError, match="no features are left"):
        PermissionsPolicy(defaults=False)


def test_a_copy_is_checked_too():
    changed: Any = {"x_frame_options": "ALLOWALL"}
    with pytest.raises(ConfigurationError, match=r"^x_frame_options: "):
        dataclasses.replace(DEFAULT_POLICY, **changed)
