"""The inbox by command: lists, filters, shows, replays; and what reconcile makes up for."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import json
import time
from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from landbridge import Landbridge, ids
from landbridge.engine.sort import sort
from landbridge.spec import EVENT_KINDS
from landbridge.store import arrivals, due, erasures, listeners
from landbridge.store.database import Tx
from landbridge.store.erasing_subjects import OF_SUBJECT
from landbridge.store.sql import Sql
from tests.cli.conftest import Cli, Shop, connect, run

SECRET = "whsec_theirs"
JOBS = Sql(
    "tests.fetches",
    "SELECT args::text FROM lb.due WHERE kind = 'fetch' ORDER BY key",
    across="A test looks at everything.",
)


def event(number: int, topic: str, key: str) -> dict[str, Any]:
    return {
        "id": f"evt_{number}",
        "type": topic,
        "created": 1_800_000_000,
        "data": {"object": {"id": key}},
    }


EVENTS = [
    event(1, "invoice.paid", "in_1"),
    event(2, "invoice.paid", "in_2"),
    event(3, "invoice.finalized", "in_2"),
    event(4, "customer.updated", "cus_1"),
    event(5, "customer.deleted", "cus_2"),
    event(6, "balance.available", "bal"),
]


def on(cli: Cli, work: Any) -> Any:
    """What a coroutine function gives on the command's own bridge."""

    async def opened() -> Any:
        bridge = Landbridge.from_env(
            database_url=cli.environment["LANDBRIDGE_DATABASE_URL"],
            key=cli.environment["LANDBRIDGE_KEY"],
        )
        async with bridge:
            return await work(bridge)

    return asyncio.run(opened())


def come(cli: Cli, connection: str, events: Sequence[Any], *, sorted_too: bool = True) -> None:
    """These come as webhooks, each signed, and are sorted."""

    async def posted(bridge: Landbridge) -> None:
        url = await bridge.intake_url(await bridge.connection(connection))
        for one in events:
            body = json.dumps(one).encode()
            at = int(time.time())
            mark = hmac.new(SECRET.encode(), b"%d." % at + body, hashlib.sha256).hexdigest()
            assert await _post(bridge, url, body, f"t={at},v1={mark}") == 200
        if sorted_too:
            await _sort(bridge)

    on(cli, posted)


async def _post(bridge: Landbridge, url: str, body: bytes, signature: str) -> int:
    told: list[int] = []

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": body}

    async def send(message: Any) -> None:
        told.append(message.get("status", 0))

    names = [(b"stripe-signature", signature.encode()), (b"x-api-token", b"canary-of-theirs")]
    path = "/in/" + url.partition("/in/")[2]
    scope = {"type": "http", "method": "POST", "path": path, "headers": names}
    await bridge.intake()(scope, receive, send)
    return told[0]


async def _sort(bridge: Landbridge) -> None:
    claims = await due.claim(
        bridge.db, owner="t", lanes=["receive"], limit=99, per_shard=99, lease=timedelta(minutes=1)
    )
    names = [name for claim in claims for name in claim.args["arrivals"]]

    async def hold(_tx: Tx) -> None: ...

    await sort(
        bridge.db, environment="test", arrivals_named=names, provider=bridge.provider, hold=hold
    )
    await due.settle(bridge.db, "t", done=claims)


def fetches(cli: Cli) -> list[str]:
    """The records that are waiting to be read again; they are taken away."""

    async def taken(bridge: Landbridge) -> list[str]:
        found = [json.loads(row[0])["key"] for row in await bridge.db.fetch(JOBS)]
        lease = timedelta(minutes=1)
        claims = await due.claim(
            bridge.db, owner="t", lanes=["pull"], limit=99, per_shard=99, lease=lease
        )
        await due.settle(bridge.db, "t", done=claims)
        return found

    keys: list[str] = on(cli, taken)
    return keys


@pytest.fixture
def inbox(cli: Cli, shop: Shop) -> str:
    """A connection whose inbox holds EVENTS."""
    connection = connect(cli, shop)
    cli.ok("connections", "secret", connection, stdin=f"{SECRET}\n")
    come(cli, connection, EVENTS)
    return connection


