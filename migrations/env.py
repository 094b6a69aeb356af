"""How alembic runs the migrations: online only, one transaction each, under one lock.

The connection comes from `notifyq.migrate`; `alembic` on the command line uses
NOTIFYQ_DATABASE_URL. Autogenerate is not used: migrations are plain SQL, and a test compares
the migrated database with `notifyq.store.tables`.
"""

from alembic import context

from notifyq.migrate import VERSION_TABLE, connect_for_alembic

with connect_for_alembic(context.config) as connection:
    context.configure(
        connection=connection,
        version_table=VERSION_TABLE,
        version_table_schema="public",
        transaction_per_migration=True,
    )
    with context.begin_transaction():
        context.run_migrations()
