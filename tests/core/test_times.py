"""Moments, as people and programs write them."""

import pytest

from authward.core.times import iso_time, milliseconds, next_second


@pytest.mark.parametrize(
    ("text", "at"),
    [
        ("1970-01-01T00:00:00Z", 0),
        ("1970-01-01T00:00:01.500Z", 1500),
        ("1970-01-01T02:00:00+02:00", 0),
        ("1969-12-31T23:59:59Z", -1000),
        ("2026-11-23T08:00:00.123456+00:00", 1_795_420_800_123),
        ("0001-01-01T00:00:00+14:00", -62_135_647_200_000),
    ],
)
def test_a_time_with_its_zone_is_a_moment(text: str, at: int) -> None:
    assert milliseconds(text) == at


@pytest.mark.parametrize("text", ["", "now", "2026-11-23T08:00:00", "2026-11-23", "2h", "1", "\0"])
def test_anything_else_is_none(text: str) -> None:
    assert milliseconds(text) is None


def test_time_is_utc_to_the_millisecond() -> None:
    assert iso_time(1_795_420_800_007) == "2026-11-23T08:00:00.007Z"
    assert iso_time(0) == "1970-01-01T00:00:00.000Z"
    assert iso_time(1_795_420_800_999) == "2026-11-23T08:00:00.999Z"
    assert iso_time(-1) == "1969-12-31T23:59:59.999Z"
    assert iso_time(-62_135_596_800_000) == "0001-01-01T00:00:00.000Z"


@pytest.mark.parametrize("beyond", [1, 1000, 2**60, 2**63 - 1])
def test_a_time_that_no_calendar_has_is_the_nearest_one(beyond: int) -> None:
    """As somebody may have put it into a database: it must not keep others from reading."""
    assert iso_time(253_402_300_799_999 + beyond) == "9999-12-31T23:59:59.999Z"
    assert iso_time(-62_135_596_800_000 - beyond) == "0001-01-01T00:00:00.000Z"


@pytest.mark.parametrize(("at", "second"), [(0, 1000), (1, 1000), (999, 1000), (1000, 2000)])
def test_the_next_second_is_after_what_was(at: int, second: int) -> None:
    assert next_second(at) == second
