"""Replays and erasure by command, with a real worker and a receiver that verifies."""

from __future__ import annotations

import asyncio
import json
import signal
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from landbridge.testing.receiver import Receiver
from landbridge.testing.running import in_thread
from tests.cli.conftest import Cli, started
from tests.cli.test_outbound import create, emit, theirs
from tests.cli.test_serve_and_worker import until

__all__ = ["theirs"]  # a fixture


@contextmanager
def working(cli: Cli) -> Iterator[None]:
    """A worker, for as long as the block lasts."""
    with started(["worker", "--json"], cli.environment) as process:
        assert process.stdout is not None
        json.loads(process.stdout.readline())
        yield
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=60)


def run_sql(cli: Cli, text: str) -> None:
    """Runs SQL on the command's database."""
    import asyncpg

    async def work() -> None:
        connection = await asyncpg.connect(cli.environment["LANDBRIDGE_DATABASE_URL"])
        await connection.execute(text)
        await connection.close()

    asyncio.run(work())


def test_what_was_missed_while_an_endpoint_was_disabled_is_replayed(
    cli: Cli, theirs: Receiver
) -> None:
    with in_thread(theirs.app) as url, working(cli):
        endpoint = create(cli, f"{url}/hook/theirs")
        theirs.add("theirs", endpoint["secret"])
        first = emit(cli, "1")
        until(lambda: len(theirs.stage.journal.entries) == 1)
        cli.ok("endpoints", "disable", endpoint["id"])
        missed = {emit(cli, "2"), emit(cli, "3")}
        wanted = ("replays", "create", endpoint["id"], "--state", "missed")
        until(lambda: cli.ok(*wanted, "--dry-run", "--json").json["total"] == 2)
        refused = cli(*wanted)
        assert refused.status == 1
        assert f"landbridge endpoints enable {endpoint['id']}" in refused.err
        cli.ok("endpoints", "enable", endpoint["id"])
        assert "2 deliveries would be delivered" in cli.ok(*wanted, "--dry-run").out
        done = cli.ok(*wanted, "--watch", "--json").json
        assert (done["state"], done["done"], done["total"]) == ("done", 2, 2)
        until(lambda: len(theirs.stage.journal.entries) == 3)
    journal = theirs.stage.journal.entries
    assert {each["webhook_id"] for each in journal} == {first, *missed}
    assert all(each["verified"] for each in journal)
    assert done["id"] in cli.ok("replays", "list").out
    assert "done" in cli.ok("replays", "show", done["id"]).out


def test_a_replay_is_paused_resumed_and_cancelled(cli: Cli) -> None:
    endpoint = create(cli, "http://127.0.0.1:9/hook")
    made = cli.ok("replays", "create", endpoint["id"], "--type", "invoice.*", "--json").json
    assert made["selection"] == {"types": ["invoice.*"]}
    named = made["id"]
    assert cli.ok("replays", "pause", named, "--json").json["reason"] == "paused by hand"
    assert cli.ok("replays", "resume", named, "--json").json["state"] == "running"
    assert cli.ok("replays", "cancel", named, "--json").json["state"] == "cancelled"
    assert [each["id"] for each in cli.ok("replays", "list", "--json").json["replays"]] == [named]
    gone = cli("replays", "resume", named)
    assert gone.status == 1
    assert "is cancelled and cannot be running any more" in gone.err


def test_a_tenant_is_erased_with_a_report(cli: Cli) -> None:
    create(cli, "http://127.0.0.1:9/hook")
    with working(cli):
        emit(cli, "1")
        until(lambda: cli.ok("deliveries", "list", "--json").json["deliveries"])
        counted = cli.ok("erase", "--tenant", "acme", "--dry-run", "--json").json["would_erase"]
        assert (counted["endpoint"], counted["event"], counted["tenant_key"]) == (1, 1, 1)
        assert "endpoint" in cli.ok("erase", "--tenant", "acme", "--dry-run").out
        assert cli.ok("erase", "--tenant", "nobody", "--dry-run").out == "nothing is kept of it\n"
        report = cli.ok("erase", "--tenant", "acme", "--yes", "--json").json
    assert report["state"] == "done"
    assert (report["report"]["endpoint"], report["report"]["event"]) == (1, 1)
    assert cli.ok("endpoints", "list", "--json").json == {"endpoints": []}
    assert report["id"] in cli.ok("erasures", "list").out
    assert "tenant_key" in cli.ok("erasures", "show", report["id"]).out


