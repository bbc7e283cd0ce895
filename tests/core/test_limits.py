"""Limits: exact in any window, bounded in memory, told in headers."""

import gc
import math
import sys
import threading
import tracemalloc
from collections import defaultdict
from dataclasses import FrozenInstanceError
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from authward.core.limits import (
    EVERYONE,
    Decision,
    Limit,
    SlidingWindows,
    limit_headers,
    retry_after,
)
from tests.generating import many

W = 900.0


def windows(most: int, window: float = W, **options: Any) -> SlidingWindows:
    return SlidingWindows(Limit(most, window), **options)


def allowed(table: SlidingWindows, key: str, now: float, times: int) -> int:
    return sum(table.take(key, now).allowed for _ in range(times))


# --- limits -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "most", "window"),
    [
        ("100/15m", 100, 900),
        ("1/1s", 1, 1),
        ("1/1000ms", 1, 1),
        ("3/1500ms", 3, 1.5),
        (" 5/2H ", 5, 7200),
        ("10000/31d", 10_000, 31 * 86_400),
        ("7/4w", 7, 28 * 86_400),
    ],
)
def test_a_limit_as_text(text: str, most: int, window: float):
    limit = Limit.parse(text)
    assert limit == Limit(most, window)
    assert limit is not None
    assert (limit.most, limit.window) == (most, window)


def test_off_is_no_limit():
    assert Limit.parse("off") is None
    assert Limit.parse(" OFF ") is None


@pytest.mark.parametrize(
    "text",
    [
        "",
        "100",
        "100/",
        "/15m",
        "100/15",
        "100/15y",
        "1 per 15m",
        "-1/1m",
        "1.5/1m",
        "٣/1m",
        "1/1m;",
    ],
)
def test_what_is_no_limit_says_how_to_write_one(text: str):
    with pytest.raises(ValueError, match="Write it like '100/15m', or 'off'"):
        Limit.parse(text)


@pytest.mark.parametrize("text", ["0/15m", "10001/15m"])
def test_too_few_or_too_many(text: str):
    with pytest.raises(ValueError, match="Take 1 to 10000, or 'off'"):
        Limit.parse(text)


@pytest.mark.parametrize("text", ["1/999ms", "1/0s", "1/32d", "1/5w"])
def test_too_short_or_too_long(text: str):
    with pytest.raises(ValueError, match="Take 1 second to 31 days"):
        Limit.parse(text)


def test_no_window_that_is_no_number():
    for window in (math.nan, math.inf, -1.0):
        with pytest.raises(ValueError, match="a window of"):
            Limit(1, window)


def test_a_limit_does_not_change():
    with pytest.raises(FrozenInstanceError):
        Limit(1, 1).most = 2  # type: ignore[misc]
    assert repr(Limit(1, 60.0)) == "Limit(most=1, window=60.0)"
    assert len({Limit(1, 60.0), Limit(1, 60.0)}) == 1


# --- decisions ----------------------------------------------------------------------------------


def test_places_are_counted_down_and_the_next_is_refused():
    table = windows(3)
    limit = table.limit
    assert table.take("a", 10) == Decision(True, limit, 2, W)
    assert table.take("a", 20) == Decision(True, limit, 1, W - 10)
    assert table.take("a", 30) == Decision(True, limit, 0, W - 20)
    assert table.take("a", 40) == Decision(False, limit, 0, W - 30)
    assert isinstance(table.take("a", 50), Decision)


def test_a_place_is_free_again_exactly_one_window_later():
    table = windows(2)
    table.take("a", 100)
    table.take("a", 200)
    just_before = math.nextafter(100 + W, 0)
    refused = table.take("a", just_before)
    assert not refused.allowed
    assert 0 < refused.reset < 1e-9
    assert table.take("a", 100 + W) == Decision(True, table.limit, 0, 100.0)
    assert not table.take("a", 100 + W).allowed
    assert table.take("a", 200 + W).allowed


