"""The catalogue of events by command, with and without the application's code."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from pathlib import Path

import msgspec
import pytest

from landbridge import Landbridge
from landbridge.engine.catalogue import EventType, Version
from tests.cli.conftest import Cli

BUILT_IN = ["endpoint.disabled", "endpoint.failing", "webhook.gap"]


class Line(msgspec.Struct):
    amount: int
    inner: list[Line] = []


class Paid(msgspec.Struct):
    id: str
    lines: list[Line]
    memo: str | None = None


PAID = EventType(
    type="invoice.paid",
    description="An invoice was paid.",
    model=Paid,
    since="2026-02-01",
    examples=[{"id": "in_1", "lines": [{"amount": 3}]}],
    older=[Version(since="2026-01-01", model=dict[str, str], down=lambda paid: {"id": paid.id})],
    schedule=[timedelta(seconds=5), timedelta(minutes=1)],
)


@pytest.fixture
def declared(cli: Cli) -> Cli:
    """The command after an application with this catalogue was opened once."""

    async def opened() -> None:
        async with Landbridge.from_env(
            database_url=cli.environment["LANDBRIDGE_DATABASE_URL"],
            key=cli.environment["LANDBRIDGE_KEY"],
            events=[PAID],
        ):
            pass

    asyncio.run(opened())
    return cli


def test_without_a_catalogue_our_own_types_are_listed(cli: Cli) -> None:
    listed = cli.ok("events", "list", "--json").json["events"]
    assert [(each["type"], each["by"]) for each in listed] == [
        (each, "landbridge") for each in BUILT_IN
    ]


def test_what_was_declared_is_listed_without_the_code(declared: Cli) -> None:
    listed = {each["type"]: each for each in declared.ok("events", "list", "--json").json["events"]}
    assert sorted(listed) == sorted([*BUILT_IN, "invoice.paid"])
    assert listed["invoice.paid"] == {
        "type": "invoice.paid",
        "by": "application",
        "versions": 2,
        "since": "2026-02-01",
        "description": "An invoice was paid.",
    }
    assert "An invoice was paid." in declared.ok("events", "list").out


def test_a_type_is_shown_with_its_versions(declared: Cli) -> None:
    shown = declared.ok("events", "show", "invoice.paid", "--json").json
    assert [each["since"] for each in shown["versions"]] == ["2026-02-01", "2026-01-01"]
    assert shown["schedule"] == [5.0, 60.0]
    assert shown["versions"][0]["examples"] == [
        {"id": "in_1", "lines": [{"amount": 3, "inner": []}], "memo": None}
    ]
    text = declared.ok("events", "show", "invoice.paid").out
    rows = [line.split() for line in text.splitlines()]
    assert ["lines[].amount", "integer", "yes"] in rows
    assert ["lines[].inner", "array", "no"] in rows
    assert ["memo", "string", "or", "null", "no"] in rows
    assert "since 2026-01-01" in text


@pytest.mark.parametrize("name", BUILT_IN)
def test_our_own_types_are_shown(cli: Cli, name: str) -> None:
    assert cli.ok("events", "show", name, "--json").json["by"] == "landbridge"
    assert "fields" in cli.ok("events", "show", name).out


def test_an_unknown_type_is_told_with_the_nearest(declared: Cli) -> None:
    done = declared("events", "show", "invoice.payed")
    assert (done.status, done.out) == (1, "")
    assert done.err == (
        "error: 'invoice.payed' is not in the catalogue of events. Did you mean 'invoice.paid'?"
        " See them with: landbridge events list\n"
    )


def test_an_applications_own_catalogue_needs_no_database(
    bare_cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "their_shop.py").write_text(
        "from landbridge import EventType, Landbridge\n"
        "bridge = Landbridge.from_env(events=[EventType(type='a.b', description='It was.')])\n"
    )
    done = bare_cli.ok("events", "list", "--app", "their_shop:bridge", "--json")
    assert [each["type"] for each in done.json["events"]] == ["a.b", *BUILT_IN]
