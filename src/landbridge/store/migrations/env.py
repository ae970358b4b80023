"""How Alembic runs our migrations; the parts come from `landbridge.store._alembic`."""

from landbridge.store._alembic import run

run()
