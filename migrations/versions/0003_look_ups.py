"""Look-ups: attempts by time, and the timers of each lane."""

from alembic import op

from notifyq.migrate import run_numbered_sql

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    """Add two indexes; code of the version before does not miss them."""
    run_numbered_sql("0003_look_ups")


def downgrade() -> None:
    """Go back to 0002."""
    op.execute("SET LOCAL lock_timeout = '3s'")
    op.execute("DROP INDEX notifyq.attempt_by_time, notifyq.timer_look_up")
