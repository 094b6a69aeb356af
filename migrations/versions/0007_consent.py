"""Consent: what stands and what it is made of; hours, caps, senders and templates of deliveries."""

from alembic import op

from notifyq.migrate import run_numbered_sql

revision = "0007"
down_revision = "0006"


def upgrade() -> None:
    """Add columns; code of the version before does not miss them."""
    run_numbered_sql("0007_consent")


def downgrade() -> None:
    """Go back to 0006: refused by PostgreSQL while rows hold what 0006 does not know."""
    op.execute("SET LOCAL lock_timeout = '3s'")
    op.execute(
        "DROP FUNCTION notifyq.read_unsubscribe_token(text), "
        "notifyq.unsubscribe_token(smallint, text, text, bytea), "
        "notifyq.unsubscribe_mac(smallint, bytea)"
    )
    op.execute("DROP TRIGGER consent_event_is_only_added_to ON notifyq.consent_event")
    op.execute(
        "ALTER TABLE notifyq.consent_event DROP CONSTRAINT consent_event_kind_known, "
        "DROP CONSTRAINT consent_event_source_known, "
        "DROP COLUMN happened_at, DROP COLUMN source, DROP COLUMN program, DROP COLUMN evidence, "
        "DROP COLUMN blocked, DROP COLUMN programs"
    )
    op.execute(
        "ALTER TABLE notifyq.consent_event ADD CONSTRAINT consent_event_kind_known "
        "CHECK (kind IN ('opt_out'))"
    )
    op.execute(
        "ALTER TABLE notifyq.consent DROP COLUMN programs, DROP COLUMN held, "
        "DROP COLUMN consented, DROP COLUMN begun_at, DROP COLUMN soft_since"
    )
    op.execute(
        "ALTER TABLE notifyq.delivery DROP COLUMN category, DROP COLUMN recipient, "
        "DROP COLUMN hours, DROP COLUMN time_zone, DROP COLUMN cap, DROP COLUMN sender, "
        "DROP COLUMN is_marketing, DROP COLUMN is_mandatory, DROP COLUMN is_separate, "
        "DROP COLUMN is_exempt, DROP COLUMN template, DROP COLUMN template_version, "
        "DROP COLUMN locale"
    )
