"""Origins: parsed once, compared exactly, and a cure for the ones people write."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from authward.core.origins import Subdomains, configured_origin, parse_origin
from authward.errors import ConfigurationError
from tests.generating import few, many


@pytest.mark.parametrize(
    ("text", "parsed"),
    [
        ("https://app.example.com", "https://app.example.com"),
        ("HTTPS://App.Example.COM", "https://app.example.com"),
        ("https://app.example.com:443", "https://app.example.com"),
        ("https://app.example.com:00443", "https://app.example.com"),
        ("http://app.example.com:80", "http://app.example.com"),
        ("http://app.example.com:443", "http://app.example.com:443"),
        ("https://app.example.com:80", "https://app.example.com:80"),
        ("https://app.example.com:08443", "https://app.example.com:8443"),
        ("http://localhost:65535", "http://localhost:65535"),
        ("http://localhost:1", "http://localhost:1"),
        ("http://[::1]:3000", "http://[::1]:3000"),
        ("http://[2001:DB8::1]", "http://[2001:db8::1]"),
    ],
)
def test_an_origin_has_one_form(text: str, parsed: str):
    assert parse_origin(text) == parsed
    assert configured_origin(text, "origins") == parsed


@pytest.mark.parametrize(
    "text",
    [
        "",
        "null",
        "*",
        "app.example.com",
        "//app.example.com",
        "ftp://app.example.com",
        "javascript://app.example.com",
        "https:app.example.com",
        "https://",
        "https://app.example.com/",
        "https://app.example.com/x",
        "https://app.example.com?x",
        "https://app.example.com#x",
        "https://user@app.example.com",
        "https://app.example.com:",
        "https://app.example.com:0",
        "https://app.example.com:65536",
        "https://app.example.com:999999",
        "https://app.example.com:-1",
        "https://app.example.com\n",
        " https://app.example.com",
        "https://app.example.com https://b.example",
        "https://app.example.com,https://b.example",
        "https://app.ex\u0430mple.com",
        "https://app.example.com:٤٤٣",
        "http\u017f://app.example.com",
        "https://[::1",
        "https://*.example.com",
    ],
)
def test_nothing_but_an_origin_is_one(text: str):
    assert parse_origin(text) is None
    with pytest.raises(ConfigurationError, match=r"^origins: "):
        configured_origin(text, "origins")


@pytest.mark.parametrize(
    ("text", "cure"),
    [
        ("https://a.example/x", "Did you mean 'https://a.example'?"),
        ("https://a.example/", "Did you mean 'https://a.example'?"),
        ("https://u:p@a.example:8443/x?y#z", "Did you mean 'https://a.example:8443'?"),
        ("a.example", "Did you mean 'https://a.example'?"),
        ("a.example:8443", "Did you mean 'https://a.example:8443'?"),
        ("*", "List the origins"),
        ("null", "List real origins"),
        ("https://[::1", "Write it like 'https://app.example.com'"),
        ("https://*.example.com", "is not an origin, but a pattern. Write each origin out"),
        ("*.example.com:8443", "is not an origin, but a pattern. Write each origin out"),
        ("https://a.*.example", "Write it like 'https://app.example.com'"),
        ("https://*.", "Write it like 'https://app.example.com'"),
        ("https://*.*.example", "Write it like 'https://app.example.com'"),
        ("https://münchen.de", "'https://app.example.com', other alphabets as xn--…"),
        ("münchen.de", "'https://app.example.com', other alphabets as xn--…"),
        ("ftp://a.example", "Write it like 'https://app.example.com'"),
        ("https://a\u2100b.example", "Write it like 'https://app.example.com'"),
    ],
)
def test_a_wrong_origin_is_refused_with_its_cure(text: str, cure: str):
    with pytest.raises(ConfigurationError) as caught:
        configured_origin(text, "origins")
    assert cure in str(caught.value)


@many
@given(st.text(max_size=60) | st.from_regex(r"https?://[\w.:@/\[\]-]{0,20}", fullmatch=True))
def test_parsing_is_total_and_its_result_parses_to_itself(text: str):
    parsed = parse_origin(text)
    if parsed is not None:
        assert parse_origin(parsed) == parsed
        assert parsed == parsed.lower()


@few
@given(st.text(max_size=60) | st.from_regex(r"https?://[\w.:@/\[\]-]{0,20}", fullmatch=True))
def test_a_configured_origin_is_taken_or_refused_with_a_cure(text: str):
    parsed = parse_origin(text)
    if parsed is not None:
        assert configured_origin(text, "origins") == parsed
    else:
        with pytest.raises(ConfigurationError, match=r"^origins: "):
            configured_origin(text, "origins")


def test_a_pattern_is_told_how_to_say_it_where_it_can_be_said():
    with pytest.raises(ConfigurationError, match=r"out, or say of=\['https://example.com:8443'\]$"):
        configured_origin("*.example.com:8443", "origins", below="of=[{}]")
    with pytest.raises(ConfigurationError, match=r"out$"):
        configured_origin("*.example.com:8443", "public_url")


@pytest.mark.parametrize("written", ["https://*.example.com", "*.example.com"])
def test_a_rule_for_all_below_needs_no_pattern(written: str):
    with pytest.raises(ConfigurationError, match=r"^of: .*Did you mean 'https://example\.com'\?$"):
        Subdomains(written, "of")
