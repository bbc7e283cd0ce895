"""Password hashing that costs nothing, where a test is not about its cost."""

import pytest

from authward.core import passwords
from authward.core.passwords import HashParameters


def cheap_parameters(memory_cost: int = 8, time_cost: int = 1) -> HashParameters:
    """argon2id far below what the program itself would take."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(passwords, "_RUNGS", ((memory_cost, time_cost),))
        return HashParameters(memory_cost, time_cost)


def make_hashing_cheap(
    patch: pytest.MonkeyPatch, memory_cost: int = 8, time_cost: int = 1
) -> HashParameters:
    """Every Authward started under `patch` hashes with these parameters."""
    parameters = cheap_parameters(memory_cost, time_cost)
    patch.setattr("authward.process.HashParameters", lambda: parameters)
    return parameters