def test_one_request_a_window():
    table = windows(1)
    assert table.take("a", 0) == Decision(True, table.limit, 0, W)
    assert table.take("a", 1) == Decision(False, table.limit, 0, W - 1)
    assert not table.take("a", math.nextafter(W, 0)).allowed
    assert table.take("a", W) == Decision(True, table.limit, 0, W)
    assert not table.take("a", W + 1).allowed


def test_a_refused_request_takes_no_place():
    table = windows(1)
    table.take("a", 0)
    assert allowed(table, "a", W - 1, 1000) == 0
    assert table.take("a", W).allowed


def test_clients_do_not_count_for_each_other():
    table = windows(2)
    assert allowed(table, "a", 0, 5) == 2
    assert allowed(table, "b", 0, 5) == 2


@pytest.mark.parametrize("now", [1845.942858449817, 746.6090214377626, 8092.2641458164935])
def test_the_reset_is_never_more_than_the_window(now: float):
    """In floats `now + 900 - now` may be a little more than 900, and would be told as 901."""
    assert now + W - now > W
    table = windows(3)
    answers = [table.take("a", now) for _ in range(4)]
    answers += [table.take("b", now, 2), table.take("b", now, 2)]
    assert [one.allowed for one in answers] == [True, True, True, False, True, False]
    assert [(one.reset, retry_after(one)) for one in answers] == [(W, 900)] * 6


def test_many_at_once_and_no_more():
    table = windows(10_000, 60)
    assert allowed(table, "a", 5, 12_000) == 10_000
    assert allowed(table, "a", 64.5, 10) == 0
    assert allowed(table, "a", 65, 12_000) == 10_000


def test_a_long_run_keeps_the_rate_and_the_memory():
    """A place moves on as time does, and what is dead does not pile up."""
    table = windows(100)
    assert sum(table.take("a", second).allowed for second in range(20_000)) == 100 * 22 + 100
    kept: Any = table._table["a"]
    assert len(kept) <= 134


# --- costs --------------------------------------------------------------------------------------


def test_a_cost_takes_that_many_places_or_none():
    table = windows(5)
    assert table.take("a", 0, 3) == Decision(True, table.limit, 2, W)
    assert table.take("a", 10, 3) == Decision(False, table.limit, 2, W - 10)
    assert table.take("a", 10, 2) == Decision(True, table.limit, 0, W - 10)
    assert not table.take("a", 10, 1).allowed


def test_the_wait_is_until_all_of_it_fits():
    table = windows(3)
    for now in (0, 10, 20):
        table.take("a", now)
    assert [table.take("a", 30, cost).reset for cost in (1, 2, 3)] == [W - 30, W - 20, W - 10]
    assert not table.take("a", W + 10 - 0.5, 2).allowed
    assert table.take("a", W + 10, 2).allowed


def test_a_cost_after_a_first_request():
    table = windows(3)
    table.take("a", 0)
    assert table.take("a", 5, 3) == Decision(False, table.limit, 2, W - 5)
    assert table.take("a", 5, 2) == Decision(True, table.limit, 0, W - 5)


@pytest.mark.parametrize("cost", [0, -1, 4])
@pytest.mark.parametrize("before", [0, 1, 2, 3])
def test_a_cost_that_can_never_fit(cost: int, before: int):
    table = windows(3)
    allowed(table, "a", 0, before)
    with pytest.raises(ValueError, match=f"a cost of {cost} under a limit of 3"):
        table.take("a", 0, cost)
    assert allowed(table, "a", 0, 5) == 3 - before


# --- time ---------------------------------------------------------------------------------------


def test_time_that_runs_backwards_opens_nothing():
    table = windows(2, 60)
    assert allowed(table, "a", 1000, 3) == 2
    assert allowed(table, "a", 0, 3) == 0
    assert allowed(table, "b", 0, 3) == 2
    # b was counted at 1000, as time stood still.
    assert allowed(table, "b", 1059, 3) == 0
    assert allowed(table, "b", 1060, 3) == 2


