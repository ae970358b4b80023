"""Postgres: one module per noun, migrations, the embedded server. No other layer speaks SQL."""
