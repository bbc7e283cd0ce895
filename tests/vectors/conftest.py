import pytest

from tests.contracts.fixtures import migrated_sqlite, sqlite_database  # noqa: F401
from tests.vectors.express import Clock


@pytest.fixture
def clock() -> Clock:
    return Clock()
