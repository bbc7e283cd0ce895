"""Who a connection comes from."""

from ipaddress import IPv4Address, IPv4Network, IPv6Address, ip_address, ip_network
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from authward.core.clients import ClientRule, Networks, client_of, coarser
from authward.errors import ConfigurationError

Header = tuple[bytes, bytes]


def test_the_address_of_the_socket_and_the_agent_it_claims():
    client = client_of(("192.0.2.7", 50_000), [(b"user-agent", b"curl/8")], "request-1")
    assert (client.ip, client.user_agent, client.request_id) == ("192.0.2.7", "curl/8", "request-1")


def test_no_socket_and_no_agent():
    client = client_of(None, [(b"host", b"x")])
    assert (client.ip, client.user_agent, client.request_id) == ("", "", "")


def test_the_first_of_two_agents_counts_and_no_forwarded_address_does():
    headers = [
        (b"x-forwarded-for", b"203.0.113.9"),
        (b"forwarded", b"for=203.0.113.9"),
        (b"user-agent", b"one\xe9"),
        (b"user-agent", b"two"),
    ]
    client = client_of(("192.0.2.7", 1), headers)
    assert (client.ip, client.user_agent) == ("192.0.2.7", "oneé")


def test_an_address_that_was_resolved_goes_before_the_socket():
    client = client_of(("192.0.2.7", 1), [], "r", address="203.0.113.9")
    assert (client.ip, client.request_id) == ("203.0.113.9", "r")
    assert client_of(None, [], address="unix").ip == "unix"


# --- the address of a client --------------------------------------------------------------------

PROXY, OTHER = "10.0.0.1", "192.168.7.1"
TRUSTED = ("10.0.0.0/8", "192.168.7.1", "2001:db8:ffff::/48")


def xff(*lines: str) -> list[Header]:
    return [(b"x-forwarded-for", line.encode("latin-1")) for line in lines]


def forwarded(*lines: str) -> list[Header]:
    return [(b"forwarded", line.encode("latin-1")) for line in lines]


def behind(*lines: str, peer: str | None = PROXY) -> str:
    return ClientRule(TRUSTED).address(peer, xff(*lines))


def behind_forwarded(*lines: str) -> str:
    return ClientRule(TRUSTED, "Forwarded").address(PROXY, forwarded(*lines))


def test_without_proxies_the_socket_alone_counts():
    rule = ClientRule()
    headers = [*xff("203.0.113.9"), *forwarded("for=203.0.113.9"), (b"x-real-ip", b"203.0.113.9")]
    assert rule.address("192.0.2.7", headers) == "192.0.2.7"
    assert rule.address(PROXY, headers) == PROXY
    assert rule.address("127.0.0.1", headers) == "127.0.0.1"


def test_a_peer_that_is_no_proxy_is_not_asked():
    assert behind("203.0.113.9", peer="192.0.2.7") == "192.0.2.7"
    assert behind("203.0.113.9", peer="11.0.0.1") == "11.0.0.1"
    assert behind("203.0.113.9", peer="192.168.7.2") == "192.168.7.2"


def test_a_proxy_is_asked():
    assert behind("203.0.113.9") == "203.0.113.9"
    assert behind("203.0.113.9", peer="2001:db8:ffff::1") == "203.0.113.9"
    assert behind("203.0.113.9", peer="::ffff:10.0.0.1") == "203.0.113.9"


def test_a_proxy_that_says_nothing_is_the_client():
    assert behind() == PROXY
    assert behind("") == PROXY


def test_the_header_is_read_from_the_right():
    assert behind("1.1.1.1, 203.0.113.9") == "203.0.113.9"
    assert behind("1.1.1.1, 203.0.113.9, 192.168.7.1") == "203.0.113.9"
    assert behind("1.1.1.1, 203.0.113.9,192.168.7.1\t, 10.9.9.9") == "203.0.113.9"


def test_lines_are_joined_in_order():
    assert behind("1.1.1.1", "203.0.113.9") == "203.0.113.9"
    assert behind("1.1.1.1, 203.0.113.9", "192.168.7.1") == "203.0.113.9"


def test_proxies_all_the_way_are_as_far_as_it_goes():
    assert behind("192.168.7.1, 10.0.0.2, 10.0.0.3") == OTHER


