"""Which answer headers an Origin earns."""

import pytest

from authward.core.cors import VARY, CorsPolicy

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
