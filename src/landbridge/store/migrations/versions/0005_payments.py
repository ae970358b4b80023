"""Payments and accounting: which kind an event of a webhook is of."""

from alembic import op

from landbridge.store._alembic import statements

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Applies 0005_payments.sql to the installation's schema."""
    for statement in statements("0005_payments.sql", op.get_context()):
        op.execute(statement)
