"""Links and their conflicts, by hand."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import asyncpg
import pytest

from tests.cli.conftest import Cli

_SHOP = """
from landbridge import Landbridge, Table
from landbridge.models.payments import Customer

bridge = Landbridge.from_env()
bridge.link(Customer, "stripe", Table(name="people", fields=["name", "email"]), match=["email"])
"""
_ROWS = """
CREATE TABLE public.people (id bigint PRIMARY KEY, tenant text NOT NULL, name text, email text);
INSERT INTO landbridge.linking (environment, tenant, name, connection, state)
VALUES ('test', 'acme', 'customer-stripe', 'con_1', 'live');
INSERT INTO landbridge.link (environment, tenant, id, name, connection, resource, key, local)
VALUES ('test', 'acme', 'lnk_1', 'customer-stripe', 'con_1', 'customer', 'cus_1', '7');
INSERT INTO landbridge.link (environment, tenant, id, name, connection, resource, key, state,
    candidates, reason)
VALUES ('test', 'acme', 'lnk_2', 'customer-stripe', 'con_1', 'customer', 'cus_2', 'review',
    '{8,9}', 'several have the same email');
INSERT INTO landbridge.conflict (environment, tenant, id, link, field, baseline, ours, theirs)
VALUES ('test', 'acme', 'cfl_1', 'lnk_1', 'name', '"Ada"', '"Ours"', '"Theirs"');
"""
_SECOND = """
INSERT INTO landbridge.conflict (environment, tenant, id, link, field, baseline, ours, theirs)
VALUES ('test', 'acme', 'cfl_2', 'lnk_1', 'email', '"a"', '"b"', '"c"')
"""
_CONNECTED = """
INSERT INTO landbridge.connection (environment, tenant, id, app, access_grant, provider, token,
    state)
