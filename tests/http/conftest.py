from tests.contracts.fixtures import migrated_sqlite, sqlite_database  # noqa: F401
from tests.here import clock, here, serve_on  # noqa: F401
