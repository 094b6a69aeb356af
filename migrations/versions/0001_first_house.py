"""The first house: tenants, keys, notifications, deliveries, jobs, attempts, fence, consent."""

from alembic import op

from notifyq.migrate import run_numbered_sql

revision = "0001"
down_revision = None


def upgrade() -> None:
    """Create the schema; its text is the SQL file beside this one."""
    run_numbered_sql("0001_first_house")


def downgrade() -> None:
    """Remove everything: there is no older schema to go back to."""
    op.execute("DROP SCHEMA notifyq CASCADE")