def topics(cli: Cli, *words: str) -> list[str]:
    found = cli.ok("inbox", "list", "--json", *words).json["events"]
    return [one["vendor_id"].removeprefix("evt_") for one in found]


def test_events_are_listed_by_what_they_are_about(cli: Cli, inbox: str) -> None:
    assert sorted(topics(cli)) == ["1", "2", "3", "4", "5", "6"]
    assert sorted(topics(cli, "--topic", "invoice.*")) == ["1", "2", "3"]
    assert sorted(topics(cli, "--topic", "invoice.paid")) == ["1", "2"]
    assert topics(cli, "--topic", "*") == []
    assert sorted(topics(cli, "--kind", "invoice.paid")) == ["1", "2"]
    assert sorted(topics(cli, "--kind", "*.paid")) == ["1", "2"]
    assert topics(cli, "--kind", "payment.refunded") == []
    kinds = {one["kind"] for one in cli.ok("inbox", "list", "--json").json["events"]}
    assert kinds == {"invoice.paid", ""}
    assert topics(cli, "--outcome", "delete") == ["5"]
    assert topics(cli, "--source", "reconcile") == []
    assert len(topics(cli, "--connection", inbox, "--tenant", "acme", "--provider", "stripe")) == 6
    assert topics(cli, "--connection", "con_no") == []
    assert topics(cli, "--provider", "caldav") == []
    assert topics(cli, "--tenant", "bolt") == []
    assert len(topics(cli, "--since", "1h")) == 6
    assert topics(cli, "--until", "1h") == []
    assert len(topics(cli, "--limit", "2")) == 2
    assert cli.ok("inbox", "list", "--limit", "2").err == "there are more: --limit 20\n"
    assert cli.ok("inbox", "list", "--limit", "6").err == ""


@pytest.mark.parametrize("verb", ["list", "replay"])
def test_a_kind_that_there_is_not_is_named_with_the_nearest(cli: Cli, verb: str) -> None:
    wrong = cli("inbox", verb, "--kind", "invoice.payed")
    assert wrong.status == 2
    assert "--kind: 'invoice.payed' is no kind of event. Did you mean 'invoice.paid'?" in wrong.err
    assert "landbridge inbox kinds" in wrong.err


def test_kinds_are_listed_with_who_tells_of_them(bare_cli: Cli) -> None:
    told = {one["kind"]: one for one in bare_cli.ok("inbox", "kinds", "--json").json["kinds"]}
    assert set(told) == set(EVENT_KINDS)
    assert told["checkout.completed"]["means"] == EVENT_KINDS["checkout.completed"]
    assert {"paypal", "square", "stripe"} <= set(told["invoice.paid"]["providers"])


def test_handlers_are_listed_with_what_waits_and_forgotten(cli: Cli, inbox: str) -> None:
    assert cli.ok("inbox", "handlers").out == "no handler was started so far\n"
    on(cli, lambda bridge: listeners.join(bridge.db, [("billing.paid", ["invoice.paid"])]))
    come(cli, inbox, [event(7, "invoice.paid", "in_7"), event(8, "customer.updated", "cus_1")])
    (one,) = cli.ok("inbox", "handlers", "--json").json["handlers"]
    assert (one["name"], one["kinds"]) == ("billing.paid", ["invoice.paid"])
    assert (one["waiting"], one["parked"]) == (1, 0)
    wrong = cli("inbox", "forget", "billing.payed")
    assert (wrong.status, "Did you mean 'billing.paid'?" in wrong.err) == (1, True)
    assert "forgotten" in cli.ok("inbox", "forget", "billing.paid").out
    assert cli.ok("inbox", "handlers", "--json").json["handlers"] == []
    assert cli.ok("parked", "list", "--what", "event", "--json").json["parked"] == []


