"""Connections: OAuth grants and consents, quotas, breakers, the call log, shadows, and drills."""

from alembic import op

from landbridge.store._alembic import statements

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Applies 0003_connections.sql to the installation's schema."""
    for statement in statements("0003_connections.sql", op.get_context()):
        op.execute(statement)
