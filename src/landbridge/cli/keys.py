"""`landbridge keys`: the keys that seal every secret in the database, and their rotation."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from functools import partial
from typing import TYPE_CHECKING, Annotated, Any

import typer

from landbridge.cli.session import AsJson, noun

if TYPE_CHECKING:
    from landbridge.app.bridge import Landbridge

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


@keys.command()
def status(as_json: AsJson = False) -> None:
    """Show which keys hold how many secrets and data keys, in all environments.

    What is not held by a newest key is sealed again by `rotate` or `move`; then its key can go.
    """
    from landbridge.cli.output import print_rows
    from landbridge.cli.session import on_bridge
    from landbridge.engine.rekey import status
    from landbridge.store.sealed import environments

    async def work(bridge: Landbridge) -> list[dict[str, Any]]:
        return [
            asdict(held)
            for environment in await environments(bridge.db)
            for held in await status(bridge.db, bridge.vault, environment=environment)
        ]

    rows = on_bridge(work)
    columns = ["environment", "what", "key", "count", "newest"]
    print_rows("keys", rows, columns, as_json=as_json, none="nothing is sealed so far")


@keys.command()
def rotate(as_json: AsJson = False) -> None:
    """Give every tenant a new data key and seal every secret again, in all environments.

    Everything else goes on meanwhile. Killed half-way, the same command goes on where it was. Turn
    the key provider's own key first: a new version in Vault or OpenBao, a new local key in front.
    """
    _rekey(to="", as_json=as_json)


@keys.command()
def move(
    to: Annotated[
        str,
        typer.Option("--to", help="local, transit, pkcs11 or kms.", metavar="PROVIDER"),
    ],
    as_json: AsJson = False,
) -> None:
    """Seal again by this key provider what others sealed, in all environments.

    Both have to be set up: LANDBRIDGE_KEY_PROVIDER names the new one and LANDBRIDGE_KEY_ALSO the
    old one, in every process. Everything else goes on meanwhile, and a second call goes on where
    the first was killed. The old key can go once `landbridge keys status` shows nothing held by it.
    """
    _rekey(to=to, as_json=as_json)


def _rekey(*, to: str, as_json: bool) -> None:
    from landbridge.cli.output import print_rows
    from landbridge.cli.session import on_bridge
    from landbridge.engine.rekey import rekey
    from landbridge.store.sealed import environments

    async def work(bridge: Landbridge) -> list[dict[str, Any]]:
        vault = bridge.vault.wrapping_by(to) if to else bridge.vault
        rows = []
        try:
            with _bar(as_json=as_json) as show:
                for environment in await environments(bridge.db):
                    done = await rekey(
                        bridge.db,
                        vault,
                        environment=environment,
                        everything=not to,
                        progress=partial(show, environment),
                    )
                    rows.append(asdict(done))
        finally:
            vault.forget()
        return rows

    rows = on_bridge(work)
    columns = ["environment", "resumed", "sealed", "kept", "changed", "unreadable", "left"]
    print_rows("rekeyed", rows, columns, as_json=as_json, none="nothing is sealed so far")
    if any(row["left"] for row in rows) and not as_json:
        typer.echo(
            "Some are still sealed by other keys: processes use a data key for five minutes."
            " After that, run: landbridge keys move --to PROVIDER",
            err=True,
        )


@contextmanager
def _bar(*, as_json: bool) -> Iterator[Callable[[str, int], None]]:
    from landbridge.cli.output import watched

    if not watched(as_json=as_json):
        yield lambda _environment, _done: None
        return
    from rich.console import Console
    from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

    columns = (
        SpinnerColumn(),
        TextColumn("{task.description}", markup=False),
        TextColumn("{task.completed:,.0f} secrets"),
        TimeElapsedColumn(),
    )
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("", total=None)
        yield lambda environment, done: bar.update(task, description=environment, completed=done)
