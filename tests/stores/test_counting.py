"""The decision, keys and remembered refusals, with plain values."""

from collections.abc import Sequence

import pytest

from authward.core.limits import Decision, Limit, SlidingWindows
from authward.stores.counting import Refusals, check_cost, decide, stored_key, window_ms

LIMIT = Limit(3, 10)


class TestDecide:
    def test_the_first_takes_a_place(self) -> None:
        assert decide((), 5000, LIMIT, 1) == (Decision(True, LIMIT, 2, 10), [5000])

    def test_a_place_counts_until_a_window_later_and_no_longer(self) -> None:
        full = (1000, 2000, 3000)
        assert decide(full, 10_999, LIMIT, 1) == (Decision(False, LIMIT, 0, 0.001), full)
        decision, taken = decide(full, 11_000, LIMIT, 1)
        assert decision == (True, LIMIT, 0, 1)
        assert taken == [2000, 3000, 11_000]

    def test_a_cost_waits_for_as_many_as_it_lacks(self) -> None:
        assert decide((1000, 2000), 4000, LIMIT, 2)[0] == (False, LIMIT, 1, 7)
        assert decide((1000, 2000), 4000, LIMIT, 3)[0] == (False, LIMIT, 1, 8)

    def test_time_that_runs_backwards_stands_still(self) -> None:
        decision, taken = decide((9000,), 1000, LIMIT, 1)
        assert decision == (True, LIMIT, 1, 10)
        assert taken == [9000, 9000]
        assert decide((9000, 9000, 9000), 0, LIMIT, 1)[0] == (False, LIMIT, 0, 10)

    def test_a_limit_that_was_lowered_leaves_no_room_but_never_less_than_none(self) -> None:
        full = (1000, 2000, 3000, 4000, 5000)
        assert decide(full, 5000, LIMIT, 1)[0] == (False, LIMIT, 0, 8)
        assert decide(full, 5000, LIMIT, 3)[0] == (False, LIMIT, 0, 10)

    def test_a_window_of_no_whole_milliseconds_is_none_too_short(self) -> None:
        odd = Limit(1, 1.0001)
        assert window_ms(odd) == 1001
        assert decide((0,), 0, odd, 1)[0].reset == 1.0001
        assert window_ms(Limit(1, 1.001)) == 1001

    def test_is_that_of_memory(self) -> None:
        limit = Limit(4, 20)
        model = SlidingWindows(limit)
        places: Sequence[int] = ()
        now = 0
        for turn, cost in [(0, 1), (3, 2), (9, 2), (9, 1), (1, 3), (25, 4)] * 9:
            now += turn * 1000
            decision, places = decide(places, now, limit, cost)
            meant = model.take("key", now / 1000, cost)
            assert decision[:3] == meant[:3]
            assert decision.reset == pytest.approx(meant.reset)


class TestKeys:
    @pytest.mark.parametrize("key", ["", "login 203.0.113.9", "login 2001:db8::/56", "x" * 193])
    def test_a_plain_one_stays_itself(self, key: str) -> None:
        assert stored_key(key, LIMIT) == f"3/10.0 {key}"

    @pytest.mark.parametrize("key", ["x" * 194, "a\0", "é", "\ud800", "a\n"])
    def test_any_other_is_hashed(self, key: str) -> None:
        found = stored_key(key, LIMIT)
        assert found.startswith("sha256:")
        assert len(found) == 71
        assert stored_key(key, LIMIT) == found
        assert stored_key(key + "x", LIMIT) != found

    def test_one_that_looks_like_a_hash_meets_none(self) -> None:
        found = stored_key("x" * 300, LIMIT)
        assert stored_key(found, LIMIT) != found

    @pytest.mark.parametrize("key", ["a", "é"])
    def test_each_limit_has_its_own(self, key: str) -> None:
        limits = [Limit(5, 900), Limit(50, 900), Limit(5, 1), Limit(5, 1.0001), Limit(5, 1.001)]
        assert len({stored_key(key, one) for one in limits}) == len(limits)
        assert stored_key(key, Limit(5, 900)) == stored_key(key, Limit(5, 900.0))


@pytest.mark.parametrize("cost", [1, 3])
def test_a_cost_that_fits(cost: int) -> None:
    check_cost(cost, LIMIT)


@pytest.mark.parametrize("cost", [-1, 0, 4])
def test_a_cost_that_never_fits(cost: int) -> None:
    with pytest.raises(ValueError, match=f"a cost of {cost} under a limit of 3"):
        check_cost(cost, LIMIT)


class TestRefusals:
    def refused(self, reset: float = 10, remaining: int = 0) -> Decision:
        return Decision(False, LIMIT, remaining, reset)

    def test_one_holds_until_there_is_room(self) -> None:
        kept = Refusals()
        assert kept.find("a", 1, 100) is None
        kept.note("a", self.refused(reset=8), 1, 100)
        assert kept.find("a", 1, 103) == (False, LIMIT, 0, 5)
        assert kept.find("b", 1, 103) is None
        assert kept.find("a", 1, 108) is None
        assert len(kept) == 0

    def test_one_is_for_its_cost(self) -> None:
        kept = Refusals()
        kept.note("a", self.refused(remaining=1), 2, 100)
        assert kept.find("a", 2, 100) == (False, LIMIT, 1, 10)
        assert kept.find("a", 1, 100) is None
        assert kept.find("a", 3, 100) is None  # which waits for longer

    def test_the_oldest_makes_room(self) -> None:
        kept = Refusals(most=2)
        for key in ("a", "b", "a", "c"):
            kept.note(key, self.refused(), 1, 100)
        assert len(kept) == 2
        assert [key for key in "abc" if kept.find(key, 1, 100)] == ["a", "c"]
