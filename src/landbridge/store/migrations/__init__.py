"""The migrations that Alembic runs; see `landbridge.store.migrate`."""
