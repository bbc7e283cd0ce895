"""The promises of `KeyStore`."""

from authward.core.keys import RINGS
from authward.ports import Store, StoredKey
from tests.contracts.fixtures import Stores
from tests.contracts.making import TurnedClock, at_once


def keys_of(maker: str, rings: tuple = RINGS) -> list[StoredKey]:
    return [
        StoredKey(f"{maker}-{ring}-0001", ring, "HS256", "signing", bytes([0, 255, number]), 0)
        for number, ring in enumerate(rings)
    ]


def kids(keys: list[StoredKey]) -> set[str]:
    return {key.kid for key in keys}


class TestKeyStore:
    async def test_the_first_keys_are_stored_as_given(
        self, store: Store, clock: TurnedClock
    ) -> None:
        clock.turn(86_400_000)
        before = int(clock.now() * 1000)
        new = keys_of("one")
        stored = {key.kid: key for key in await store.keys.add_first(new)}
        assert set(stored) == kids(new)
        for key in new:
            found = stored[key.kid]
            assert before - 1000 <= found.created_at <= int(clock.now() * 1000) + 1000
            assert (found.ring, found.algorithm, found.state) == (key.ring, "HS256", "signing")
            assert found.sealed == key.sealed

    async def test_a_ring_that_has_keys_takes_no_more(self, store: Store) -> None:
        first = await store.keys.add_first(keys_of("one", ("access", "refresh")))
        stored = await store.keys.add_first(keys_of("two"))
        assert kids(stored) == {
            "one-access-0001",
            "one-refresh-0001",
            "two-csrf-0001",
            "two-audit-0001",
        }
        assert stored[: len(first)] == first
        assert await store.keys.add_first(keys_of("three")) == stored
        assert await store.keys.add_first([]) == stored

    async def test_one_ring_may_start_with_several(self, store: Store) -> None:
        pair = [
            StoredKey("signing-0001", "access", "EdDSA", "signing", b"1", 0),
            StoredKey("pending-0001", "access", "EdDSA", "pending", b"2", 0),
        ]
        assert kids(await store.keys.add_first(pair)) == kids(pair)

    async def test_of_eight_at_once_one_wins_and_all_get_its_set(
        self, stores: Stores, database: str
    ) -> None:
        eight = [await stores(database) for _ in range(8)]
        found = await at_once(
            one.keys.add_first(keys_of(f"maker{number}")) for number, one in enumerate(eight)
        )
        assert all(one == found[0] for one in found)
        assert len({key.kid.partition("-")[0] for key in found[0]}) == 1
        assert {key.ring for key in found[0]} == set(RINGS)
