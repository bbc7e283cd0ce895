"""Fixtures for every test. Databases: tests/postgres.py. Loud skips: tests/needs.py."""

import os

import pytest
from httpx2 import _config

from tests.unlimited import UNLIMITED

# All tests come from one address, and most are not about limits.
os.environ.update(UNLIMITED)

# A client gives up after five seconds if not told otherwise. That is no promise of ours, and a busy
# machine may take longer.
vars(_config.DEFAULT_TIMEOUT_CONFIG).update(connect=60, read=60, write=60, pool=60)

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
