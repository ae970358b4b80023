"""How Alembic runs our migrations; the parts come from `landbridge.store.migrate`."""

from landbridge.store.migrate import run

run()
