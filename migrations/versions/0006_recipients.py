"""Recipients: who they are, every version of it, who has an address, who was merged into whom."""

from alembic import op

from notifyq.migrate import run_numbered_sql

revision = "0006"
down_revision = "0005"


def upgrade() -> None:
    """Add three tables; code of the version before does not miss them."""
    run_numbered_sql("0006_recipients")


def downgrade() -> None:
    """Go back to 0005."""
    op.execute("SET LOCAL lock_timeout = '3s'")
    op.execute("DROP TABLE notifyq.recipient_address, notifyq.recipient_version, notifyq.recipient")
