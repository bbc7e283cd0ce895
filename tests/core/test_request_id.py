"""Request ids: unique, cheap, and those of others only if they can do no harm."""

import re
from collections.abc import Callable

import pytest

from authward.core.request_id import AT_ONCE, ID_BYTES, RequestIds, is_header_name, taken_over


def counted() -> tuple[Callable[[int], bytes], list[int]]:
    """Bytes that never repeat, and how many were asked for each time."""
    asked: list[int] = []

    def chance(size: int) -> bytes:
        start = sum(asked)
        asked.append(size)
        blocks = range(start, start + size, ID_BYTES)
        return b"".join(number.to_bytes(ID_BYTES, "big") for number in blocks)

    return chance, asked


def test_ids_are_hexadecimal_and_none_comes_twice():
    chance, asked = counted()
    mint = RequestIds(chance)
    made = [mint() for _ in range(3 * AT_ONCE)]
    assert len(set(made)) == len(made)
    assert all(re.fullmatch("[0-9a-f]{32}", one) for one in made)
    assert asked == [ID_BYTES * AT_ONCE] * 3


def test_every_random_bit_counts():
    chance, _ = counted()
    mint = RequestIds(chance)
    everything = chance(ID_BYTES * AT_ONCE).hex()
    chance, _ = counted()
    mint = RequestIds(chance)
    assert "".join(sorted(mint() for _ in range(AT_ONCE))) == everything


def test_what_was_prepared_can_be_forgotten():
    chance, asked = counted()
    mint = RequestIds(chance)
    mint()
    mint.forget()
    mint()
    assert len(asked) == 2


@pytest.mark.parametrize(
    "value", [b"abcdefgh", b"A-Z_a.z-09", b"x" * 64, b"0123456789abcdef0123456789abcdef"]
)
def test_an_id_that_is_taken_over(value: bytes):
    assert taken_over(value) == value.decode()


@pytest.mark.parametrize(
    "value",
    [
        *(b"", b"abcdefg", b"x" * 65, b"abcdefgh\n", b"abc defgh", b"abcdefgh\x1b[31m"),
        *(b"abcd\xe9fgh", b"../../etc", b"<script>alert", b'abc"defgh', b"abcdefgh\r\nx: y"),
    ],
)
def test_an_id_that_is_not(value: bytes):
    assert taken_over(value) is None


def test_names_of_headers():
    assert is_header_name("x-request-id")
    assert not any(is_header_name(name) for name in ("", "x request", "x:", "X-Id", "x\r\n", "é"))
