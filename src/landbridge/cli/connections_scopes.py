"""`landbridge connections audit` and `import`: scopes that are held, and tokens from elsewhere."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from landbridge.cli.session import AsJson, Environment, Tenant

if TYPE_CHECKING:
    from landbridge.app.bridge import Landbridge


def audit(tenant: Tenant = None, environment: Environment = None, as_json: AsJson = False) -> None:
    """Compare the scopes that connections were granted with those that are needed now.

    What is missing is asked for when the tenant connects again; what is spare is needed by nothing
    that is enabled.
    """
    from landbridge.cli.output import print_rows
    from landbridge.cli.session import on_bridge

    async def work(bridge: Landbridge) -> list[dict[str, Any]]:
        return [
            {
                "connection": one.connection.id,
                "tenant": one.connection.tenant,
                "provider": one.connection.provider,
                "granted": list(one.granted),
                "missing": [each.scope for each in one.missing],
                "needed_by": sorted({by for each in one.missing for by in each.by}),
                "spare": list(one.spare),
            }
            for one in await bridge.audit(tenant=tenant)
        ]

    rows = on_bridge(work, environment=environment)
    columns = ["connection", "tenant", "provider", "granted", "missing", "needed_by", "spare"]
    none = "no connection here has scopes"
    print_rows("connections", rows, columns, as_json=as_json, none=none)


def import_(
    file: Annotated[str, typer.Argument(help="JSON objects, one a line; - for standard input.")],
    schedule: Annotated[
        bool, typer.Option(help="Pull every five minutes from now on; else only when told.")
    ] = True,
    environment: Environment = None,
    as_json: AsJson = False,
) -> None:
    """Take over tokens that were granted elsewhere, so that nobody has to consent again.

    A row has provider, tenant and refresh_token, and as far as they are known access_token,
    expires_at, scopes, account, account_name, owner, label and settings. The OAuth client has to be
    the one that they were granted to. A file may be imported again: what is there is kept. Ends
    with status 1 when a row failed.
    """
    from dataclasses import asdict

    from landbridge.cli.output import print_rows
    from landbridge.cli.session import on_bridge

    lines = _lines(file)

    async def work(bridge: Landbridge) -> list[dict[str, Any]]:
        from datetime import timedelta

        every = timedelta(minutes=5) if schedule else None
        rows = [(number, _parsed(number, line)) for number, line in lines]
        done = [asdict(one) async for one in bridge.import_grants(dict(rows).values(), every=every)]
        for (number, _), one in zip(rows, done, strict=True):
            one["line"] = number
            del one["number"]
        return done

    rows = on_bridge(work, environment=environment)
    columns = ["line", "state", "tenant", "provider", "connections", "detail"]
    print_rows("rows", rows, columns, as_json=as_json, none="there is no row to import")
    if any(row["state"] == "failed" for row in rows):
        raise typer.Exit(1)


def _lines(file: str) -> list[tuple[int, str]]:
    """The lines that are not empty, with their numbers."""
    from pathlib import Path

    from landbridge.cli.usage import WrongUsage, standard_input

    try:
        text = (standard_input() if file == "-" else Path(file).read_bytes()).decode()
    except OSError as error:
        raise WrongUsage(f"{file}: it cannot be read ({error.strerror})") from None
    except UnicodeDecodeError:
        raise WrongUsage(f"{file}: it is not UTF-8 text") from None
    numbered = enumerate(text.splitlines(), start=1)
    return [(number, line) for number, line in numbered if line.strip()]


def _parsed(number: int, line: str) -> dict[str, Any]:
    import json

    from landbridge.cli.usage import WrongUsage

    try:
        row = json.loads(line)
    except ValueError:
        row = None
    if not isinstance(row, dict):
        raise WrongUsage(f"line {number}: it is no JSON object; nothing was imported")
    return row
