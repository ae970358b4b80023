"""Sync: schedules, mappings, sweeps and links of streams."""

from alembic import op

from landbridge.store._alembic import statements

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Applies 0004_sync.sql to the installation's schema."""
    for statement in statements("0004_sync.sql", op.get_context()):
        op.execute(statement)
