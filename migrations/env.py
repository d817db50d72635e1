"""Alembic's environment: runs the migrations on the connection that `scanner.catalog.schema` hands over."""

from alembic import context

from scanner.catalog.tables import metadata

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    render_as_batch=True,
    transaction_per_migration=False,
)
context.run_migrations()