def test_a_handler_is_told_of_earlier_events_by_command(cli: Cli, inbox: str) -> None:
    on(cli, lambda bridge: listeners.join(bridge.db, [("billing.paid", ["invoice.paid"])]))
    told = cli.ok("inbox", "tell", "billing.paid", "--since", "2h", "--json").json
    assert (told["handler"], told["events"]) == ("billing.paid", 2)
    (one,) = cli.ok("inbox", "handlers", "--json").json["handlers"]
    assert (one["waiting"], one["told_since"]) == (2, told["since"])
    again = cli.ok("inbox", "tell", "billing.paid", "--since", "1h").out
    assert again == "billing.paid: 0 earlier events wait for it; a worker hands them over\n"
    wrong = cli("inbox", "tell", "billing.payed", "--since", "1h")
    assert (wrong.status, "Did you mean 'billing.paid'?" in wrong.err) == (1, True)
    wrong = cli("inbox", "tell", "billing.paid", "--since", "monday")
    assert (wrong.status, "--since: 'monday' is neither" in wrong.err) == (2, True)


def test_an_event_is_shown_with_what_brought_it(cli: Cli, inbox: str) -> None:
    (one,) = cli.ok("inbox", "list", "--outcome", "delete", "--json").json["events"]
    shown = cli.ok("inbox", "show", one["id"], "--json").json
    assert json.loads(shown["came"]["body"]) == EVENTS[4]
    assert shown["came"]["headers"]["x-api-token"] == "(not shown)"
    assert [each["id"] for each in shown["became"]] == [one["id"]]
    told = cli.ok("inbox", "show", one["arrival"]).out
    assert '  "type": "customer.deleted",' in told
    assert "canary" not in told
    assert "cus_2" in told.splitlines()[-1]


def test_what_a_later_replay_made_of_a_webhook_is_shown(cli: Cli, inbox: str) -> None:
    (one,) = cli.ok("inbox", "list", "--outcome", "delete", "--json").json["events"]
    late = ids.make("inb", int(time.time() + 3 * 3600) * 1000, 1)

    async def filed(bridge: Landbridge) -> None:
        event = await arrivals.event(bridge.db, environment="test", id=one["id"])
        assert event is not None
        again = replace(event, id=late)
        async with bridge.db.transaction() as tx:
            await arrivals.file(tx, [again], environment="test", tenant="acme", app=event.app)

    on(cli, filed)
    shown = cli.ok("inbox", "show", one["arrival"], "--json").json
    assert [each["id"] for each in shown["became"]] == [one["id"], late]


def test_an_erased_webhook_is_shown_as_one(cli: Cli, inbox: str) -> None:
    (one,) = cli.ok("inbox", "list", "--outcome", "delete", "--json").json["events"]

    async def erased(bridge: Landbridge) -> None:
        order = await bridge.erase(tenant="acme", subject="cus_2")
        found = await erasures.by_id(bridge.db, environment="test", id=order)
        assert found is not None
        async with bridge.db.transaction() as tx:
            await erasures.erase(tx, found, OF_SUBJECT["inbox_event"], most=10)

    on(cli, erased)
    assert len(topics(cli)) == 5
    came = cli.ok("inbox", "show", one["arrival"], "--json").json["came"]
    assert (came["source"], came["headers"], came["body"]) == ("erased", {}, "")
    assert "its bytes were erased" in cli.ok("inbox", "show", one["arrival"]).out
    raw = cli("inbox", "show", one["arrival"], "--raw")
    assert (raw.status, raw.out) == (1, "")
    assert "its bytes were erased" in raw.err


def test_a_webhook_of_nothing_is_shown_with_why_it_is_parked(cli: Cli, inbox: str) -> None:
    come(cli, inbox, ["\x1b[31m" + "x" * 30_000])
    (stopped,) = cli.ok("inbox", "parked", "--json").json["parked"]
    told = cli.ok("inbox", "show", stopped["key"]).out
    assert f"parked as {stopped['id']}" in told
    assert "\x1b" not in told
    assert "all of it with --raw" in told
    assert len(told) < 25_000


