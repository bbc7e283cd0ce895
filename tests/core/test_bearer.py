"""Where an access token is read from, and where it never is."""

import pytest

from authward.core.bearer import bearer_token, websocket_token
from authward.errors import MalformedRequest, MissingToken


@pytest.mark.parametrize(
    ("value", "token"),
    [
        (b"Bearer abc", "abc"),
        (b"bearer abc", "abc"),
        (b"BEARER   abc  ", "abc"),
        (b"Bearer a b", "a b"),
        (b"Bearer \xe9", "é"),
    ],
)
def test_the_token_of_a_bearer_header(value: bytes, token: str):
    assert bearer_token([(b"host", b"x"), (b"authorization", value)]) == token


@pytest.mark.parametrize("value", [b"", b"Bearer", b"Bearer ", b"Bearer    ", b"Basic abc", b"abc"])
def test_any_other_authorization_is_none(value: bytes):
    with pytest.raises(MissingToken):
        bearer_token([(b"authorization", value)])


def test_no_header_is_no_token_whatever_else_carries_one():
    with pytest.raises(MissingToken):
        bearer_token([(b"cookie", b"refreshToken=abc"), (b"x-authorization", b"Bearer abc")])


@pytest.mark.parametrize("second", [b"Bearer abc", b"Bearer abd", b"Basic abc", b""])
def test_two_authorization_headers_are_refused(second: bytes):
    with pytest.raises(MalformedRequest):
        bearer_token([(b"authorization", b"Bearer abc"), (b"authorization", second)])


def test_a_websocket_offers_our_protocol_and_the_token():
    assert websocket_token(["authward.bearer", "abc"]) == "abc"


@pytest.mark.parametrize(
    "offered",
    [
        [],
        ["authward.bearer"],
        ["abc", "authward.bearer"],
        ["other", "abc"],
        ["authward.bearer"] * 3,
    ],
    ids=str,
)
def test_any_other_offer_holds_no_token(offered: list[str]):
    with pytest.raises(MissingToken):
        websocket_token(offered)
