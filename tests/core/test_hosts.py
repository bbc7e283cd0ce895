"""The Host header against a list."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from authward.core.hosts import HostList, host_allowed, host_name, is_loopback
from authward.errors import ConfigurationError
from tests.generating import many


@pytest.mark.parametrize(
    ("header", "name"),
    [
        ("api.example.com", "api.example.com"),
        ("API.Example.com:8443", "api.example.com"),
        ("api.example.com.", "api.example.com"),
        ("127.0.0.1:8000", "127.0.0.1"),
        ("[::1]", "[::1]"),
        ("[2001:DB8::1]:443", "[2001:db8::1]"),
        ("under_score.example", "under_score.example"),
    ],
)
def test_the_name_without_port(header: str, name: str):
    assert host_name(header) == name


@pytest.mark.parametrize(
    "header",
    [
        "",
        " ",
        ":8000",
        "a b",
        "a.example:",
        "a.example:port",
        "a.example:123456",
        "a.example/x",
        "a.example\n",
        "a.example\r\nX: y",
        "user@a.example",
        "a.example,b.example",
        "[::1",
        "::1",
        "[::1]]",
        "[g::1]",
        "a.example?x",
        "a.example#x",
        "a.example\\b",
        "ex\u0430mple.com",
        "a.example:٨٠",
        "<script>",
    ],
)
def test_anything_else_is_malformed_and_allowed_nowhere(header: str):
    assert host_name(header) is None
    assert not host_allowed(header, None)
    assert not host_allowed(header, frozenset({header}))


@pytest.mark.parametrize("host", ["localhost", "app.localhost", "127.0.0.1", "127.8.9.10", "[::1]"])
def test_this_machine_by_its_names(host: str):
    assert is_loopback(host)
    assert host_allowed(host, frozenset())
    assert host_allowed(host + ":8000", frozenset({"api.example.com"}))


@pytest.mark.parametrize(
    "host",
    [
        "localhost.evil.example",
        "evillocalhost",
        "127.0.0.1.evil.example",
        "1127.0.0.1",
        "128.0.0.1",
        "0.0.0.0",
        "[::2]",
        "[::ffff:127.0.0.1]",
        "nottest",
        "",
    ],
)
def test_what_only_looks_like_this_machine(host: str):
    assert not is_loopback(host)
    assert not host_allowed(host, frozenset())


def test_a_list_lets_in_its_own_and_no_list_lets_in_all_that_is_well_formed():
    ours = frozenset({"api.example.com"})
    assert host_allowed("API.example.com.:443", ours)
    assert not host_allowed("www.example.com", ours)
    assert not host_allowed("api.example.com.evil.example", ours)
    assert host_allowed("www.example.com", None)


@many
@given(st.text(max_size=40))
def test_any_text_is_a_name_or_none(header: str):
    name = host_name(header)
    if name is not None:
        assert name == name.lower()
        assert not set(name) & set("/\\@ \r\n")


LISTED = HostList(["API.example.com.", "*.apps.example.com", "[::1]", "10.0.0.1", "*.localhost"])


@pytest.mark.parametrize(
    "header",
    [
        b"api.example.com",
        b"API.Example.com:8443",
        b"api.example.com.",
        b"a.apps.example.com",
        b"a.b.apps.example.com:443",
        b"A_B.apps.example.com.",
        b"[::1]:8000",
        b"10.0.0.1",
        b"app.localhost",
    ],
)
def test_a_listed_host(header: bytes):
    assert LISTED.allows(header)


@pytest.mark.parametrize(
    "header",
    [
        b"",
        b"example.com",
        b"apps.example.com",
        b"evilapps.example.com",
        b"apiXexample.com",
        b"api.example.com.evil.example",
        b"a.apps.example.com.evil.example",
        b".apps.example.com",
        b"a..apps.example.com",
        b"-a.apps.example.com",
        b"*.apps.example.com",
        b"a/b.apps.example.com",
        b"a@b.apps.example.com",
        b"api.example.com,evil.example",
        b"api.example.com\r\nx: y",
        b"\xe4.apps.example.com",
        b"localhost",
        b"127.0.0.1",
        b"10.0.0.2",
        b"[::2]",
    ],
)
def test_a_host_that_is_not_listed(header: bytes):
    assert not LISTED.allows(header)


@pytest.mark.parametrize(
    ("hosts", "cure"),
    [
        ([], "there is none"),
        ("a.example", "this is a text"),
        (["*"], "'\\*' would let in any"),
        (["a.example:8000"], "has a port.* Did you mean 'a.example'"),
        (["*.a.example:8000"], "has a port.* Did you mean '\\*.a.example'"),
        (["[::1]:80"], "has a port.* Did you mean '\\[::1\\]'"),
        (["https://A.example/x"], "is not a host. Did you mean 'a.example'"),
        (["::1"], "is not a host. Did you mean '\\[::1\\]'"),
        (["a.*.example"], "stands for all names below one"),
        (["a b"], "is not a host. Write it like"),
        (["a..b"], "is not a host. Write it like"),
        (["b\u00fccher.example"], "xn--"),
        ([""], "is not a host. Write it like"),
        (["*.b\u00fccher.example"], "xn--"),
        (["*.com"], "would let in whoever has a name below 'com'"),
        (["*.co.uk"], "would let in whoever"),
        (["*.10.0.0.1"], "is an address"),
    ],
)
def test_hosts_that_mean_something_else(hosts: list[str], cure: str):
    with pytest.raises(ConfigurationError, match=f"^hosts: .*{cure}"):
        HostList(hosts)
