"""Email and push: the rest of a content, dead addresses, what people write to us."""

from alembic import op

from notifyq.migrate import run_numbered_sql

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    """Add columns and a table; code of the version before does not miss them."""
    run_numbered_sql("0004_channels")


def downgrade() -> None:
    """Go back to 0003."""
    op.execute("SET LOCAL lock_timeout = '3s'")
    op.execute("DROP TABLE notifyq.inbound")
    op.execute(
        "ALTER TABLE notifyq.consent DROP COLUMN dead_at, DROP COLUMN dead_code, "
        "DROP COLUMN alive_at, DROP COLUMN soft_bounces"
    )
    op.execute("ALTER TABLE notifyq.delivery DROP COLUMN registered_at")
    op.execute("ALTER TABLE notifyq.content DROP COLUMN more")
