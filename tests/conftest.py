"""Fixtures for every test. Databases: tests/postgres.py. Loud skips: tests/needs.py."""

import pytest

pytest_plugins = ["tests.needs", "tests.postgres", "tests.redis", "tests.fleets", "tests.groups"]


@pytest.fixture(scope="session")
def anyio_backend() -> str:
    return "asyncio"
