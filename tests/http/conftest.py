from tests.contracts.fixtures import (  # noqa: F401
    database,
    migrated_postgres,
    migrated_sqlite,
    postgres_database,
    sqlite_database,
)
from tests.here import clock, here, here_on_each, serve_on  # noqa: F401