VALUES ('test', 'acme', 'con_1', 'app_1', 'grant_1', 'stripe', 'token', 'active')
"""


@pytest.fixture
def linked(cli: Cli) -> Cli:
    run(cli, _ROWS)
    return cli


def run(cli: Cli, sql: str) -> list[asyncpg.Record]:
    async def work() -> list[asyncpg.Record]:
        connection = await asyncpg.connect(cli.environment["LANDBRIDGE_DATABASE_URL"])
        try:
            if sql.lstrip().startswith("SELECT"):
                return list(await connection.fetch(sql))
            await connection.execute(sql)
            return []
        finally:
            await connection.close()

    return asyncio.run(work())


def test_conflicts_are_listed_shown_and_resolved(linked: Cli) -> None:
    assert "Ours" in linked.ok("conflicts", "list").out
    (one,) = linked.ok("conflicts", "list", "--json").json["conflicts"]
    assert (one["field"], one["baseline"], one["ours"], one["theirs"]) == (
        *("name", "Ada"),
        *("Ours", "Theirs"),
    )
    assert linked.ok("conflicts", "show", "cfl_1", "--json").json["local"] == "7"
    done = linked.ok("conflicts", "resolve", "cfl_1", "--take", "theirs", "--json").json
    assert done == {"resolved": [{"id": "cfl_1", "take": "theirs"}]}
    (row,) = run(linked, "SELECT take FROM landbridge.conflict")
    assert row["take"] == "theirs"
    (job,) = run(linked, "SELECT args FROM landbridge.due WHERE kind = 'link'")
    assert json.loads(job["args"])["pair"] == "lnk_1"
    wrong = linked("conflicts", "show", "cfl_9")
    assert wrong.status == 1
    assert "landbridge conflicts list" in wrong.err
    assert linked.ok("conflicts", "list", "--tenant", "other").out.startswith("no conflicts")


def test_the_doctor_tells_of_what_somebody_has_to_look_at(cli: Cli) -> None:
    def told() -> dict[str, tuple[str, str]]:
        checks = cli("doctor", "--offline", "--json").json["checks"]
        return {each["check"]: (each["state"], each["said"]) for each in checks}

    assert "links" not in told()
    run(cli, _ROWS)
    state, said = told()["links"]
    assert state == "warning"
    assert "1 pairs do not go on: landbridge links pairs --stuck" in said
    assert "1 conflicts are open: landbridge conflicts list" in said
    run(cli, "DELETE FROM landbridge.link; DELETE FROM landbridge.conflict")
    assert told()["links"] == ("ok", "both sides agree, or are about to")


def test_pairs_are_listed_matched_and_tried_again(linked: Cli) -> None:
    (at,) = linked.ok("links", "list", "--json").json["links"]
    assert (at["name"], at["state"]) == ("customer-stripe", "live")
    assert len(linked.ok("links", "pairs", "--json").json["pairs"]) == 2
    (stuck,) = linked.ok("links", "pairs", "--stuck", "--json").json["pairs"]
    assert (stuck["id"], stuck["candidates"]) == ("lnk_2", ["8", "9"])
    assert "several have the same email" in linked.ok("links", "pairs", "--stuck").out
    assert "give --local ID, or --new" in linked("links", "match", "lnk_2").err
    assert "belongs to cus_1" in linked("links", "match", "lnk_2", "--local", "7").err
    linked.ok("links", "match", "lnk_2", "--local", "9")
    assert linked.ok("links", "pairs", "--stuck").out == "nothing has to be looked at\n"
    assert linked.ok("links", "retry", "lnk_1").out == "tried again: 1\n"
    jobs = run(linked, "SELECT args FROM landbridge.due WHERE kind = 'link' ORDER BY key")
    assert [json.loads(job["args"]) for job in jobs] == [
        {"link": "customer-stripe", "local": "8"},
        {"link": "customer-stripe", "pair": "lnk_1"},
        {"link": "customer-stripe", "pair": "lnk_2"},
    ]


def test_what_a_list_leaves_out_is_told(linked: Cli) -> None:
    run(linked, _SECOND)
    for words, noun, first in (
        (("conflicts", "list"), "conflicts", "cfl_1"),
        (("links", "pairs"), "pairs", "lnk_1"),
    ):
        page = linked.ok(*words, "--limit", "1", "--json").json
        assert ([each["id"] for each in page[noun]], page["next"]) == ([first], first)
        assert linked.ok(*words, "--limit", "1").err == f"there are more: --after {first}\n"
        rest = linked.ok(*words, "--after", first, "--limit", "1", "--json").json
        assert (len(rest[noun]), rest["next"]) == (1, None)
        assert linked.ok(*words).err == ""


def test_many_are_decided_at_once(linked: Cli) -> None:
    run(linked, _SECOND)
    assert linked("conflicts", "resolve", "--take", "ours").status == 2
    assert linked("links", "retry", "lnk_1", "--stuck").status == 2
    resolve = ("conflicts", "resolve", "--all", "--take", "ours", "--json")
    assert linked.ok(*resolve, "--field", "*").json == {"resolved": []}
    done = linked.ok(*resolve, "--field", "email", "--tenant", "acme").json["resolved"]
    assert [each["id"] for each in done] == ["cfl_2"]
    done = linked.ok(*resolve, "--link", "customer-stripe").json["resolved"]
    assert [each["id"] for each in done] == ["cfl_1", "cfl_2"]
    run(linked, "UPDATE landbridge.link SET reason = 'too long' WHERE id = 'lnk_1'")
    assert linked.ok("links", "retry", "--stuck", "--json").json == {"retried": ["lnk_1"]}


def test_triggers_are_made_by_the_application_that_declares_the_link(
    linked: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "linked_shop.py").write_text(_SHOP)
    monkeypatch.chdir(tmp_path)
    app = ("--app", "linked_shop:bridge")
    sql = linked.ok("links", "install", *app, "--sql").out
    assert sql.startswith('CREATE OR REPLACE TRIGGER "landbridge_test_customer-stripe"')
    assert linked.ok("links", "install", *app).out == "1 triggers are there\n"
    linked.ok("links", "install", *app)
    run(linked, "INSERT INTO public.people VALUES (7, 'acme', 'Ada', 'ada@acme.example')")
    run(linked, "UPDATE public.people SET name = name")  # nothing changed
    run(linked, "UPDATE public.people SET tenant = 'other'")
    noted = run(linked, "SELECT tenant, local FROM landbridge.local_change ORDER BY id")
    assert sorted(map(tuple, noted[1:])) == [("acme", "7"), ("other", "7")]
    assert tuple(noted[0]) == ("acme", "7")
    plan = linked.ok("links", "plan", "customer-stripe", *app, "--json").json
    assert plan == {"connections": [], "unpulled": [], "counts": {}, "lines": []}
    said = linked.ok("links", "plan", "customer-stripe", *app)
    assert said.out.startswith("no account is connected that this link is for")
    run(linked, _CONNECTED)
    said = linked.ok("links", "plan", "customer-stripe", *app)
    assert said.out == ""
    assert said.err.endswith("not pulled yet, more may come: landbridge pull con_1\n")
    wrong = linked("links", "plan", "customers-stripe", *app)
    assert wrong.status == 1
    assert "id you mean 'customer-stripe'" in wrong.err