@pytest.mark.parametrize(
    "bad",
    [
        *(
            "unknown",
            "",
            " ",
            "unix",
            "300.1.1.1",
            "1.1.1",
            "010.0.0.1",
            "1.1.1.1:",
            "1.1.1.1:port",
        ),
        *("[1.1.1.1", "[::1", "::1]", "fe80::1%eth0", "[fe80::1%25eth0]", "1.1.1.1/32", "[::1]:x"),
        *(
            '"1.1.1.1"',
            "1.1.1.1 1.1.1.1",
            "x" * 10_000,
            "for=1.1.1.1",
            "1.1.1.1:123456",
            "\xb2.1.1.1",
        ),
    ],
)
def test_nonsense_ends_the_walk_at_the_proxy_that_sent_it(bad: str):
    assert behind(bad) == PROXY
    assert behind(f"203.0.113.9, {bad}") == PROXY
    assert behind(f"203.0.113.9, {bad}, 192.168.7.1") == OTHER
    assert behind(f"{bad}, 203.0.113.9") == "203.0.113.9"


@pytest.mark.parametrize(
    ("written", "address"),
    [
        ("203.0.113.9:4711", "203.0.113.9"),
        ("[2001:db8::9]:4711", "2001:db8::9"),
        ("[2001:db8::9]", "2001:db8::9"),
        ("2001:DB8:0:0::9", "2001:db8::9"),
        ("::ffff:203.0.113.9", "203.0.113.9"),
        ("[::ffff:203.0.113.9]:1", "203.0.113.9"),
        ("203.0.113.9:_secret", "203.0.113.9"),
    ],
)
def test_ports_brackets_and_spellings(written: str, address: str):
    assert behind(written) == address


def test_a_mapped_proxy_is_that_proxy():
    assert behind("203.0.113.9, ::ffff:10.1.1.1") == "203.0.113.9"
    assert ClientRule(["::ffff:10.0.0.0/104"]).address(PROXY, xff("1.1.1.1")) == "1.1.1.1"
    assert ClientRule(["::ffff:10.0.0.1"]).address(PROXY, xff("1.1.1.1")) == "1.1.1.1"


def test_a_long_row_of_proxies_is_not_walked_for_ever():
    addresses = ["203.0.113.9", *(f"10.0.{n >> 8}.{n & 255}" for n in range(5000))]
    assert behind(",".join(addresses)) == "10.0.19.104"  # 32 from the right


def test_the_other_header_is_never_read():
    rule = ClientRule(TRUSTED)
    assert rule.address(PROXY, [*forwarded("for=1.1.1.1"), *xff("203.0.113.9")]) == "203.0.113.9"
    assert rule.address(PROXY, forwarded("for=1.1.1.1")) == PROXY
    assert ClientRule(TRUSTED, "forwarded").address(PROXY, xff("1.1.1.1")) == PROXY


def test_a_header_of_another_name():
    rule = ClientRule(TRUSTED, "X-Real-IP")
    headers = [(b"x-real-ip", b"203.0.113.9"), *xff("1.1.1.1")]
    assert rule.address(PROXY, headers) == "203.0.113.9"


# --- Forwarded (RFC 7239) -----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("line", "address"),
    [
        ("for=203.0.113.9", "203.0.113.9"),
        ('For="[2001:db8:cafe::17]:4711"', "2001:db8:cafe::17"),
        ("for=203.0.113.9;proto=http;by=10.0.0.1", "203.0.113.9"),
        ("proto=https ; FOR=203.0.113.9", "203.0.113.9"),
        ('host="a,b;c";for="203.0.113.9:80"', "203.0.113.9"),
        ("for=1.1.1.1, for=203.0.113.9", "203.0.113.9"),
        ("for=1.1.1.1, for=203.0.113.9, for=10.0.0.3", "203.0.113.9"),
        ('for=1.1.1.1, for=203.0.113.9;host="a,b", for=10.0.0.3;by=x', "203.0.113.9"),
        # A quote that a client leaves open swallows nothing of what proxies append.
        ('for="1.1.1.1, for=203.0.113.9', "203.0.113.9"),
        ('for="1.1.1.1, for="203.0.113.9"', "203.0.113.9"),
        ('for=\\", for="[2001:db8::9]"', "2001:db8::9"),
    ],
)
def test_forwarded(line: str, address: str):
    assert behind_forwarded(line) == address


def test_lines_of_forwarded_are_joined_in_order():
    assert behind_forwarded("for=1.1.1.1", "for=203.0.113.9", "for=10.0.0.3") == "203.0.113.9"


