"""Shadows by command: started, reported on, promoted, replayed and discarded."""

from __future__ import annotations

from landbridge.testing.stripe import KEY
from tests.cli.conftest import Cli, Shop, connect, run
from tests.cli.test_replays_and_erase import run_sql, working
from tests.cli.test_serve_and_worker import until

PUSH = """
INSERT INTO landbridge.intent (environment, tenant, id, connection, resource, action, document)
VALUES ('test', 'acme', 'int_1', '{connection}', 'customer', 'create',
    '{{"id": "", "name": "Ada\\u001b[31m"}}');
INSERT INTO landbridge.due (environment, tenant, id, lane, kind, shard, due_at, ref)
VALUES ('test', 'acme', 'due_1', 'push', 'push', landbridge.shard('test', 'acme'),
    landbridge.now(), 'int_1');
"""


def test_what_is_kept_is_shown_then_sent(cli: Cli, shop: Shop) -> None:
    connection = connect(cli, shop)
    started = cli.ok("shadow", "start", connection, "--hours", "2", "--json").json
    shadow = started["id"]
    assert (started["state"], started["kind"], started["tenant"]) == (
        "running",
        "connection",
        "acme",
    )
    run_sql(cli, PUSH.format(connection=connection))
    with working(cli):
        until(lambda: bool(cli.ok("shadow", "report", shadow, "--json").json["writes"]))
    report = cli.ok("shadow", "report", shadow, "--json").json
    (write,) = report["writes"]
    assert report["holds"] is True
    assert write["request"]["method"] == "POST"
    assert "Ada" in write["request"]["body"]
    assert KEY not in cli.ok("shadow", "report", shadow, "--json").out
    shown = cli.ok("shadow", "report", shadow).out
    assert "POST /v1/customers" in shown
    assert "it holds" in shown
    assert "\x1b" not in shown
    refused = cli("shadow", "replay", shadow)
    assert refused.status == 1
    assert f"landbridge shadow promote {shadow}" in refused.err
    assert cli.ok("shadow", "promote", shadow, "--json").json["state"] == "promoted"
    assert cli.ok("shadow", "replay", shadow, "--json").json["sent"] == 1
    (told,) = cli.ok("shadow", "ids", shadow, "--json").json["ids"]
    assert (told["made_up"], told["resource"]) == (write["key"], "customer")
    assert told["real"] in {each["id"] for each in run(shop, "GET", "objects/customers")["objects"]}
    names = [each["name"] for each in run(shop, "GET", "objects/customers")["objects"]]
    assert names.count("Ada\x1b[31m") == 1
    listed = cli.ok("shadow", "list", "--json").json["shadows"]
    assert [(each["id"], each["state"]) for each in listed] == [(shadow, "promoted")]


def test_a_shadow_is_stopped_and_what_it_kept_given_up(cli: Cli) -> None:
    shadow = cli.ok("shadow", "start", "stripe", "--by-hand", "--json").json["id"]
    again = cli("shadow", "start", "stripe")
    assert again.status == 1
    assert "has a shadow already; see it with: landbridge shadow list" in again.err
    assert cli.ok("shadow", "stop", shadow, "--json").json["state"] == "stopped"
    assert cli.ok("shadow", "discard", shadow, "--json").json["discarded"] == 0
    handler = cli.ok("shadow", "start", "app.copier", "--handler", "--json").json
    assert (handler["kind"], handler["place"]) == ("handler", "app.copier")
    missing = cli("shadow", "report", "shd_none", "--json")
    assert missing.status == 1
    assert missing.json["error"]["type"] == "NotFound"
    assert "did you mean" in cli("shadow", "start", "strip").err.lower()
