"""A second cookie of the same name, set for a wider domain or another path, is read first.

CVE-2025-24358 (gorilla/csrf), the archived csurf; RFC 6265bis section 8.6.
"""

import pytest

from authward.core.cookies import CookieNames, read_cookie, set_cookie
from authward.errors import MalformedRequest

HEADERS = [
    [b"refreshToken=ours; refreshToken=planted"],
    [b"refreshToken=planted; a=1; refreshToken=ours"],
    [b"refreshToken=ours;refreshToken=ours"],
    [b"refreshToken=ours; refreshToken="],
    [b"refreshToken=ours", b"refreshToken=planted"],
]


@pytest.mark.parametrize("values", HEADERS, ids=str)
def test_two_of_a_name_are_refused_not_chosen_from(values: list[bytes]):
    headers = [(b"cookie", value) for value in values]
    with pytest.raises(MalformedRequest) as caught:
        read_cookie(headers, "refreshToken")
    assert caught.value.status == 400
    assert "planted" not in caught.value.message


def test_a_neighbour_cannot_set_the_production_names():
    """Browsers take `__Host-` only with Secure, Path=/ and no Domain, from the host itself."""
    names = CookieNames.of(production=True)
    for name in (names.refresh, names.csrf):
        assert name.startswith("__Host-")
        written = set_cookie(name, "x", max_age=1, secure=names.secure)
        flags = [flag.strip().lower() for flag in written.split(b";")[1:]]
        assert b"secure" in flags
        assert b"path=/" in flags
        assert not any(flag.startswith(b"domain") for flag in flags)


def test_the_plain_name_counts_for_nothing_in_production():
    name = CookieNames.of(production=True).refresh
    assert read_cookie([(b"cookie", b"refreshToken=planted")], name) is None
