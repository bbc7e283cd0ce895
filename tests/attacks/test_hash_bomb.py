"""An imported hash whose cost would hold the hashing lane for days: CWE-400.

The cost is read from the hash itself, so whoever writes the table decides what a login costs.
"""

import time

import bcrypt
import pytest
from argon2 import PasswordHasher

from authward.core.passwords import HashParameters, known_scheme, verify_password

BCRYPT = bcrypt.hashpw(b"password", bcrypt.gensalt(4)).decode()
ARGON = PasswordHasher(time_cost=1, memory_cost=8, parallelism=1).hash("password")


@pytest.mark.parametrize(
    "bomb",
    [
        BCRYPT.replace("$04$", "$18$"),
        BCRYPT.replace("$04$", "$31$"),
        ARGON.replace("t=1", "t=65"),
        ARGON.replace("t=1", "t=4294967295"),
        ARGON.replace("m=8", "m=1048577"),
        ARGON.replace("m=8", "m=4294967295"),
        ARGON.replace("m=8", "m=131072").replace("p=1", "p=16384"),
    ],
    ids=["2^18", "2^31", "65 passes", "passes for years", "1 GiB and more", "4 TiB", "16384 lanes"],
)
def test_it_is_refused_unread(bomb: str):
    began = time.process_time()
    assert not known_scheme(bomb)
    assert not verify_password(bomb, "password", HashParameters()).ok
    assert time.process_time() - began < 0.05


def test_what_a_server_can_bear_is_taken():
    assert known_scheme(BCRYPT.replace("$04$", "$17$"))
    assert known_scheme(ARGON.replace("t=1", "t=64").replace("m=8", "m=1048576"))
    assert known_scheme(ARGON.replace("p=1", "p=16"))