def test_parked_webhooks_are_sorted_again_by_provider_and_time(cli: Cli, inbox: str) -> None:
    come(cli, inbox, [["not"], ["an"], ["event"]])
    listed = cli.ok("inbox", "parked", "--provider", "stripe", "--json").json["parked"]
    assert [one["key"] for one in listed] == sorted(one["key"] for one in listed)
    assert len(listed) == 3
    none = cli.ok("inbox", "parked", "--provider", "caldav", "--json").json["parked"]
    none += cli.ok("inbox", "parked", "--until", "1h", "--json").json["parked"]
    assert none == []
    replay = ("inbox", "replay", "--parked")
    counted = cli.ok(*replay, "--since", "1h", "--dry-run", "--json").json
    assert counted == {"webhooks": 3, "dry_run": True}
    assert cli.ok(*replay, "--until", "1h", "--json").json == {"webhooks": 0, "lost": 0}
    assert len(cli.ok("inbox", "parked", "--json").json["parked"]) == 3
    told = cli.ok(*replay, "--provider", "stripe").out
    assert told == "3 parked webhooks are sorted again; a worker does it\n"
    assert cli.ok("inbox", "parked", "--json").json["parked"] == []
    on(cli, _sort)
    again = cli.ok("inbox", "parked", "--json").json["parked"]
    assert [one["key"] for one in again] == [one["key"] for one in listed]


def test_what_a_filter_means_is_read_again(cli: Cli, inbox: str) -> None:
    fetches(cli)
    counted = cli.ok("inbox", "replay", "--topic", "invoice.*", "--dry-run", "--json").json
    assert counted == {"events": 3, "dry_run": True}
    assert fetches(cli) == []
    done = cli.ok("inbox", "replay", "--topic", "invoice.*", "--json").json
    assert done == {"events": 3, "records": 2, "ignored": 0}
    cli.ok("inbox", "replay", "--topic", "invoice.*")
    assert fetches(cli) == ["in_1", "in_2"]
    told = cli.ok("inbox", "replay", "--since", "1h").out
    assert told.startswith("6 events: 4 records are read again, 1 events concern nothing")


def test_what_never_came_is_made_up_for(cli: Cli, shop: Shop, inbox: str) -> None:
    done = cli.ok("reconcile", inbox, "--since", "20d", "--dry-run", "--json").json["reconciled"]
    assert done[0]["repaired"] == 0
    missing = done[0]["missing"]
    assert missing > 0
    run(shop, "POST", "objects/customers", {"name": "Ada"})  # its webhook may be on its way
    assert inbox in cli.ok("reconcile", "--since", "20d").out
    assert missing == len(topics(cli, "--source", "reconcile"))
    again = cli.ok("reconcile", inbox, "--json").json["reconciled"]
    assert again[0]["repaired"] == 0


@pytest.mark.parametrize(
    ("words", "status", "expected"),
    [
        (("inbox", "list", "--outcome", "lost"), 2, "--outcome: 'lost' is none of pull"),
        (("inbox", "list", "--source", "mail"), 2, "--source: 'mail' is none of webhook"),
        (("inbox", "list", "--since", "soon"), 2, "--since: 'soon' is neither a time"),
        (("inbox", "list", "--since", "999999d"), 2, "--since: '999999d' is neither"),
        (("inbox", "list", "--since", "1h", "--until", "2h"), 2, "--until: it is not after"),
        (("inbox", "list", "--provider", "strip"), 2, "Did you mean 'stripe'?"),
        (("inbox", "replay"), 2, "name events by id"),
        (("inbox", "replay", "inb_1", "--since", "1h"), 2, "ids and options do not go together"),
        (("inbox", "replay", "--dry-run"), 2, "name events by id"),
        (("inbox", "replay", "--parked", "--topic", "*"), 2, "--parked goes with --provider"),
        (("inbox", "replay", "--parked", "prk_1"), 2, "--parked goes with --provider"),
        (("reconcile", "con_no"), 1, "'con_no' is no connection"),
        (("reconcile", "--since", "x"), 2, "--since: 'x' is neither a time"),
    ],
)
def test_a_wrong_call_says_the_way_out(
    cli: Cli, words: tuple[str, ...], status: int, expected: str
) -> None:
    done = cli(*words)
    assert done.status == status
    assert expected in done.err
