"""`landbridge keys`: the key that seals every secret in the database."""

from __future__ import annotations

import typer

from landbridge.cli.session import AsJson, noun

keys = noun("The key that seals every secret.")


@keys.command()
def new(as_json: AsJson = False) -> None:
    """Print a fresh key for LANDBRIDGE_KEY: 32 random bytes in base64.

    It is printed once and kept nowhere. Who loses it loses every sealed secret; who has it and
    the database has them all. To replace a key, put the new one before the old one, with a comma
    between: new secrets are sealed with the first, old ones still open.
    """
    from landbridge.cli.output import print_json
    from landbridge.vault import new_key

    key = new_key()
    if as_json:
        print_json({"key": key})
    else:
        typer.echo(key)
