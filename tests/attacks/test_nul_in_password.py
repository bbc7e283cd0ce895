"""A C string ends at NUL, and the rest of the password with it; bcrypt starts over there.

OWASP Password Storage Cheat Sheet (bcrypt and null bytes).
"""

import bcrypt
import pytest
from argon2 import PasswordHasher

from authward.core.passwords import HashParameters, check_new_password, verify_password
from authward.errors import ValidationError

TODAY = HashParameters()


def bcrypt_of(raw: bytes) -> str:
    return bcrypt.hashpw(raw, bcrypt.gensalt(4)).decode()


def argon2_of(raw: bytes) -> str:
    return PasswordHasher(time_cost=1, memory_cost=8, parallelism=1).hash(raw)


def test_argon2id_reads_past_nul():
    hashed = argon2_of(b"secret\0tail")
    assert verify_password(hashed, "secret\0tail", TODAY).ok
    for other in ("secret", "secret\0", "secret\0tale", "secret\0tail\0", ""):
        assert not verify_password(hashed, other, TODAY).ok


@pytest.mark.parametrize(
    ("one", "other"),
    [("", "\0"), ("", "\0" * 72), ("abc", "abc\0abc"), ("abc", "abc\0abc\0abc")],
    ids=ascii,
)
def test_bcrypt_takes_no_nul_for_it_cannot_tell(one: str, other: str):
    hashed = bcrypt_of(one.encode())
    assert bcrypt.checkpw(other.encode(), hashed.encode())  # what the library says
    assert verify_password(hashed, one, TODAY).ok
    assert not verify_password(hashed, other, TODAY).ok


@pytest.mark.parametrize("make", [bcrypt_of, argon2_of])
@pytest.mark.parametrize("password", ["\0", "\0" * 72, "password\0", "\0password"], ids=ascii)
def test_a_nul_opens_nothing(make, password: str):
    for raw in (b"", b"password"):
        assert not verify_password(make(raw), password, TODAY).ok


@pytest.mark.parametrize("password", ["\0" * 8, "password\0", "\ud800password"], ids=ascii)
def test_and_none_may_be_set(password: str):
    with pytest.raises(ValidationError) as caught:
        check_new_password(password, 8)
    assert caught.value.status == 422
    assert [detail.code for detail in caught.value.details] == ["not_text"]
