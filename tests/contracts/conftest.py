from tests.contracts.fixtures import (  # noqa: F401
    clock,
    database,
    migrated_postgres,
    migrated_sqlite,
    other,
    postgres_database,
    sqlite_database,
    store,
    stores,
)
