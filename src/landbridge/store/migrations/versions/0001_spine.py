"""The spine: every table of the first schema."""

from alembic import op

from landbridge.store._alembic import statements

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Creates everything of 0001_spine.sql in the installation's schema."""
    for statement in statements("0001_spine.sql", op.get_context()):
        op.execute(statement)
