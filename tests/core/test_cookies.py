"""Cookies: names by environment, read without guessing, every flag written."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from authward.core.cookies import CookieNames, read_cookie, set_cookie
from authward.errors import MalformedRequest
from tests.generating import few


def cookie(*values: bytes) -> list[tuple[bytes, bytes]]:
    return [(b"host", b"x"), *((b"cookie", value) for value in values)]


def test_names_in_development_and_in_production():
    assert CookieNames.of(production=False) == CookieNames("refreshToken", "x-csrf-token", False)
    assert CookieNames.of(production=True) == CookieNames(
        "__Host-refreshToken", "__Host-x-csrf-token", True
    )


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        (b"refreshToken=abc", "abc"),
        (b"a=1; refreshToken=abc; b=2", "abc"),
        (b"a=1;refreshToken=abc;b=2", "abc"),
        (b"refreshToken=a=b==", "a=b=="),
        (b"refreshToken=", ""),
        (b"refreshToken=\xe9", "é"),
        (b"refreshtoken=abc", None),
        (b"refreshToken", None),
        (b"xrefreshToken=abc", None),
        (b"refreshToken =abc", None),
        (b"__Host-refreshToken=abc", None),
        (b'a="; refreshToken=abc', "abc"),
        (b"", None),
        (b";;;=;", None),
    ],
)
def test_one_cookie_is_read_as_it_was_sent(header: bytes, expected: str | None):
    assert read_cookie(cookie(header), "refreshToken") == expected


def test_no_cookie_header_at_all():
    assert read_cookie([(b"host", b"x")], "refreshToken") is None


def test_http2_may_split_the_header():
    assert read_cookie(cookie(b"a=1", b"refreshToken=abc"), "refreshToken") == "abc"


@few
@given(st.lists(st.binary(max_size=40), max_size=4))
def test_any_bytes_are_read_or_refused(values: list[bytes]):
    try:
        found = read_cookie(cookie(*values), "a")
    except MalformedRequest:
        found = ""
    assert found is None or isinstance(found, str)


def test_every_flag_is_written():
    assert (
        set_cookie("refreshToken", "abc", max_age=60, secure=False)
        == b"refreshToken=abc; Max-Age=60; Path=/; HttpOnly; SameSite=Strict"
    )
    assert (
        set_cookie("__Host-refreshToken", "abc", max_age=60, secure=True)
        == b"__Host-refreshToken=abc; Max-Age=60; Path=/; HttpOnly; SameSite=Strict; Secure"
    )


def test_clearing_keeps_the_flags():
    assert set_cookie("a", "", max_age=0, secure=True).startswith(b"a=; Max-Age=0; Path=/;")
