"""Exactly one: doubts, dead letters, cancels, fall-backs, requests in several phases."""

from alembic import op

from notifyq.migrate import run_numbered_sql

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    """Add the columns and tables; code of the version before goes on working beside them."""
    run_numbered_sql("0002_exactly_one")


def downgrade() -> None:
    """Go back to 0001: refused by PostgreSQL while rows hold what 0001 does not know."""
    op.execute("SET LOCAL lock_timeout = '3s'")
    op.execute(
        "DROP TABLE notifyq.standby, notifyq.unfinished_key, notifyq.dedupe_mark,"
        " notifyq.intervention"
    )
    op.execute("ALTER TABLE notifyq.timer DROP CONSTRAINT timer_kind_known")
    op.execute("ALTER TABLE notifyq.timer DROP COLUMN lane, DROP COLUMN step")
    op.execute(
        "ALTER TABLE notifyq.timer ADD CONSTRAINT timer_kind_known"
        " CHECK (kind IN ('settle_window'))"
    )
    op.execute("ALTER TABLE notifyq.dead_letter DROP CONSTRAINT dead_letter_cause_known")
    op.execute(
        "ALTER TABLE notifyq.dead_letter ADD CONSTRAINT dead_letter_cause_known CHECK (cause IN ("
        "'refused_address', 'refused_content', 'retries_exhausted', 'outcome_unknown'))"
    )
    op.execute("DROP INDEX notifyq.dead_letter_at")
    op.execute(
        "ALTER TABLE notifyq.delivery DROP COLUMN resend_after_s, DROP COLUMN cancel_requested_at"
    )