@pytest.mark.parametrize(
    "bad",
    [
        *(
            "for=unknown",
            "for=_hidden",
            "proto=https",
            "203.0.113.9",
            "for=",
            "for",
            "=1.1.1.1",
            ";;",
        ),
        *("for=1.1.1.1;for=2.2.2.2", "for=1.1.1.1 proto=http", 'for="1.1.1.1', 'for=1.1.1.1"'),
        *('for="1.1.1.\\1"', "for=[::1", "f\xf6r=1.1.1.1", ""),
    ],
)
def test_nonsense_in_forwarded_ends_the_walk(bad: str):
    assert behind_forwarded(bad) == PROXY
    assert behind_forwarded(f"{bad}, for=203.0.113.9") == "203.0.113.9"


# --- keys ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("address", "key"),
    [
        ("203.0.113.9", "203.0.113.9"),
        ("::ffff:203.0.113.9", "203.0.113.9"),
        ("::FFFF:cb00:7109", "203.0.113.9"),
        ("2001:db8:1234:56ff::1", "2001:db8:1234:5600::/56"),
        ("2001:db8:1234:5600:ffff:ffff:ffff:ffff", "2001:db8:1234:5600::/56"),
        ("2001:db8:1234:5700::", "2001:db8:1234:5700::/56"),
        ("::1", "::/56"),
        ("fe80::1%eth0", "fe80::/56"),
        # What 6to4 and NAT64 carry is not looked into: others than that address may send it.
        ("2002:cb00:7109::1", "2002:cb00:7109::/56"),
        ("64:ff9b::203.0.113.9", "64:ff9b::/56"),
        ("testclient", "testclient"),
    ],
)
def test_the_key_of_an_address(address: str, key: str):
    assert ClientRule().key(address) == key
    assert ClientRule().key_of(address, []) == key


@pytest.mark.parametrize(
    ("prefix", "key"),
    [(128, "2001:db8::1:0:0:1/128"), (64, "2001:db8:0:0::/64"), (48, "2001:db8::/48")],
)
def test_the_prefix_is_an_option(prefix: int, key: str):
    found = ClientRule(ipv6_prefix=prefix).key("2001:db8::1:0:0:1")
    assert ip_network(found) == ip_network(key)


def test_a_unix_socket_has_one_key():
    rule = ClientRule()
    assert rule.key_of(None, xff("1.1.1.1")) == rule.key_of("", []) == "unix"
    assert rule.address(None, []) == "unix"


def test_a_proxy_behind_a_unix_socket_can_be_trusted():
    rule = ClientRule(["unix"])
    assert rule.address(None, xff("1.1.1.1, 203.0.113.9")) == "203.0.113.9"
    assert rule.address(None, xff("203.0.113.9, unix")) == "unix"
    assert rule.address("10.0.0.1", xff("203.0.113.9")) == "10.0.0.1"


def test_the_key_is_that_of_the_address_behind_the_proxy():
    rule = ClientRule(TRUSTED)
    assert rule.key_of(PROXY, xff("2001:db8:1:2ff::1")) == "2001:db8:1:200::/56"
    assert rule.key_of(PROXY, []) == PROXY


def test_what_is_remembered_is_bounded_and_stays_right():
    rule = ClientRule(TRUSTED)
    allowed = Networks("allow", ["172.16.0.0/12"])
    for n in range(10_000):
        address = f"172.{n >> 8}.{n & 255}.1"
        assert rule.key_of(PROXY, xff(f"1.1.1.1, {address}")) == address
        assert (address in allowed) == (n >> 8 in range(16, 32))
    assert len(rule.seen) <= 4096
    assert len(allowed.seen) <= 4096
    for n in range(10):
        rule.key_of(PROXY, xff(f"{n}" * 10_000))
    assert max(map(len, rule.seen)) <= 64
    assert rule.key_of(PROXY, xff("203.0.113.9")) == "203.0.113.9"


@given(st.ip_addresses())
def test_a_key_is_a_network_around_its_address(address: IPv4Address | IPv6Address):
    key = ip_network(ClientRule().key(str(address)))
    mapped = address.ipv4_mapped if isinstance(address, IPv6Address) else None
    assert (mapped or address) in key
    assert key.prefixlen == (32 if isinstance(key, IPv4Network) else 56)


