"""Consent, again: nobody deletes it; whose address a delivery has, and since when it is erased."""

from alembic import op

from notifyq.migrate import run_numbered_sql

revision = "0008"
down_revision = "0007"


def upgrade() -> None:
    """Add two columns, take rights that nothing uses; code of the version before misses nothing."""
    run_numbered_sql("0008_consent_again")


def downgrade() -> None:
    """Go back to 0007; the rights are not given back: `notifyq db roles` of then gives its own."""
    op.execute("SET LOCAL lock_timeout = '3s'")
    op.execute("ALTER TABLE notifyq.delivery DROP COLUMN is_by_id")
    op.execute("ALTER TABLE notifyq.recipient DROP COLUMN erased_at")