def test_nothing_forgotten_is_counted_again_when_time_comes_back():
    table = windows(1, 60)
    table.take("a", 0)
    assert table.take("a", 60).allowed
    assert not table.take("a", 59).allowed
    assert not table.take("a", 1).allowed


def test_whole_numbers_are_times_too():
    table = windows(1, 60)
    assert table.take("a", 0).allowed
    assert not table.take("a", 59).allowed
    assert table.take("a", 60).allowed


# --- giving back --------------------------------------------------------------------------------


def test_what_is_given_back_is_free_again():
    table = windows(2)
    table.take("a", 0)
    table.take("a", 10)
    table.give_back("a", 10)
    assert table.take("a", 20) == Decision(True, table.limit, 0, W - 20)
    assert not table.take("a", 20).allowed


def test_the_only_place_given_back_leaves_nothing():
    table = windows(2)
    table.take("a", 0)
    table.give_back("a", 0)
    assert len(table) == 0
    table.take("a", 1, 2)
    table.give_back("a", 1, 2)
    assert len(table) == 0
    assert allowed(table, "a", 2, 3) == 2


def test_a_later_place_is_not_given_back_for_an_earlier_one():
    table = windows(1)
    table.take("a", 0)
    table.take("a", W)
    table.give_back("a", 0)
    table.give_back("a", 0)
    assert not table.take("a", W + 1).allowed


def test_all_of_a_cost_is_given_back():
    table = windows(4)
    table.take("a", 0)
    table.take("a", 1, 3)
    table.give_back("a", 1, 3)
    assert table.take("a", 2).remaining == 2


def test_a_stranger_gives_nothing_back():
    table = windows(1)
    table.take("a", 0)
    table.give_back("b", 0)
    assert not table.take("a", 1).allowed


def test_what_was_taken_while_time_stood_still_frees_nothing_later():
    table = windows(1)
    table.take("a", 100)
    table.take("b", 50)  # counted at 100
    table.give_back("b", 50)
    assert not table.take("b", 100).allowed


# --- memory -------------------------------------------------------------------------------------


def test_a_client_of_one_request_takes_little():
    clients = 200_000
    keys = [f"203.{n >> 16}.{n >> 8 & 255}.{n & 255}" for n in range(clients)]
    gc.collect()
    tracemalloc.start()
    try:
        table = windows(100, most_keys=2 * clients)
        for key in keys:
            table.take(f"{key}", 1.5)
        size, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert len(table) == clients
    # The keys were there before.
    assert size / clients + sys.getsizeof(max(keys, key=len)) <= 250


def test_a_busy_client_takes_ten_bytes_a_request():
    gc.collect()
    tracemalloc.start()
    try:
        table = windows(100)
        for key in ("a", "b", "c", "d", "e", "f", "g", "h", "i", "j"):
            allowed(table, key, 0, 100)
        size, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert size / 10 <= 1300


@pytest.mark.parametrize("most_keys", [1, 0, -1])
def test_too_few_keys(most_keys: int):
    with pytest.raises(ValueError, match=f"most_keys: {most_keys} is too few. Take 2 or more"):
        windows(1, most_keys=most_keys)


@pytest.mark.parametrize("most_keys", [2, 3, 16, 40, 100])
def test_no_more_entries_than_it_says(most_keys: int):
    table = windows(2, most_keys=most_keys)
    for n in range(300):
        for key in (f"10.{n}.0.1", f"2001:db8:{n:x}::/56", f"id:{n}"):
            table.take(key, n / 100)
            assert len(table) <= most_keys


def test_the_idle_are_forgotten_and_the_counted_are_not():
    table = windows(1, 60, most_keys=12)  # eleven of their own
    for n in range(11):
        table.take(f"10.0.{n}.1", n)
    assert len(table) == 11
    # Three are idle: what comes has a place of its own, and theirs.
    assert table.take("192.0.2.1", 62.5).allowed
    assert len(table) == 10
    assert table.take("192.0.3.1", 62.5).allowed
    for n in range(3, 11):
        assert not table.take(f"10.0.{n}.1", 62.5).allowed