@given(st.text(max_size=80))
def test_no_text_in_a_header_is_an_address_by_accident(text: str):
    raw = text.encode("utf-8", "surrogatepass").decode("latin-1")
    for name in ("x-forwarded-for", "forwarded"):
        rule = ClientRule(TRUSTED, name)
        ip_address(rule.address(PROXY, [(name.encode(), raw.encode("latin-1"))]))


@pytest.mark.parametrize(
    ("key", "bucket"),
    [
        ("203.0.113.9", "203.0.113.0/24"),
        ("2001:db8:1234:5600::/56", "2001:db8:1200::/40"),
        ("2001:db8::/32", "2001:db8::/40"),
    ],
)
def test_neighbours_share_a_coarser_bucket(key: str, bucket: str):
    assert coarser(key) == bucket


def test_keys_that_are_no_addresses_share_256():
    assert len({coarser(f"id:{n}") for n in range(20_000)}) == 256
    assert coarser("id:1") == coarser("id:1")


# --- options ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "cure"),
    [
        ("10.0.0.0/33", "Write it like '192.0.2.7', '10.0.0.0/8' or '2001:db8::/32'"),
        ("proxy.example", "'proxy.example' is no address and no network"),
        ("", "'' is no address and no network"),
        ("10.0.0.1/8", "Did you mean '10.0.0.0/8'?"),
        ("2001:db8::1/32", "Did you mean '2001:db8::/32'?"),
        ("::ffff:0:0/90", "has bits beyond its prefix"),
        ("*", "List your proxies, like '10.0.0.0/8'"),
        ("0.0.0.0/0", "trusts everyone"),
        ("::/0", "trusts everyone"),
        ("::ffff:0:0/96", "trusts everyone"),
    ],
)
def test_proxies_that_cannot_be_trusted(text: str, cure: str):
    with pytest.raises(ConfigurationError, match="trusted_proxies: ") as refused:
        ClientRule(["10.0.0.0/8", text])
    assert cure in str(refused.value)


@pytest.mark.parametrize(
    "halves",
    [
        ["0.0.0.0/1", "128.0.0.0/1"],
        ["128.0.0.0/1", "10.0.0.0/8", "64.0.0.0/2", "0.0.0.0/2"],
        ["0.0.0.0/1", "::ffff:128.0.0.0/97"],
        ["::/1", "unix", "8000::/1"],
    ],
)
def test_everyone_piece_by_piece(halves: list[str]):
    with pytest.raises(ConfigurationError, match="trusted_proxies: this trusts everyone"):
        ClientRule(halves)
    assert Networks("allow", [one for one in halves if one != "unix"]).everyone
    assert not Networks("allow", [one for one in halves if one != "unix"][:-1]).everyone


@pytest.mark.parametrize("proxies", [[0], [b"10.0.0.1"], [None], None, 5])
def test_proxies_that_are_no_texts(proxies: Any):
    """Of a number Python would make an address: 0 is 0.0.0.0."""
    with pytest.raises(ConfigurationError, match=r"trusted_proxies: .* is no list of texts"):
        ClientRule(proxies)


def test_one_proxy_is_a_list_too():
    for text in ("10.0.0.1", "*"):
        with pytest.raises(ConfigurationError, match="trusted_proxies: '"):
            ClientRule(text)


@pytest.mark.parametrize(
    "header", ["", "x forwarded", "x-forwarded-for:", "f\xf6rwarded", "a\n", None, b"a"]
)
def test_a_header_that_is_none(header: Any):
    with pytest.raises(ConfigurationError, match="Take 'x-forwarded-for' or 'forwarded'"):
        ClientRule(header=header)


@pytest.mark.parametrize("prefix", [0, 31, 129, True, 56.0, "56", None])
def test_a_prefix_out_of_bounds(prefix: Any):
    with pytest.raises(ConfigurationError, match=f"ipv6_prefix: {prefix!r} .* Take 56"):
        ClientRule(ipv6_prefix=prefix)


def test_networks():
    some = Networks("allow", ["192.0.2.0/24", "2001:db8::/32"])
    assert some
    assert not Networks("allow", [])
    for address in ("192.0.2.7", "::ffff:192.0.2.7", "2001:db8:9::"):
        assert address in some
        assert address in some  # as it is remembered
    for address in ("192.0.3.7", "2001:db9::", "unix", "", "testclient"):
        assert address not in some