def test_an_erasure_is_not_begun_unasked(cli: Cli) -> None:
    done = cli("erase", "--tenant", "acme")
    assert done.status == 2
    assert "--yes: nobody is there to be asked" in done.err
    waiting = cli.ok("erase", "--tenant", "acme", "--subject", "ann", "--yes", "--no-wait").out
    assert "running" in waiting
    assert "landbridge erasures show era_" in waiting


def test_a_line_is_shown_with_who_stands_in_it(cli: Cli) -> None:
    create(cli, "http://127.0.0.1:9/hook")
    events = [emit(cli, str(number)) for number in range(3)]
    run_sql(
        cli,
        """INSERT INTO landbridge.line (environment, tenant, endpoint, ordering_key, number, event,
               delivery)
           SELECT 'test', 'acme', 'end_1', 'order 1', row_number() OVER (ORDER BY id), id,
               'dlv_' || substr(id, 5) FROM landbridge.emitted;
           INSERT INTO landbridge.due (environment, tenant, id, lane, kind, shard, due_at, ref, key,
               args)
           VALUES ('test', 'acme', 'dlv_' || repeat('1', 26), 'retry', 'deliver', 0, now(), 'evt_x',
               'line/end_1/order 1', '{"line": "order 1", "aside": true}')""",
    )
    listed = {
        each["id"]: each for each in cli.ok("deliveries", "list", "--json").json["deliveries"]
    }
    head = "dlv_" + "1" * 26
    line = [f"dlv_{event[4:]}" for event in events]
    assert [listed[each]["behind"] for each in line] == [head, line[0], line[1]]
    assert (listed[head]["lane"], listed[head]["aside"]) == ("retry", True)
    out = cli.ok("deliveries", "list").out
    assert f"stands in line behind {line[0]}" in out
    assert "stepped aside" in out
    assert f"stands in line behind {head}" in cli.ok("deliveries", "show", line[0]).out
    assert "it stepped aside" in cli.ok("deliveries", "show", head).out


def test_deliveries_are_chosen_by_type_and_time(cli: Cli, theirs: Receiver) -> None:
    with in_thread(theirs.app) as url, working(cli):
        theirs.add("theirs", create(cli, f"{url}/hook/theirs")["secret"])
        emit(cli, "1")
        until(lambda: cli.ok("deliveries", "list", "--json").json["deliveries"])
    for words, expected in (
        (("--type", "invoice.*"), 1),
        (("--type", "invoice.paid"), 1),
        (("--type", "invoice"), 0),
        (("--type", "order.*"), 0),
        (("--since", "1h"), 1),
        (("--until", "1h"), 0),
    ):
        rows = cli.ok("deliveries", "list", *words, "--json").json["deliveries"]
        assert len(rows) == expected, words


@pytest.mark.parametrize(
    ("words", "status", "expected"),
    [
        (("replays", "create", "end_no"), 1, "'end_no' is no endpoint in the environment 'test'"),
        (("replays", "create", "end_no", "--state", "lost"), 2, "--state: 'lost' is none of all"),
        (("replays", "create", "end_no", "--since", "soon"), 2, "--since: 'soon' is neither"),
        (("replays", "show", "rpl_no"), 1, "landbridge replays list"),
        (("erasures", "show", "era_no"), 1, "'era_no' is no erasure"),
        (("erase", "--tenant", "", "--dry-run"), 1, "tenant: empty"),
        (("deliveries", "list", "--until", "x"), 2, "--until: 'x' is neither"),
    ],
)
def test_a_wrong_call_says_the_way_out(
    cli: Cli, words: tuple[str, ...], status: int, expected: str
) -> None:
    done = cli(*words)
    assert done.status == status
    assert expected in done.err
