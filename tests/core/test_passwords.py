"""Which passwords may be set, and which hash matches which."""

import bcrypt
import pytest
from argon2 import PasswordHasher, Type
from hypothesis import given
from hypothesis import strategies as st

from authward.core.passwords import (
    ARGON2,
    HashParameters,
    bcrypt_cost,
    bcrypt_scheme,
    check_new_password,
    hash_password,
    known_scheme,
    scheme_of,
    verify_password,
)
from authward.errors import ValidationError
from tests.generating import few

SALT = bytes(16)
TODAY = HashParameters()
# The weakest rung in memory: the cheapest to test with.
LIGHT = HashParameters(7168, 5, 1)
# What an old table may hold; cheap, never made by us.
CHEAP = PasswordHasher(time_cost=1, memory_cost=8, parallelism=1)


def code(password: str, min_length: int = 8) -> str:
    with pytest.raises(ValidationError) as caught:
        check_new_password(password, min_length)
    [detail] = caught.value.details
    assert detail.field == "password"
    return detail.code


@pytest.mark.parametrize("one", ["a", "é", "🐎", "\u0301"])
def test_length_counts_in_code_points(one: str):
    check_new_password(one * 8, 8)
    check_new_password(one * 256, 8)
    assert code(one * 7) == "too_short"
    assert code(one * 257) == "too_long"


def test_the_least_length_is_a_setting_and_said():
    check_new_password("x" * 12, 12)
    with pytest.raises(ValidationError) as caught:
        check_new_password("x" * 11, 12, "newPassword")
    [detail] = caught.value.details
    assert detail.field == "newPassword"
    assert "12" in detail.message


def test_nothing_is_composed_or_trimmed():
    for password in ("        ", "aaaaaaaa", " leading and trailing ", "パスワードです。"):
        check_new_password(password, 8)


def test_what_was_hashed_is_verified_and_current():
    hashed = hash_password("correct horse", SALT, TODAY)
    assert hashed.startswith("$argon2id$v=19$m=19456,t=2,p=1$")
    verdict = verify_password(hashed, "correct horse", TODAY)
    assert (verdict.ok, verdict.outdated) == (True, False)
    assert not verify_password(hashed, "correct horsf", TODAY).ok


@pytest.mark.parametrize(
    "close",
    [
        "Pässword1 ",
        " Pässword1",
        "pässword1",
        "Pa\u0308ssword1",
        "Pässword",
        "Pässword1\0",
        "Pässword1\n",
        "Password1",
    ],
)
def test_a_password_is_verified_exactly_as_received(close: str):
    assert not verify_password(hash_password("Pässword1", SALT, LIGHT), close, LIGHT).ok


def test_every_other_parameter_is_outdated():
    hashed = hash_password("correct horse", SALT, LIGHT)
    assert verify_password(hashed, "correct horse", LIGHT).outdated is False
    for other in (TODAY, HashParameters(7169, 5), HashParameters(7168, 6), HashParameters(9216, 5)):
        assert verify_password(hashed, "correct horse", other).outdated is True
    wide = hash_password("correct horse", SALT, HashParameters(7168, 5, 2))
    assert verify_password(wide, "correct horse", LIGHT).outdated is True


def test_an_older_version_of_argon2_is_outdated():
    hashed = CHEAP.hash("correct horse")
    verdict = verify_password(hashed, "correct horse", LIGHT)
    assert (verdict.ok, verdict.outdated) == (True, True)
    v16 = "$argon2id$v=16$m=256,t=2,p=1$c29tZXNhbHQ$"
    assert known_scheme(v16 + "n" * 43)


@pytest.mark.parametrize("prefix", ["$2a$", "$2b$", "$2y$"])
def test_bcrypt_is_verified_and_always_outdated(prefix: str):
    hashed = bcrypt.hashpw(b"correct horse", bcrypt.gensalt(4)).decode().replace("$2b$", prefix)
    assert known_scheme(hashed)
    verdict = verify_password(hashed, "correct horse", TODAY)
    assert (verdict.ok, verdict.outdated) == (True, True)
    assert not verify_password(hashed, "correct horsf", TODAY).ok


