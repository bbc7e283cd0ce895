"""The cache of verified tokens: bounded in all and for each account."""

from authward.core.principal import Principal
from authward.core.verified import VerifiedTokens


def principal(user: str = "ada") -> Principal:
    return Principal(user, "", "user", frozenset(), "session-1")


def tokens_of(cache: VerifiedTokens, *names: str) -> list[str]:
    return [name for name in names if cache.get(name) is not None]


def test_the_cache_is_bounded_for_each_account() -> None:
    cache = VerifiedTokens(most=100, per_user=2)
    for name in ("a1", "a2", "a3"):
        cache.put(name, principal("ada"))
    cache.put("e1", principal("eve"))
    assert tokens_of(cache, "a1", "a2", "a3", "e1") == ["a2", "a3", "e1"]


def test_the_cache_is_bounded_in_all() -> None:
    cache = VerifiedTokens(most=3, per_user=2)
    for number in range(10):
        cache.put(f"t{number}", principal(f"user-{number}"))
    assert len(cache) == 3
    assert tokens_of(cache, "t6", "t7", "t8", "t9") == ["t7", "t8", "t9"]
    assert len(cache._by_user) == 3


def test_a_token_put_twice_counts_once() -> None:
    cache = VerifiedTokens(most=10, per_user=2)
    for _ in range(5):
        cache.put("a1", principal())
    cache.put("a2", principal())
    assert len(cache) == 2
    cache.drop("a1")
    cache.drop("a1")
    assert tokens_of(cache, "a1", "a2") == ["a2"]
    cache.drop("a2")
    assert cache._by_user == {}
    cache.put("a1", principal())
    cache.clear()
    assert len(cache) == len(cache._by_user) == 0
