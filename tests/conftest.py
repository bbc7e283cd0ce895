"""Fixtures for every test. Databases: tests/postgres.py. Loud skips: tests/needs.py."""

import os

import pytest

from tests.unlimited import UNLIMITED

# All tests come from one address, and most are not about limits.
os.environ.update(UNLIMITED)

pytest_plugins = [
    "tests.needs",
    "tests.postgres",
    "tests.redis",
    "tests.fleets",
    "tests.groups",
    "tests.telling",
]


@pytest.fixture(scope="session")
def anyio_backend() -> str:
    return "asyncio"
