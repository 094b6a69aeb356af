"""${message}"""

from alembic import op

from notifyq.migrate import run_numbered_sql

revision = ${repr(up_revision)}
down_revision = ${repr(down_revision)}


def upgrade() -> None:
    """Say what changes, and why a rolling deploy survives it."""
    run_numbered_sql("${up_revision}_name")


def downgrade() -> None:
    """Say what is lost."""
