"""A kid that is a path, a query, a command or no text at all.

RFC 8725 section 3.10, ASVS 9.1.3.
"""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.attacks.targets import Target
from tests.generating import few
from tests.minting import ACCESS, REFRESH, Kind, compact, each_kind, hs256

KIDS = [
    "",
    "../../../../dev/null",
    "/dev/null",
    "' OR '1'='1",
    "x' UNION SELECT 'secret",
    "| sleep 10 |",
    "$(id)",
    "http://evil.example/key",
    "\x00",
    "\r\nx-injected: 1",
    "\ud800",
    "*",
    ACCESS.key.kid.upper(),
    ACCESS.key.kid + "\x00",
    ACCESS.key.kid + " ",
    "k" * 100_000,
    None,
    0,
    True,
    1e400,
    [ACCESS.key.kid],
    {"kid": ACCESS.key.kid},
]


@each_kind
@pytest.mark.parametrize("kid", KIDS, ids=lambda kid: repr(kid)[:30])
def test_a_hostile_kid_is_refused_though_we_signed_it(kind: Kind, kid):
    kind.refuses(kind.forge(header={**kind.header, "kid": kid}))


@each_kind
def test_a_token_without_kid_is_refused(kind: Kind):
    kind.refuses(kind.forge(header={"alg": "HS256", "typ": kind.typ}))


@each_kind
@pytest.mark.parametrize("secret", [b"", b"\0", b"\0" * 32], ids=["empty", "NUL", "zeros"])
def test_no_file_of_nothing_is_a_key(kind: Kind, secret: bytes):
    header = b'{"alg":"HS256","typ":"%b","kid":"/dev/null"}' % kind.typ.encode()
    kind.refuses(hs256(header, kind.payload, secret))
    kind.refuses(hs256(header.replace(b"/dev/null", kind.key.kid.encode()), kind.payload, secret))


@few
@given(st.text(st.characters(), max_size=80))
def test_any_text_for_a_kid_is_refused_or_is_the_kid(kid: str):
    for kind in (ACCESS, REFRESH):
        if kid != kind.key.kid:
            kind.refuses(kind.forge(header={**kind.header, "kid": kid}))


async def test_no_running_server_looks_further_for_it(target: Target):
    tokens = {}
    for kid in [*KIDS[:-2], [target.key.kid], target.key.kid + " ", target.key.kid.swapcase()]:
        if len(token := target.forge(header={**target.header, "kid": kid})) < 30_000:
            tokens[repr(kid)] = token
    tokens["none"] = target.forge(
        header={name: value for name, value in target.header.items() if name != "kid"}
    )
    # What a path or a query would have found.
    for secret in (b"", b"\0" * 32, b"1"):
        for kid in ("/dev/null", "../../../../dev/null", "' UNION SELECT '1", target.key.kid):
            header = compact({"alg": "HS256", "typ": target.typ, "kid": kid})
            tokens[f"{kid} {secret!r}"] = hs256(header, target.payload, secret)
    await target.refuses(tokens)
