"""What alembic runs: on the connection it is handed, inside the transaction that is open there."""

from __future__ import annotations

from alembic import context

from proxy.stores.ledger.schema import metadata

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    render_as_batch=True,
    transactional_ddl=True,
)
context.run_migrations()
