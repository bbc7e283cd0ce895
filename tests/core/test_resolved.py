"""Paths that a protection lets alone."""

import pytest

from authward.core.resolved import OpenPaths
from authward.errors import ConfigurationError

paths = OpenPaths(["/ping", "/hooks/*", "/files/.*"], "exempt")


@pytest.mark.parametrize("path", ["/ping", "/hooks/", "/hooks/a/b", "/hooks/..a", "/files/.env"])
def test_what_is_named_is_let_alone(path: str):
    assert paths.hold(path)


@pytest.mark.parametrize(
    ("path", "root"),
    [("/a/ping", "/a"), ("/a/hooks/b", "/a"), ("/ping", "/a"), ("/ping/ping", "/ping")],
)
def test_what_is_named_below_a_mount_is_let_alone(path: str, root: str):
    assert paths.hold(path, root)


@pytest.mark.parametrize(
    ("path", "root"),
    [
        ("/ping/x", "/ping"),
        ("/hooks/transfer", "/hooks"),  # the mount's name is no part of it
        ("/a/ping", "/b"),
        ("/a/ping", ""),
        ("/aping", "/a"),
        ("/a/../ping", "/a/.."),
        ("/a//ping", "/a/"),
        ("/a//ping", "/a"),
    ],
)
def test_what_is_not_named_below_a_mount_is_not(path: str, root: str):
    assert not paths.hold(path, root)


@pytest.mark.parametrize("path", ["/", "/ping/", "/Ping", "/hooks", "/files/a", ""])
def test_what_is_not_named_is_not(path: str):
    assert not paths.hold(path)


@pytest.mark.parametrize(
    "path",
    [
        "/hooks/../transfer",
        "/hooks/..",
        "/hooks/./a",
        "/hooks//transfer",
        "/hooks/\\..\\transfer",
        "/hooks/..;/transfer",
        "/hooks/%2e%2e/transfer",
        "/hooks/..%2Ftransfer",
        "/hooks/..%5ctransfer",
        "/files/../transfer",
    ],
)
def test_what_may_be_taken_for_another_path_is_not(path: str):
    assert not paths.hold(path)


@pytest.mark.parametrize(
    ("given", "text"),
    [
        ("/ping", r"exempt: this is a text. Did you mean exempt=\['/ping'\]"),
        (["ping"], "exempt: .*Did you mean '/ping'"),
        (["/a", "/*"], r"exempt: '/\*' would let everybody in everywhere. Name single paths"),
        (["/a/../b"], "exempt: '/a/../b' may be taken for another path"),
        (["/a//*"], "exempt: .* Write it without '//'"),
        (["/a%2Fb"], "exempt: .* Write it without '//'"),
    ],
)
def test_what_can_never_be_let_alone_is_refused_with_its_cure(given: list[str], text: str):
    with pytest.raises(ConfigurationError, match=text):
        OpenPaths(given, "exempt")


def test_none_at_all():
    assert not OpenPaths([], "exempt").hold("/")
