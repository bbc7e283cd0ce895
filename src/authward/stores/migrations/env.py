"""Runs migrations on the connection handed in by `authward.stores.migrate`."""

from alembic import context

from authward.stores.schema import metadata

context.configure(connection=context.config.attributes["connection"], target_metadata=metadata)
with context.begin_transaction():
    context.run_migrations()
