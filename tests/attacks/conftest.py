import pytest

from authward.core.keys import Algorithm
from tests.attacks.targets import Target, TargetOf
from tests.cli.conftest import logs_as_before  # noqa: F401
from tests.contracts.fixtures import (  # noqa: F401
    database,
    migrated_postgres,
    migrated_sqlite,
    postgres_database,
    sqlite_database,
    stores,
)
from tests.here import Serve, clock, here, here_on_each, serve_on  # noqa: F401
from tests.planting import ALGORITHMS, new_key, plant


@pytest.fixture
def target_of(serve_on: Serve, sqlite_database: str) -> TargetOf:  # noqa: F811
    """Serves with an access key of that algorithm; somebody is signed in."""

    async def start(algorithm: Algorithm) -> Target:
        key = new_key(algorithm)
        await plant(sqlite_database, key)
        served = await serve_on(sqlite_database)
        return Target(served, await served.register(), key, "at+jwt")

    return start


@pytest.fixture(params=[*ALGORITHMS, "refresh"])
async def target(
    request: pytest.FixtureRequest,
    serve_on: Serve,  # noqa: F811
    sqlite_database: str,  # noqa: F811
) -> Target:
    """A server for access tokens of each algorithm, and for refresh tokens."""
    refresh = request.param == "refresh"
    key = new_key("HS256", "refresh") if refresh else new_key(request.param)
    await plant(sqlite_database, key)
    served = await serve_on(sqlite_database)
    account = await served.register()
    return Target(served, account, key, "rt+jwt" if refresh else "at+jwt")