def test_who_was_counted_last_is_forgotten_last():
    table = windows(5, 60, most_keys=4)  # three of their own
    for now, key in enumerate(("a", "b", "c")):
        table.take(key, now)
    steps = ("a", 10), ("b", 20), ("a", 50)
    assert [table.take(key, now).remaining for key, now in steps] == [3, 3, 2]
    # At 82 nothing of b and c is counted; only the third newcomer has to share.
    assert [table.take(key, 82).remaining for key in ("d", "e", "f", "g")] == [4, 4, 4, 3]
    assert table.take("a", 82).remaining == 3


def full(most: int, most_keys: int, window: float = 60) -> SlidingWindows:
    """A table without a place for anybody new, until `window`."""
    table = windows(most, window, most_keys=most_keys)
    for n in range(most_keys - max(1, most_keys // 16)):
        assert table.take(f"198.51.{n}.1", 0).remaining == most - 1
    return table


def test_a_full_table_counts_neighbours_together():
    table = full(3, 64)  # sixty, and four buckets: one of them everyone's
    one, two, other = "203.0.113.1", "203.0.113.2", "203.0.114.1"
    assert [table.take(key, 1).remaining for key in (one, two, other)] == [2, 1, 2]
    assert table.take(two, 1).allowed
    assert not table.take(one, 1).allowed
    assert not table.take("203.0.113.77", 1).allowed
    assert table.take(other, 1).remaining == 1
    six = ("2001:db8:1200:100::/56", "2001:db8:12ff:200::/56", "2001:db8:1300::/56")
    assert [table.take(key, 1).remaining for key in six] == [2, 1, 2]
    # Those who were there before are counted as before.
    assert table.take("198.51.0.1", 1).remaining == 1
    assert len(table) == 64


def test_a_key_that_is_no_address_shares_by_its_hash():
    table = full(1000, 320)
    left = [table.take(f"id:{n}", 1).remaining for n in range(600)]
    assert len(table) <= 320
    assert min(left) < 999
    assert len([one for one in left if one == 999]) <= 20


def test_when_no_bucket_is_left_all_share_one():
    table = full(3, 64)
    for n in range(3):
        table.take(f"203.0.{n}.1", 1)
    left = [table.take(f"192.0.{n}.1", 1) for n in range(5)]
    assert [one.allowed for one in left] == [True, True, True, False, False]
    assert len(table) == 64
    assert EVERYONE in table._shared
    # Their neighbours' bucket, which was begun before, still is theirs.
    assert table.take("203.0.1.9", 1).remaining == 1


def test_the_smallest_table_has_everyone_share():
    table = windows(2, 60, most_keys=2)
    table.take("a", 0)
    assert [table.take(key, 0).allowed for key in ("b", "c", "d")] == [True, True, False]
    assert table.take("a", 0).allowed


def test_room_again_gives_nobody_a_second_limit():
    """Counted in a bucket, then alone: the bucket's places still count."""
    table = full(3, 16)
    for _ in range(2):
        assert table.take("203.0.113.1", 59).allowed
    # At 60 the others are idle: there is room, but the bucket goes on until 119.
    assert table.take("203.0.113.1", 61) == Decision(True, table.limit, 0, 58.0)
    assert table.take("203.0.113.1", 61) == Decision(False, table.limit, 0, 58.0)
    assert not table.take("203.0.113.1", 118).allowed
    assert table.take("203.0.113.1", 119).remaining == 1
    assert table.take("203.0.113.1", 120.5).remaining == 0
    assert table.take("203.0.113.1", 121).remaining == 0


def test_a_bucket_is_given_up_when_there_is_room():
    """A bucket that newcomers went on to fill would never be empty: all would share it for good."""
    table = full(3, 16)
    for n in range(10):
        table.take(f"203.0.{n}.1", 59)
    strangers = [f"192.0.{n}.1" for n in range(8)]
    assert not any(table.take(key, 61 + n).allowed for n, key in enumerate(strangers))
    assert [table.take(key, 119).remaining for key in strangers] == [2] * 8


def test_an_heir_waits_until_all_of_it_fits():
    table = full(4, 16)
    table.take("203.0.113.1", 50, 2)
    table.take("203.0.113.9", 55)
    # In the bucket until 110, 110 and 115.
    assert table.take("203.0.113.1", 61).remaining == 0
    assert [table.take("203.0.113.1", 62, cost).reset for cost in (1, 2, 3, 4)] == [48, 48, 53, 59]
    assert table.take("203.0.113.1", 110).remaining == 1


def test_an_heir_counts_what_is_put_into_its_bucket_later():
    table = full(2, 16)
    table.take("203.0.113.1", 59)
    assert table.take("203.0.113.1", 61).allowed
    for n in range(14):  # and the table is full again
        table.take(f"192.0.{n}.1", 61.5)
    assert len(table._table) == 15
    table.take("203.0.113.2", 62)
    refused = table.take("203.0.113.1", 62)
    assert (refused.allowed, refused.remaining) == (False, 0)


def test_an_heir_gives_its_own_back():
    table = full(2, 16)
    table.take("203.0.113.1", 59)
    assert table.take("203.0.113.1", 61).allowed
    table.give_back("203.0.113.1", 61)
    assert table.take("203.0.113.1", 62).allowed
    assert not table.take("203.0.113.1", 62).allowed


def test_what_was_taken_from_a_bucket_goes_back_there():
    table = full(1, 16)
    assert table.take("203.0.113.1", 1).allowed
    assert not table.take("203.0.113.2", 2).allowed
    table.give_back("203.0.113.1", 1)
    assert len(table) == 15
    assert table.take("203.0.113.2", 2).allowed


def test_idle_buckets_are_forgotten():
    table = full(2, 64)
    for n in range(3):
        table.take(f"203.0.{n}.1", n)
    for n in range(60):  # the old ones stay busy
        table.take(f"198.51.{n}.1", 50)
    assert len(table._shared) == 3
    assert table.take("192.0.2.1", 61.5).remaining == 1
    assert "192.0.2.0/24" in table._shared
    assert len(table._shared) == 2


def test_a_bucket_that_is_idle_is_used_again():
    table = full(2, 64)
    for n in range(3):
        table.take(f"203.0.{n}.1", n + 1)
    for n in range(60):
        table.take(f"198.51.{n}.1", 50)
    # Two of the three that are idle are forgotten; this is the third.
    assert [table.take("203.0.2.1", 64).remaining for _ in range(2)] == [1, 0]
    assert not table.take("203.0.2.1", 64).allowed
    assert len(table._shared) == 1


# --- in any window ------------------------------------------------------------------------------

KEYS = st.sampled_from(
    (
        *("203.0.113.1", "203.0.113.2", "203.0.114.1", "192.0.2.1", "198.51.100.1"),
        *("2001:db8:1200:100::/56", "2001:db8:12ff::/56", "id:1", "id:2", "id:3"),
    )
)
# Steps of time in eighths, so that floats are exact; most are short, a few a window and more.
STEPS = st.one_of(
    st.just(0), st.integers(0, 8), st.sampled_from([39, 40, 41, 79, 80, 81]), st.integers(-400, 400)
)
REQUESTS = st.lists(st.tuples(KEYS, STEPS, st.integers(1, 3)), max_size=120)


class Naive:
    """A list for each key of when its places were taken, and time that never runs back."""

    def __init__(self, limit: Limit) -> None:
        self.limit = limit
        self.taken: dict[str, list[float]] = defaultdict(list)
        self.now = -math.inf

    def left(self, key: str, now: float) -> int:
        self.now = max(now, self.now)
        counted = [one for one in self.taken[key] if self.now - one < self.limit.window]
        return self.limit.most - len(counted)

    def take(self, key: str, cost: int) -> None:
        self.taken[key] += [self.now] * cost


@many
@given(REQUESTS, st.integers(3, 6))
@example([("id:1", 0, 1)] * 7 + [("id:1", 40, 1)], 5)
def test_as_many_as_a_naive_list_allows(requests: list[tuple[str, int, int]], most: int):
    table = windows(most, 5)
    naive = Naive(table.limit)
    now = 0.0
    for key, step, cost in requests:
        now += step / 8
        left = naive.left(key, now)
        decision = table.take(key, now, cost)
        assert decision.allowed == (cost <= left)
        if decision.allowed:
            naive.take(key, cost)
        assert decision.remaining == left - (cost if decision.allowed else 0)
        assert 0 < decision.reset <= 5


@many
@given(REQUESTS, st.integers(3, 6), st.integers(2, 20), st.data())
def test_never_more_in_any_window_however_small_the_table(
    requests: list[tuple[str, int, int]], most: int, most_keys: int, data: st.DataObject
):
    table = windows(most, 5, most_keys=most_keys)
    naive = Naive(table.limit)
    now = 0.0
    for key, step, cost in requests:
        now += step / 8
        left = naive.left(key, now)
        if table.take(key, now, cost).allowed:
            assert cost <= left
            naive.take(key, cost)
            if data.draw(st.integers(0, 4)) == 0:
                table.give_back(key, now, cost)
                if now == naive.now:
                    del naive.taken[key][-cost:]
        assert len(table) <= most_keys


@pytest.mark.parametrize("cost", [1, 2])
@pytest.mark.parametrize("before", [0, 1, 4])
def test_twenty_threads_at_once_get_as_many_as_there_are(cost: int, before: int):
    keys = [f"203.0.113.{n}" for n in range(150)]
    table = windows(20, 60)
    for key in keys:
        allowed(table, key, 0, before)
    start = threading.Barrier(20)
    counts: list[list[int]] = []

    def storm() -> None:
        start.wait()
        counts.append([sum(table.take(key, 1, cost).allowed for _ in range(2)) for key in keys])

    switching = sys.getswitchinterval()
    sys.setswitchinterval(1e-7)
    try:
        threads = [threading.Thread(target=storm) for _ in range(20)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    finally:
        sys.setswitchinterval(switching)
    assert len(counts) == 20
    assert {sum(each) for each in zip(*counts, strict=True)} == {(20 - before) // cost}


# --- headers ------------------------------------------------------------------------------------


def test_draft_6_is_what_express_rate_limit_sends():
    decision = Decision(True, Limit(100, 900), 42, 120.25)
    assert limit_headers(decision, "draft-6") == (
        (b"ratelimit-policy", b"100;w=900"),
        (b"ratelimit-limit", b"100"),
        (b"ratelimit-remaining", b"42"),
        (b"ratelimit-reset", b"121"),
    )


def test_draft_11_is_two_structured_fields():
    decision = Decision(False, Limit(5, 1.5), 0, 1.0)
    assert limit_headers(decision, "draft-11", b"sign-in") == (
        (b"ratelimit-policy", b'"sign-in";q=5;w=2'),
        (b"ratelimit", b'"sign-in";r=0;t=1'),
    )
    assert limit_headers(decision, "draft-11")[1] == (b"ratelimit", b'"default";r=0;t=1')


@pytest.mark.parametrize("number", [0, 1, 1023, 1024, 9999])
def test_numbers_of_any_size(number: int):
    decision = Decision(True, Limit(10_000, 86_400), number, float(number))
    headers = dict(limit_headers(decision, "draft-6"))
    assert headers[b"ratelimit-remaining"] == headers[b"ratelimit-reset"] == b"%d" % number


@pytest.mark.parametrize(("reset", "seconds"), [(1e-9, 1), (1.0, 1), (1.01, 2), (900.0, 900)])
def test_a_wait_is_rounded_up(reset: float, seconds: int):
    assert retry_after(Decision(False, Limit(5, 900), 0, reset)) == seconds
