"""Schedules from the command line."""

from __future__ import annotations

from tests.cli.conftest import Cli, Shop
from tests.cli.test_connections import scheduled


def rows(cli: Cli, *words: str) -> dict[str, dict[str, object]]:
    return {each["resource"]: each for each in cli.ok("syncs", *words, "--json").json["syncs"]}


def test_a_schedule_is_set_paused_resumed_and_taken_away(cli: Cli, shop: Shop) -> None:
    connection = scheduled(cli, shop)
    every = rows(cli, "list")
    assert {each["state"] for each in every.values()} == {"on"}
    assert list(every) == sorted(every)
    some = cli.ok("syncs", "list", "--limit", "2")
    assert (len(some.out.splitlines()), some.err) == (3, "there are more: --limit 20\n")
    assert cli.ok("syncs", "list", "--limit", "2", "--json").json["more"] is True
    assert cli.ok("syncs", "list", "--json").json["more"] is False
    assert {(each["least"], each["most"]) for each in every.values()} == {(300.0, 300.0)}
    done = rows(cli, "every", connection, "30s..15m", "invoice")
    assert (done["invoice"]["least"], done["invoice"]["most"]) == (30.0, 900.0)
    assert cli.ok("syncs", "pause", connection, "invoice").out == (
        f"paused: invoice; go on with: landbridge syncs resume {connection} invoice\n"
    )
    assert rows(cli, "list", connection)["invoice"]["state"] == "paused"
    assert cli.ok("syncs", "resume", connection).out == "resumed: invoice\n"
    assert cli.ok("syncs", "resume", connection).out == "none of them was paused\n"
    off = rows(cli, "every", connection, "off", "product")["product"]
    assert (off["state"], off["next_at"]) == ("off", None)
    line = next(line for line in cli.ok("syncs", "list").out.splitlines() if "invoice" in line)
    assert "30s..15m" in line


def test_a_load_is_ordered_shown_and_cancelled(cli: Cli, shop: Shop) -> None:
    connection = scheduled(cli, shop)
    done = cli.ok("syncs", "backfill", connection, "invoice", "--since", "90d", "--json")
    (load,) = done.json["backfills"]
    assert (load["resource"], load["generation"], load["state"]) == ("invoice", 1, "running")
    assert load["since"] is not None
    assert load["until"] is None
    assert "invoice" in cli.ok("syncs", "backfills", connection).out
    assert cli.ok("syncs", "cancel", connection).out == "cancelled: invoice\n"
    again = cli.ok("syncs", "backfill", connection, "invoice", "--resume")
    assert again.out == f"loading invoice; see: landbridge syncs backfills {connection}\n"
    assert cli("syncs", "backfill", connection, "product", "--resume").status == 1


def test_what_is_no_span_is_told(cli: Cli, shop: Shop) -> None:
    connection = scheduled(cli, shop)
    for span, said in [
        ("often", "SPAN: 'often' is no span such as 30s, 5m, 2h or 1d"),
        ("5s", "5 s is too often; the shortest is 10 s"),
        ("1h..1m", "the shorter distance comes first"),
    ]:
        done = cli("syncs", "every", connection, span)
        assert done.status in (1, 2)
        assert said in done.err


def test_sweeps_are_told_where_there_are_any(cli: Cli, shop: Shop) -> None:
    connection = scheduled(cli, shop)
    assert cli.ok("syncs", "sweeps", connection).out.startswith("nothing is swept")
    assert cli.ok("syncs", "sweeps", connection, "--json").json == {"sweeps": []}
