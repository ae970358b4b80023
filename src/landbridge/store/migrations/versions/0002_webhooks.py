"""Webhooks: the event catalogue, what endpoints may set, replays, erasures, reconciliation."""

from alembic import op

from landbridge.store._alembic import statements

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Applies 0002_webhooks.sql to the installation's schema."""
    for statement in statements("0002_webhooks.sql", op.get_context()):
        op.execute(statement)
