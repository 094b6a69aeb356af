"""Recipients: who is told, how they are reached, what they wish."""

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
    op.execute(
        "DROP TABLE notifyq.recipient, notifyq.recipient_version, notifyq.recipient_address"
    )
