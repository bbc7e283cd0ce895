"""Hashing so cheap that a stolen table is read in an afternoon.

OWASP Password Storage Cheat Sheet (argon2id), ASVS 11.4.2.
"""

import pytest

from authward.core.passwords import HashParameters
from authward.errors import ConfigurationError

RUNGS = [(47104, 1), (19456, 2), (12288, 3), (9216, 4), (7168, 5)]


@pytest.mark.parametrize(("memory", "passes"), RUNGS)
def test_each_of_owasps_rungs_is_enough_and_one_step_below_is_not(memory: int, passes: int):
    HashParameters(memory, passes, 1)
    HashParameters(memory + 1, passes + 1, 4)
    for weaker in [(memory - 1, passes), (memory, passes - 1)]:
        with pytest.raises(ConfigurationError, match=r"below OWASP.*Use at least m=19456 t=2 p=1"):
            HashParameters(*weaker, 1)


@pytest.mark.parametrize(
    ("memory", "passes", "lanes"),
    [(19456, 2, 0), (19456, 2, -1), (0, 0, 1), (8, 1, 1), (7167, 1000, 1), (-(2**20), 5, 1)],
)
def test_what_is_on_no_rung_refuses_to_start(memory: int, passes: int, lanes: int):
    with pytest.raises(ConfigurationError):
        HashParameters(memory, passes, lanes)


def test_the_default_is_owasps_first_choice():
    found = HashParameters()
    assert (found.memory_cost, found.time_cost, found.parallelism) == (19456, 2, 1)
