"""Two passwords that share their first 72 bytes open the same account.

ASVS 6.2.8, OWASP Password Storage Cheat Sheet (bcrypt), the truncation of bcrypt itself.
"""

import bcrypt
import pytest
from argon2 import PasswordHasher
from hypothesis import given
from hypothesis import strategies as st

from authward.core.passwords import (
    MAX_LENGTH,
    HashParameters,
    check_new_password,
    hash_password,
    verify_password,
)
from tests.generating import few

TODAY = HashParameters()
LIGHT = HashParameters(7168, 5)
SALT = bytes(range(16))


@pytest.mark.parametrize("length", range(73, 129))
def test_argon2id_tells_the_last_byte_of_long_passwords(length: int):
    one, other = "x" * (length - 1) + "a", "x" * (length - 1) + "b"
    # Today's function; the argon2 cost does not change what is read.
    hashed = PasswordHasher(time_cost=1, memory_cost=8, parallelism=1).hash(one)
    assert verify_password(hashed, one, TODAY).ok
    assert not verify_password(hashed, other, TODAY).ok
    assert not verify_password(hashed, one[:-1], TODAY).ok


def test_and_so_does_the_hash_we_make():
    one, other = "x" * 127 + "a", "x" * 127 + "b"
    hashed = hash_password(one, SALT, LIGHT)
    assert verify_password(hashed, one, LIGHT).ok
    assert not verify_password(hashed, other, LIGHT).ok
    longest = "é" * MAX_LENGTH
    assert not verify_password(hash_password(longest, SALT, LIGHT), longest[:-1] + "è", LIGHT).ok


@pytest.mark.parametrize("length", range(73, 129))
def test_bcrypt_never_matches_past_72_bytes(length: int):
    """An old table may hold the hash of a cut password: it opens for nobody's long one."""
    one, other = "x" * (length - 1) + "a", "x" * (length - 1) + "b"
    cut = bcrypt.hashpw(one.encode()[:72], bcrypt.gensalt(4)).decode()
    assert not verify_password(cut, one, TODAY).ok
    assert not verify_password(cut, other, TODAY).ok
    assert verify_password(cut, "x" * 72, TODAY).ok


def test_bytes_count_not_characters():
    hashed = bcrypt.hashpw(("é" * 36).encode(), bcrypt.gensalt(4)).decode()
    assert verify_password(hashed, "é" * 36, TODAY).ok
    assert not verify_password(hashed, "é" * 36 + "x", TODAY).ok
    assert not verify_password(hashed, "é" * 37, TODAY).ok


@few
@given(st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=40), st.integers(0))
def test_no_character_is_lost_on_the_way(password: str, at: int):
    at %= len(password)
    cheap = PasswordHasher(time_cost=1, memory_cost=8, parallelism=1)
    for other in (
        password[:at] + password[at + 1 :],
        password[:at] + password[at] + password[at:] + "\0",
        password + "\0",
        password + " ",
    ):
        assert not verify_password(cheap.hash(password), other, TODAY).ok


def test_nothing_is_trimmed_or_folded_before_it_is_judged():
    check_new_password(" " * 8, 8)
    check_new_password("x" * MAX_LENGTH, 8)