def test_what_a_hash_costs():
    for prefix in ("$2a$", "$2b$", "$2y$"):
        assert scheme_of(BCRYPT.replace("$2b$", prefix)) == bcrypt_scheme(4) == "$2b$04$"
    assert scheme_of(BCRYPT.replace("$04$", "$17$")) == "$2b$17$"
    assert scheme_of(ARGON) == ARGON2
    assert (bcrypt_cost(BCRYPT), bcrypt_cost(ARGON), bcrypt_cost("$2b$10$")) == (4, None, None)
    for hashed in UNREADABLE.values():
        assert scheme_of(hashed) is None


BCRYPT = bcrypt.hashpw(b"password", bcrypt.gensalt(4)).decode()
ARGON = CHEAP.hash("password")
UNREADABLE = {
    "empty": "",
    "clear text": "password",
    "md5": "5f4dcc3b5aa765d61d8327deb882cf99",
    "sha512-crypt": "$6$salt$" + "a" * 86,
    "bcrypt of PHP's bug": BCRYPT.replace("$2b$", "$2x$"),
    "bcrypt without variant": BCRYPT.replace("$2b$", "$2$"),
    "bcrypt cut": BCRYPT[:-1],
    "bcrypt longer": BCRYPT + "a",
    "bcrypt with newline": BCRYPT + "\n",
    "bcrypt cost 3": BCRYPT.replace("$04$", "$03$"),
    "bcrypt cost 18": BCRYPT.replace("$04$", "$18$"),
    "bcrypt cost 31": BCRYPT.replace("$04$", "$31$"),
    "bcrypt cost in Arabic": BCRYPT.replace("$04$", "$٠٤$"),
    "bcrypt alphabet": BCRYPT[:-5] + "!@#%^",
    "bcrypt not ASCII": BCRYPT[:-1] + "é",
    "argon2i": PasswordHasher(1, 8, 1, type=Type.I).hash("password"),
    "argon2d": PasswordHasher(1, 8, 1, type=Type.D).hash("password"),
    "argon2id cut": ARGON.rpartition("$")[0],
    "argon2id upper": ARGON.replace("argon2id", "ARGON2ID"),
    "argon2id no numbers": ARGON.replace("m=8", "m=many"),
    "argon2id 4 TiB": ARGON.replace("m=8", "m=4294967295"),
    "argon2id for years": ARGON.replace("t=1", "t=4294967295"),
    "argon2id wide": ARGON.replace("p=1", "p=17").replace("m=8", "m=1024"),
}


@pytest.mark.parametrize("hashed", UNREADABLE.values(), ids=UNREADABLE.keys())
def test_an_unreadable_or_unbearable_hash_matches_nothing_and_costs_nothing(hashed: str):
    assert not known_scheme(hashed)
    assert not verify_password(hashed, "password", TODAY).ok


@pytest.mark.parametrize(
    "hashed",
    [
        ARGON[:-1],
        ARGON[:-4] + "é" * 4,
        ARGON[:-4] + "!!!!",
        "$2b$04$" + "a" * 53,  # a salt whose last bits cannot be
    ],
    ids=["cut digest", "digest not ASCII", "digest not base64", "salt that cannot be"],
)
def test_a_hash_broken_inside_matches_nothing(hashed: str):
    assert not verify_password(hashed, "password", TODAY).ok


@few
@given(st.text(max_size=60))
def test_any_text_for_a_hash_is_no_match_and_no_crash(hashed: str):
    assert not verify_password(hashed, "password", TODAY).ok
    assert not known_scheme(hashed)


@few
@given(st.text(st.characters(), max_size=40))
def test_any_text_for_a_password_is_an_answer(password: str):
    for hashed in (BCRYPT, ARGON):
        assert verify_password(hashed, password, TODAY).ok is (password == "password")
