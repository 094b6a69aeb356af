"""Templates, and their versions, which nothing changes."""

from alembic import op

from notifyq.migrate import run_numbered_sql

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    """Add two tables; code of the version before does not miss them."""
    run_numbered_sql("0005_templates")


def downgrade() -> None:
    """Go back to 0004."""
    op.execute("SET LOCAL lock_timeout = '3s'")
    op.execute("DROP TABLE notifyq.template_version, notifyq.template")
    op.execute("DROP FUNCTION notifyq.refuse_change()")
