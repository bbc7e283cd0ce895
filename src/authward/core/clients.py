"""Who a connection comes from."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from ipaddress import (
    IPv4Address,
    IPv4Network,
    IPv6Address,
    IPv6Network,
    collapse_addresses,
    ip_address,
    ip_network,
)
from itertools import islice
from typing import NamedTuple

from authward.core.audit import Client
from authward.core.paths import several
from authward.errors import ConfigurationError

Headers = Iterable[tuple[bytes, bytes]]

UNIX = "unix"
"""The address of who connects through a Unix socket, and the word that trusts such a proxy."""

_MOST_HOPS = 32
_MOST_SEEN = 4096
_LONGEST_NODE = 64
_BUCKETS = 256
_HEADER = re.compile(r"[a-z0-9!#$%&'*+.^_`|~-]+", re.ASCII)
_WITH_PORT = re.compile(
    r"\[([0-9a-f:.]+)\](?::(?:[0-9]{1,5}|_[a-z0-9._-]+))?|([0-9.]+):(?:[0-9]{1,5}|_[a-z0-9._-]+)",
    re.ASCII | re.IGNORECASE,
)
# One pair of a Forwarded element and what ends it (RFC 7239 section 4).
_PAIR = re.compile(
    r"""\s*([a-z0-9!#$%&'*+.^_`|~-]+)=(?:"([^"\\]*)"|([^\s";,\\]+))\s*(?:;|$)""",
    re.ASCII | re.IGNORECASE,
)


def client_of(
    peer: tuple[str, int] | None,
    headers: Headers,
    request_id: str = "",
    *,
    address: str | None = None,
) -> Client:
    """The client of a connection: its address (the one given, as `ClientRule.address` finds it,
    else the socket's), and the user agent it claims.
    """
    agent = next((value for name, value in headers if name == b"user-agent"), b"")
    if address is None:
        address = peer[0] if peer else ""
    return Client.of(address, agent.decode("latin-1"), request_id)


class Networks:
    """Addresses and networks, as an option of that name lists them. A mapped IPv4 address
    (`::ffff:192.0.2.1`) is that IPv4 address. Raises ConfigurationError for what is no network.
    """

    def __init__(self, option: str, texts: Sequence[str], *, but: Sequence[str] = ()) -> None:
        """`but` are words that may be among the texts."""
        if isinstance(texts, str):
            raise ConfigurationError(f"{option}: '{texts}' is no list. Write ['{texts}']")
        # Of a number Python would make an address: 0 is 0.0.0.0.
        named = several(option, texts)
        self._networks = tuple(network_of(option, text) for text in named if text not in but)
        self.seen: dict[str, bool] = {}

    def __bool__(self) -> bool:
        return bool(self._networks)

    @property
    def everyone(self) -> bool:
        """Whether every IPv4 or every IPv6 address is one of them, be it piece by piece."""
        fours = [one for one in self._networks if isinstance(one, IPv4Network)]
        sixes = [one for one in self._networks if isinstance(one, IPv6Network)]
        return any(one.prefixlen == 0 for one in collapse_addresses(fours)) or any(
            one.prefixlen == 0 for one in collapse_addresses(sixes)
        )

    def __contains__(self, address: str) -> bool:
        found = self.seen.get(address)
        if found is None:
            parsed = _parse(address)
            found = parsed is not None and any(parsed in network for network in self._networks)
            if len(self.seen) >= _MOST_SEEN:
                self.seen.clear()
            self.seen[address] = found
        return found


class Seen(NamedTuple):
    """What is known of an address as it was written: itself, whether it is one at all, whether it
    is a trusted proxy's, and its key.
    """

    address: str
    valid: bool
    trusted: bool
    key: str


class ClientRule:
    """Tells clients apart: by the socket's address, or, where that is one of `trusted_proxies`
    (addresses, networks, or `unix`), by what the one `header` says, read from the right up to the
    first address that is no trusted proxy's. Any other header counts for nothing.

    A client's key is its IPv4 address, or its IPv6 network of `ipv6_prefix` bits: a household or a
    server has a whole one, and must not count as many clients.

    Raises ConfigurationError for proxies that are no addresses, or everyone.
    """

    def __init__(
        self,
        trusted_proxies: Sequence[str] = (),
        header: str = "x-forwarded-for",
        ipv6_prefix: int = 56,
    ) -> None:
        self._proxies = Networks("trusted_proxies", trusted_proxies, but=(UNIX, "*"))
        if "*" in trusted_proxies or self._proxies.everyone:
            raise ConfigurationError(
                "trusted_proxies: this trusts everyone, and so anyone could choose the address "
                "they count as. List your proxies, like '10.0.0.0/8'"
            )
        check_header("header", header)
        if type(ipv6_prefix) is not int or not 32 <= ipv6_prefix <= 128:
            raise ConfigurationError(f"ipv6_prefix: {ipv6_prefix!r} is not in 32 to 128. Take 56")
        self._unix_trusted = UNIX in trusted_proxies
        self._header = header.lower().encode()
        self._host_bits = 128 - ipv6_prefix
        self.seen: dict[str, Seen] = {}
        """What is known of addresses, bounded. `find` returns what is no proxy's as it is here."""

    def address(self, peer: str | None, headers: Headers) -> str:
        """The client's address. `peer` is the socket's; None or empty for a Unix socket. A server
        that knows no address (a test client) is taken at its word.
        """
        return self.find(peer, headers).address

    def key(self, address: str) -> str:
        """What a client at this address is counted under."""
        return self._see(address).key

    def key_of(self, peer: str | None, headers: Headers) -> str:
        """The key of the client's address, at the cost of one look-up where no proxy is trusted."""
        return self.find(peer, headers).key

    def find(self, peer: str | None, headers: Headers) -> Seen:
        seen = self.seen.get(peer or UNIX) or self._see(peer or UNIX)
        if not seen.trusted:
            return seen
        lines = [value for name, value in headers if name == self._header]
        if not lines:
            return seen
        text = b",".join(lines).decode("latin-1")
        if self._header == b"forwarded":
            nodes: Iterator[str | None] = map(_forwarded_for, _from_the_right_unquoted(text))
        else:
            nodes = _from_the_right(text)
        # Each proxy appends who it heard from: what an untrusted one wrote, and all to the left
        # of it, is anybody's invention. A bounded walk, as a client may name our proxies too.
        for node in islice(nodes, _MOST_HOPS):
            heard_from = self._see_node(node)
            if heard_from is None:
                break
            seen = heard_from
            if not seen.trusted:
                break
        return seen

    def _see_node(self, node: str | None) -> Seen | None:
        """What is known of the address in a header; None if there is none."""
        if node is None:
            return None
        node = node.strip(" \t")
        found = _WITH_PORT.fullmatch(node)
        if found is not None:
            node = found[1] or found[2]
        if len(node) > _LONGEST_NODE or "%" in node:  # a zone means nothing here
            return None
        seen = self._see(node)
        return seen if seen.valid else None

    def _see(self, text: str) -> Seen:
        seen = self.seen.get(text)
        if seen is None:
            seen = self._look(text)
            if len(self.seen) >= _MOST_SEEN:
                self.seen.clear()
            self.seen[text] = seen
        return seen

    def _look(self, text: str) -> Seen:
        parsed = _parse(text)
        if parsed is None:
            return Seen(text, False, text == UNIX and self._unix_trusted, text)
        address = str(parsed)
        if isinstance(parsed, IPv4Address):
            key = address
        else:
            bits = self._host_bits
            key = f"{IPv6Address(int(parsed) >> bits << bits)}/{128 - bits}"
        return Seen(address, True, address in self._proxies, key)


def check_header(option: str, name: str) -> str:
    """The name of the header that proxies say the client in. Raises ConfigurationError."""
    given: object = name
    if not isinstance(given, str) or _HEADER.fullmatch(given.lower()) is None:
        raise ConfigurationError(
            f"{option}: '{name}' is no header's name. Take 'x-forwarded-for' or 'forwarded'"
        )
    return name


def coarser(key: str) -> str:
    """The bucket a client's key shares with its neighbours: its IPv4 /24, its IPv6 /40, or one of
    256 for a key that is no address.
    """
    parsed = _parse(key.partition("/")[0])
    if parsed is None:
        return f"#{hash(key) % _BUCKETS}"
    if isinstance(parsed, IPv4Address):
        return f"{str(parsed).rpartition('.')[0]}.0/24"
    return f"{IPv6Address(int(parsed) >> 88 << 88)}/40"


def _parse(text: str) -> IPv4Address | IPv6Address | None:
    try:
        address = ip_address(text)
    except ValueError:
        return None
    mapped = address.ipv4_mapped if isinstance(address, IPv6Address) else None
    return mapped or address


def network_of(option: str, text: str) -> IPv4Network | IPv6Network:
    """An address or network; a mapped IPv4 one as that. Raises ConfigurationError with the cure."""
    try:
        network = ip_network(text)
    except ValueError:
        try:
            meant = ip_network(text, strict=False)
        except ValueError:
            raise ConfigurationError(
                f"{option}: '{text}' is no address and no network. "
                "Write it like '192.0.2.7', '10.0.0.0/8' or '2001:db8::/32'"
            ) from None
        raise ConfigurationError(
            f"{option}: '{text}' has bits beyond its prefix. Did you mean '{meant}'?"
        ) from None
    mapped = _parse(str(network.network_address))
    if isinstance(network, IPv6Network) and isinstance(mapped, IPv4Address):
        return IPv4Network((int(mapped), network.prefixlen - 96))
    return network


def _from_the_right(text: str) -> Iterator[str]:
    rest = text
    while rest:
        rest, _, last = rest.rpartition(",")
        yield last


def _from_the_right_unquoted(text: str) -> Iterator[str]:
    """As `_from_the_right`, but commas in quotes separate nothing. From the right, so that a quote
    which a client leaves open cannot swallow what the proxies wrote after it.
    """
    end, quoted = len(text), False
    for at in range(end - 1, -1, -1):
        if text[at] == '"' and text[at - 1 : at] != "\\":
            quoted = not quoted
        elif text[at] == "," and not quoted:
            yield text[at + 1 : end]
            end = at
    yield text[:end]


def _forwarded_for(element: str) -> str | None:
    """The node of the one `for=` of a Forwarded element; None if it is malformed or has none."""
    at, node = 0, None
    while at < len(element):
        found = _PAIR.match(element, at)
        if found is None:
            return None
        if found[1].lower() == "for":
            if node is not None:
                return None
            node = found[2] if found[3] is None else found[3]
        at = found.end()
    return node
