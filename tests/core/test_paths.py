"""Paths of options: exact ones, prefixes, and what is neither."""

from typing import Any

import pytest

from authward.core.paths import Paths, below_mount, several
from authward.errors import ConfigurationError

TABLE = Paths(
    {"/": "root", "/a": "exact", "/a*": "short", "/a/b/*": "long", "/c/*": "below c"}, "paths"
)


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("/", "root"),
        ("/a", "exact"),
        ("/ab", "short"),
        ("/a/b", "short"),
        ("/a/b/", "long"),
        ("/a/b/c/d", "long"),
        ("/A", None),
        ("/c", None),
        ("/c/", "below c"),
        ("/c/../a", "below c"),
        ("/d", None),
        ("", None),
        ("a", None),
    ],
)
def test_the_exact_path_then_the_longest_prefix(path: str, expected: str | None):
    assert TABLE.get(path) == expected


def test_without_any_there_is_none():
    assert Paths({}, "paths").get("/") is None


def test_a_star_alone_after_the_slash_is_everything():
    assert Paths({"/*": 1}, "paths").get("/x") == 1


@pytest.mark.parametrize(
    ("path", "cure"),
    [
        ("hooks", "Did you mean '/hooks'?"),
        ("*", "Did you mean '/'?"),
        ("", "Did you mean '/'?"),
        ("/a?x=1", "Did you mean '/a'?"),
        ("/a/*/b", "Did you mean '/a/*'?"),
        ("/**", "Did you mean '/*'?"),
        ("/items/{id}", "Did you mean '/items/*'?"),
        ("/items/{id:int}/parts", "Did you mean '/items/*'?"),
        ("/a%20b", "Did you mean '/a b'?"),
    ],
)
def test_what_is_no_path_is_refused_with_the_cure(path: str, cure: str):
    with pytest.raises(ConfigurationError) as caught:
        Paths({path: 1}, "exempt")
    assert str(caught.value).startswith(f"exempt: '{path}'")
    assert str(caught.value).endswith(cure)


def test_what_is_no_text_is_no_path():
    table: Any = {1: True}
    with pytest.raises(ConfigurationError, match=r"paths: 1 is no path\. Write it like '/upload"):
        Paths(table, "paths")


@pytest.mark.parametrize(
    ("path", "root", "below"),
    [
        ("/login", "", "/login"),
        ("/api/login", "/api", "/login"),
        ("/api/login/", "/api", "/login/"),
        ("/api", "/api", "/"),
        ("/api/", "/api", "/"),
        ("/api/api/login", "/api", "/api/login"),
        # Not below it: a server that cut it off already, or another path that begins alike.
        ("/login", "/api", "/login"),
        ("/apis/login", "/api", "/apis/login"),
    ],
)
def test_the_path_below_a_mount(path: str, root: str, below: str):
    assert below_mount(path, root) == below


@pytest.mark.parametrize("given", [None, 5, [5], [None, "/a"], [b"/a"]])
def test_what_is_no_list_of_texts_is_refused(given: Any):
    with pytest.raises(ConfigurationError, match=r"exempt: .* is no list of texts\. Write \["):
        several("exempt", given)


def test_a_text_is_no_list():
    assert several("exempt", iter(["/a"])) == ("/a",)
    with pytest.raises(ConfigurationError, match=r"exempt: .*Did you mean exempt=\['/a'\]\?"):
        several("exempt", "/a")
