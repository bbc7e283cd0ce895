"""A token of megabytes, split and decoded before anyone measured it.

CVE-2025-61920 (Authlib).
"""

import time
import tracemalloc

import pytest

from authward.core.tokens import MAX_ACCESS_CHARS, MAX_REFRESH_CHARS, mint
from tests.attacks.targets import Target
from tests.minting import ACCESS, REFRESH, Kind, access_claims, each_kind

HUGE = 20_000_000


@each_kind
@pytest.mark.parametrize(
    "token",
    ["a" * HUGE, "." * HUGE, "a." * (HUGE // 2), "é" * HUGE, "\ud800" * HUGE, "\0" * HUGE],
    ids=["letters", "dots", "parts", "not ASCII", "surrogates", "NULs"],
)
def test_a_huge_token_costs_neither_time_nor_memory(kind: Kind, token: str):
    tracemalloc.start()
    try:
        began = time.process_time()
        assert kind.refuses(token) == "too long"
        assert time.process_time() - began < 0.1
        assert tracemalloc.get_traced_memory()[1] < 1_000_000
    finally:
        tracemalloc.stop()


@each_kind
def test_our_own_signature_buys_no_length(kind: Kind):
    limit = MAX_ACCESS_CHARS if kind is ACCESS else MAX_REFRESH_CHARS
    for size in (limit, limit + 1, 1_000_000):
        token = kind.forge(payload=kind.with_claims(sub="x" * size))
        assert len(token) > limit
        assert kind.refuses(token) == "too long"


def test_the_cap_is_to_the_character():
    def of(size: int) -> str:
        return mint(access_claims(sub="x" * size), ACCESS.ring.signing)

    fitting = max(size for size in range(5000, 6500) if len(of(size)) <= MAX_ACCESS_CHARS)
    assert ACCESS.read(of(fitting)).sub == "x" * fitting
    assert ACCESS.refuses(of(fitting + 3)) == "too long"


def test_the_caps():
    assert (MAX_ACCESS_CHARS, MAX_REFRESH_CHARS) == (8192, 1024)


def test_what_we_mint_is_far_below_the_caps():
    assert len(REFRESH.token) * 2 < MAX_REFRESH_CHARS
    longest = access_claims(email="x" * 254, permissions=("verb:resource",) * 100)
    assert len(mint(longest, ACCESS.ring.signing)) < MAX_ACCESS_CHARS


async def test_no_running_server_reads_past_its_cap(target: Target):
    """Just past it, with our own signature, and as much as a head may hold."""
    limit = MAX_ACCESS_CHARS if target.typ == "at+jwt" else MAX_REFRESH_CHARS
    fill = limit - len(target.token)
    tokens = {
        "signed": target.forge(payload=target.with_claims(sub="x" * limit)),
        "letters": "a" * (limit + 1),
        "dots": "." * (limit + 1),
        "parts": "a." * limit,
        "after it": target.token + "a" * (fill + 1),
        "more parts": target.token + ".a" * (fill // 2 + 1),
        "the most a head holds": "a" * 30_000,
    }
    assert all(len(token) > limit for token in tokens.values())
    await target.refuses(tokens)
