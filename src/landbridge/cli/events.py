"""`landbridge events`: the catalogue of what may be emitted."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any

import typer

from landbridge.cli.session import App, AsJson, noun

if TYPE_CHECKING:
    from landbridge.app.bridge import Landbridge
    from landbridge.store.event_types import StoredType

events = noun("The catalogue of events.")

_MOST_FIELDS = 100


@events.command("list")
def list_(app: App = None, as_json: AsJson = False) -> None:
    """List the types of events that may be emitted.

    They are what the application declared when it was last opened, or with --app what it declares
    now, and the types that Landbridge itself emits.
    """
    from landbridge.cli.output import print_rows

    rows = [_row(each) for each in _catalogue(app).values()]
    print_rows("events", rows, ["type", "by", "versions", "since", "description"], as_json=as_json)


@events.command()
def show(
    name: Annotated[str, typer.Argument(help="Such as invoice.paid.", metavar="TYPE")],
    app: App = None,
    as_json: AsJson = False,
) -> None:
    """Show a type: its versions with their fields, an example, and the waits between tries."""
    from landbridge.cli.output import print_facts, print_json, print_rows
    from landbridge.errors import NotFound, did_you_mean

    found = _catalogue(app)
    if name not in found:
        raise NotFound(
            f"{name!r} is not in the catalogue of events.{did_you_mean(name, found)}"
            " See them with: landbridge events list"
        )
    declared = found[name]
    facts = _row(declared) | {
        "versions": [_version(each) for each in declared.versions],
        "schedule": None if declared.schedule is None else [*declared.schedule],
        "updated_at": declared.updated_at,
    }
    if as_json:
        print_json(facts)
        return
    print_facts({**facts, "versions": len(declared.versions)}, as_json=False)
    for each in facts["versions"]:
        typer.echo(f"\nsince {each['since']}" if each["since"] else "\nfields")
        columns = ["field", "type", "needed"]
        print_rows("fields", _fields(each["schema"])[:_MOST_FIELDS], columns, as_json=False)
        if each["examples"]:
            typer.echo("\nexample")
            print_json(each["examples"][0])


def _catalogue(app: str | None) -> dict[str, StoredType]:
    """All types by their names, in their order."""
    from landbridge.cli.session import load_bridge, on_bridge
    from landbridge.engine.catalogue import built_in
    from landbridge.store import event_types

    async def work(bridge: Landbridge) -> list[StoredType]:
        return await event_types.every(bridge.db)

    own = load_bridge(app).catalogue.stored() if app else on_bridge(work)
    return {each.type: each for each in sorted([*own, *built_in()], key=lambda each: each.type)}


def _row(declared: StoredType) -> dict[str, Any]:
    from landbridge.engine.catalogue import BUILT_IN

    ours = any(each.type == declared.type for each in BUILT_IN)
    return {
        "type": declared.type,
        "by": "landbridge" if ours else "application",
        "versions": len(declared.versions),
        "since": declared.versions[0]["since"] if declared.versions else "",
        "description": declared.description,
    }


def _version(version: Mapping[str, Any]) -> dict[str, Any]:
    return {name: version[name] for name in ("since", "schema", "examples")}


def _fields(schema: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The fields of a schema in one table; those of objects within by their path."""
    rows: list[dict[str, Any]] = []
    _add_fields(rows, schema, schema, "", ())
    return rows


def _add_fields(
    rows: list[dict[str, Any]],
    root: Mapping[str, Any],
    schema: Mapping[str, Any],
    place: str,
    within: tuple[str, ...],
) -> None:
    at, within = _followed(root, schema, within)
    for name, inner in at.get("properties", {}).items():
        target, deeper = _followed(root, inner, within)
        path = f"{place}{name}"
        rows.append(
            {"field": path, "type": _type(target), "needed": name in at.get("required", ())}
        )
        items, deeper = _followed(root, target.get("items") or {}, deeper)
        if target.get("properties"):
            _add_fields(rows, root, target, f"{path}.", deeper)
        elif items.get("properties"):
            _add_fields(rows, root, items, f"{path}[].", deeper)


def _followed(
    root: Mapping[str, Any], schema: Any, within: tuple[str, ...]
) -> tuple[Mapping[str, Any], tuple[str, ...]]:
    """What a `$ref` into the schema stands for; nothing where a model holds itself."""
    if not isinstance(schema, dict):
        return {}, within
    pointer = schema.get("$ref", "")
    if not isinstance(pointer, str) or not pointer.startswith("#/"):
        return schema, within
    if pointer in within:
        return {"type": pointer.rpartition("/")[2]}, within
    found: Any = root
    for step in pointer[2:].split("/"):
        found = found.get(step, {}) if isinstance(found, dict) else {}
    return (found if isinstance(found, dict) else {}), (*within, pointer)


def _type(schema: Mapping[str, Any]) -> str:
    if "anyOf" in schema:
        return " or ".join(_type(each) for each in schema["anyOf"] if isinstance(each, dict))
    if "enum" in schema:
        return ", ".join(map(str, schema["enum"]))
    kind = schema.get("format") or schema.get("type") or schema.get("$ref", "").rpartition("/")[2]
    return ", ".join(map(str, kind)) if isinstance(kind, list) else str(kind or "any")
